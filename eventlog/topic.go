package eventlog

import (
	"strings"
	"time"
)

// Topic is the logical name of a topic; on the broker it carries the prefix of
// the configuration.
type Topic string

// The topics of Signalbox. Keys and values: docs/architecture.md.
const (
	Events    Topic = "events"
	Dead      Topic = "dead"
	Runs      Topic = "runs"
	Resources Topic = "resources"
	// Decisions are event.Decision: what was refused and changed, and by which
	// revision events are chosen for.
	Decisions Topic = "decisions"
	// Logs are event.Log: what functions print.
	Logs Topic = "logs"
)

// parkedName stands before the function's name in the name of a parked topic.
const parkedName = "parked."

// Parked is the topic of a function's parked deliveries (event.Parked). It has
// as many partitions as Events, and is made when it is first needed.
func Parked(function string) Topic { return Topic(parkedName + function) }

// cutParked takes the function's name out of the name of a parked topic.
func cutParked(prefix, name string) (function string, ok bool) {
	if name, ok = strings.CutPrefix(name, prefix); !ok {
		return "", false
	}
	function, ok = strings.CutPrefix(name, parkedName)
	return function, ok && function != ""
}

func (t Topic) parked() bool { return strings.HasPrefix(string(t), parkedName) }

// topics are all topics that Open makes sure of.
var topics = [...]Topic{Events, Dead, Runs, Resources, Decisions, Logs}

// Retention says how long records stay, on brokers that are not embedded; 0
// leaves it to the broker, negative keeps them for ever. Decisions stay as long
// as the events that they explain.
type Retention struct {
	Events time.Duration
	Dead   time.Duration
	Runs   time.Duration
	Logs   time.Duration
}

func (r Retention) of(t Topic) time.Duration {
	switch t {
	case Events, Decisions:
		return r.Events
	case Dead:
		return r.Dead
	case Runs:
		return r.Runs
	case Logs:
		return r.Logs
	}
	return -1
}

// partitionsOf is how many partitions a missing topic is created with.
// Resources has one, since its order is the history of all resources.
func (c *Config) partitionsOf(t Topic) int32 {
	switch {
	case t == Events:
		return int32(c.Partitions)
	case t == Resources || c.Embedded:
		// The embedded broker syncs one partition at a time: few of them make
		// large batches, which is what makes it fast.
		return 1
	}
	return int32(min(c.Partitions, 4))
}

// deadLetterRoom is what a dead letter may be larger than its event: a record
// that was taken must also fit the topic of dead letters, with its attempts.
const deadLetterRoom = 1 << 20

func (c *Config) maxBytesOf(t Topic) int32 {
	if t == Dead || t.parked() {
		return c.MaxMessageBytes + deadLetterRoom
	}
	return c.MaxMessageBytes
}

// batchOverhead is what the broker counts beside the records of a batch.
const batchOverhead = 1 << 10

// share is the part of Config.RetentionBytes that a topic may fill on the
// embedded log; 0 is unbounded.
func (c *Config) share(t Topic) int64 {
	switch t {
	case Events:
		return c.RetentionBytes / 8 * 5
	case Runs:
		return c.RetentionBytes / 8
	case Dead:
		return c.RetentionBytes / 8
	case Decisions, Logs:
		return c.RetentionBytes / 16
	}
	return 0 // compacted by History
}
