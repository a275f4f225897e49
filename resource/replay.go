package resource

import (
	"encoding/json"
	"time"
)

// KindReplay sends a part of the log to one link once more.
const KindReplay = "Replay"

// ReplaySpec says which events of the log go to a link again. Of those in the
// range it gets what the link and the policies choose now. A replay is never
// changed: deleting it cancels what is left of it.
type ReplaySpec struct {
	// Link is the name of the link that gets the events.
	Link string `json:"link"`
	// From is where the range begins: earliest, or an RFC 3339 time, compared
	// with the time of an event's record in the log.
	From string `json:"from"`
	// To is an RFC 3339 time at which the range ends, without it. The gateway
	// fills in the time at which the replay is created.
	To string `json:"to,omitempty"`
	// Where is a CESQL expression over the event; "" takes every event.
	Where string `json:"where,omitempty"`
	// Rate bounds the events sent per second, over all dispatchers together; 0
	// is unbounded, else 0.001 to 1000000.
	Rate float64 `json:"rate,omitempty"`
}

// Replay is a resource of kind Replay.
type Replay struct {
	Metadata Metadata
	Spec     ReplaySpec
	// Status is what was recorded at its end; the state is "" before.
	Status ReplayStatus
}

// ReplayState is how far a replay is.
type ReplayState string

// The states of a replay. A cancelled one is deleted, so nothing says so.
const (
	ReplayRunning ReplayState = "running"
	ReplayDone    ReplayState = "done"
	// ReplayWaiting: the link is paused; it goes on when the link does.
	ReplayWaiting ReplayState = "waiting"
	// ReplayFailed: it cannot go on; Message says why.
	ReplayFailed ReplayState = "failed"
)

// ReplayStatus is the progress of a replay.
type ReplayStatus struct {
	State ReplayState `json:"state"`
	// Partitions of the log, and those of them whose part is done.
	Partitions     int `json:"partitions"`
	PartitionsDone int `json:"partitionsDone"`
	// Total counts the records in the range, Done those of them that were looked at.
	Total int64 `json:"total"`
	Done  int64 `json:"done"`
	// Parked counts the deliveries that were put on the function's parked topic.
	Parked int64 `json:"parked"`
	// Missing counts the records of the range that retention had removed before
	// they were looked at, Unsent those that were too large to be sent.
	Missing int64 `json:"missing,omitempty"`
	Unsent  int64 `json:"unsent,omitempty"`
	// Message says what is wrong or what is waited for.
	Message string `json:"message,omitempty"`
	// Finished is when it was done.
	Finished time.Time `json:"finished,omitzero"`
}

// Ended reports whether nothing more will happen.
func (s *ReplayStatus) Ended() bool { return s.State == ReplayDone || s.State == ReplayFailed }

// FromTime is From when it is a time; false is earliest.
func (s *ReplaySpec) FromTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s.From)
	return t, err == nil
}

// ToTime is To; false when it is not set.
func (s *ReplaySpec) ToTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s.To)
	return t, err == nil
}

func (s *ReplaySpec) validate(Metadata) Faults {
	var f Faults
	switch {
	case s.Link == "":
		f.add("spec.link", "missing: want the name of a link")
	case !nameRE.MatchString(s.Link):
		f.add("spec.link", "%q: want the name of a link", s.Link)
	}
	from, fromIsTime := s.FromTime()
	switch {
	case s.From == "":
		f.add("spec.from", "missing: want earliest, or a time such as 2026-01-02T15:04:05Z")
	case !fromIsTime && s.From != StartEarliest:
		f.add("spec.from", "%q: want earliest, or a time such as 2026-01-02T15:04:05Z", s.From)
	}
	to, toIsTime := s.ToTime()
	switch {
	case s.To != "" && !toIsTime:
		f.add("spec.to", "%q: want a time such as 2026-01-02T15:04:05Z", s.To)
	case toIsTime && fromIsTime && !from.Before(to):
		f.add("spec.to", "%s: want a time after from, which is %s", s.To, s.From)
	}
	if s.Rate != 0 && (s.Rate < 0.001 || s.Rate > 1e6 || s.Rate != s.Rate) {
		f.add("spec.rate", "%v: want 0.001 to 1000000 events per second, or 0 for no bound", s.Rate)
	}
	return f
}

// addReplay adds a replay with the status it was given at its end, if any.
func (s *Set) addReplay(o *Object) error {
	v := &Replay{Metadata: o.Metadata}
	if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
		return err
	}
	if len(o.Status) > 0 {
		if err := json.Unmarshal(o.Status, &v.Status); err != nil {
			return err
		}
	}
	s.Replays = append(s.Replays, v)
	return nil
}
