package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Line is one line of a function, with its place in the log.
type Line struct {
	event.Log
	Position string `json:"position"`
}

// Lines returns what functions printed, oldest first; without Since and Until the
// newest ones.
func (c *Client) Lines(ctx context.Context, q Query) ([]Line, error) {
	return list[Line](ctx, c, "/api/v1/logs", q.values(), q.Limit)
}

// Trace is a whole chain: the events it began with, and what became of them.
type Trace struct {
	// Asked says what the id was that of: event, run or trace.
	Asked  string        `json:"asked"`
	Traces []TraceRef    `json:"traces"`
	Roots  []*TraceEvent `json:"roots"`
	Cut    string        `json:"cut,omitempty"`
}

// TraceRef names a distributed trace; URL is where people look at it, if that is known.
type TraceRef struct {
	ID  string `json:"id"`
	URL string `json:"url,omitempty"`
}

// TraceEvent is an event of a chain with the runs it led to.
type TraceEvent struct {
	Source   string     `json:"source"`
	ID       string     `json:"id"`
	Type     string     `json:"type"`
	Subject  string     `json:"subject,omitempty"`
	Accepted time.Time  `json:"accepted,omitzero"`
	Position string     `json:"position,omitempty"`
	Asked    bool       `json:"asked,omitempty"`
	Runs     []TraceRun `json:"runs"`
}

// TraceRun is a run, with what it printed and the events it answered with.
type TraceRun struct {
	event.Run
	Asked   bool          `json:"asked,omitempty"`
	Lines   []event.Log   `json:"lines,omitempty"`
	Effects []*TraceEvent `json:"effects,omitempty"`
}

// Trace returns the chain that an id belongs to: an event's (source may be "" when
// it is the only one), a run's or a trace's. lines asks for what the runs printed.
func (c *Client) Trace(ctx context.Context, source, id string, lines bool) (Trace, error) {
	q := url.Values{"id": {id}}
	if source != "" {
		q.Set("source", source)
	}
	if lines {
		q.Set("logs", "true")
	}
	var out Trace
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/trace", query: q}, &out)
	return out, err
}
