package otlp

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// logEvery is the least time between two log lines about what is lost.
const logEvery = time.Minute

// Losses bounds how many records of one signal wait for export, and counts and
// tells of those that are lost, which the SDK would drop without a word or print
// one by one. It is safe for concurrent use; its methods never block.
type Losses struct {
	// Signal is traces, logs or metrics.
	Signal string
	// QueueSize bounds the records that wait.
	QueueSize int
	// Lost, unless nil, is told how many records were lost, and the error of the
	// failed export, which is nil when the queue was full. It must not block.
	Lost func(n int, err error)
	// Log gets a line about what is lost, at most one a minute of Now.
	Log *slog.Logger
	Now func() time.Time

	// waiting is the number of records that were queued and are not sent.
	waiting atomic.Int64
	// lost is the number lost since the last log line, at logged (Unix nanoseconds).
	lost, logged atomic.Int64
}

// Queue takes a place for a record that is to wait; false is a full queue, and
// the record is lost.
func (l *Losses) Queue() bool {
	if l.waiting.Add(1) > int64(l.QueueSize) {
		l.waiting.Add(-1)
		l.Count(1, nil)
		return false
	}
	return true
}

// Sent gives back the places of n records after their export, which failed
// unless err is nil.
func (l *Losses) Sent(n int, err error) {
	l.waiting.Add(-int64(n))
	if err != nil {
		l.Count(n, err)
	}
}

// Count counts n lost records, to a failed export or (err nil) to a full queue.
func (l *Losses) Count(n int, err error) {
	if l.Lost != nil {
		l.Lost(n, err)
	}
	l.lost.Add(int64(n))
	now, last := l.Now().UnixNano(), l.logged.Load()
	if (last != 0 && now-last < int64(logEvery)) || !l.logged.CompareAndSwap(last, now) {
		return
	}
	why := "the queue is full"
	if err != nil {
		why = err.Error()
	}
	l.Log.Warn("telemetry lost (--otlp-signals says what is sent)", "signal", l.Signal, "records", l.lost.Swap(0), "cause", why)
}
