package history

import (
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// TraceQuery asks for a chain by something that belongs to it.
type TraceQuery struct {
	// ID is an event's, a run's or a trace's; Source tells events with one id apart.
	ID, Source string
	// Lines: with what the runs printed.
	Lines bool
}

// Trace is a whole chain, as the log tells it.
type Trace struct {
	// Asked says what the id was that of: event, run or trace.
	Asked string `json:"asked"`
	// Traces are the distributed traces that the chain's runs belong to.
	Traces []TraceRef `json:"traces"`
	// Roots are the events that the chain began with: one, but for a trace that
	// several events share.
	Roots []*TraceEvent `json:"roots"`
	// Cut says that there is more, or that some could not be found.
	Cut string `json:"cut,omitempty"`
}

// TraceRef names a distributed trace; URL is where people look at it, if that is known.
type TraceRef struct {
	ID  string `json:"id"`
	URL string `json:"url,omitempty"`
}

// TraceEvent is an event of a chain with what became of it.
type TraceEvent struct {
	Source  string `json:"source"`
	ID      string `json:"id"`
	Type    string `json:"type"`
	Subject string `json:"subject,omitempty"`
	// Accepted is its time in the log, and Position its place, where it is still there.
	Accepted time.Time `json:"accepted,omitzero"`
	Position string    `json:"position,omitempty"`
	// Asked: it is the one that was asked for.
	Asked bool       `json:"asked,omitempty"`
	Runs  []TraceRun `json:"runs"`
}

// TraceRun is one run record of an event, with what the run printed, if that was
// asked for, and the events it answered with.
type TraceRun struct {
	event.Run
	Asked   bool          `json:"asked,omitempty"`
	Lines   []event.Log   `json:"lines,omitempty"`
	Effects []*TraceEvent `json:"effects,omitempty"`
}
