package eventlog

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// telemetry is one record of telemetry on its way. It is pooled with the memory
// of its message: there is one for each delivery.
type telemetry struct {
	log    *Log
	topic  Topic
	record kgo.Record
	room   *budget
	size   int64
	// own is the message that AppendTelemetry has written, in buf.
	own event.Message
	buf []byte
	// done is promise, bound once.
	done func(*kgo.Record, error)
}

func (l *Log) newTelemetry() any {
	t := &telemetry{log: l}
	t.done = t.promise
	return t
}

// AppendTelemetry is AppendAsync without done for a message that write makes: it
// fills m, appending its headers to those that m has and its bytes to buf, which
// it returns. Both are the log's, which uses them again, and have the room of an
// earlier message. write is called once, before AppendTelemetry returns.
func (l *Log) AppendTelemetry(topic Topic, write func(m *event.Message, buf []byte) []byte) {
	t := l.telemetries.Get().(*telemetry)
	t.buf = write(&t.own, t.buf)
	t.append(topic, &t.own)
}

// append sends msg on its way, or drops it when there is no room.
func (t *telemetry) append(topic Topic, msg *event.Message) {
	t.topic, t.size, t.room = topic, messageSize(msg), t.log.roomOf(topic)
	if t.size > int64(t.log.cfg.maxBytesOf(topic)) || !t.room.take(1, t.size) {
		t.log.dropped(topic, msg.Key)
		t.free()
		return
	}
	fillRecord(&t.record, t.log.topicName(topic), msg, time.Now())
	t.log.cl.TryProduce(context.Background(), &t.record, t.done)
}

// promise is called by the client, which does nothing more with the record.
func (t *telemetry) promise(r *kgo.Record, err error) {
	t.room.give(1, t.size)
	if err != nil {
		t.log.dropped(t.topic, r.Key)
	} else {
		t.log.stats.produced.Add(1)
		t.log.grown(t.size)
	}
	t.free()
}

// telemetryKept is the size of messages whose memory is used again.
const telemetryKept = 4 << 10

func (t *telemetry) free() {
	clear(t.own.Headers)
	t.own = event.Message{Headers: t.own.Headers[:0]}
	t.buf = t.buf[:0]
	if cap(t.buf) > telemetryKept {
		t.buf = nil
	}
	t.record, t.room = kgo.Record{}, nil
	t.log.telemetries.Put(t)
}

// roomOf is the budget of a topic of telemetry. What functions print has one of
// its own: a function that floods takes no room from the records of runs.
func (l *Log) roomOf(topic Topic) *budget {
	if topic == Logs {
		return &l.lines
	}
	return &l.telemetry
}

func (l *Log) dropped(topic Topic, key []byte) {
	l.stats.dropped.Add(1)
	if l.cfg.Hooks.Dropped != nil {
		l.cfg.Hooks.Dropped(topic, key)
	}
}
