package event

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"time"
)

// The CloudEvent that carries a run.
const (
	RunType   = "signalbox.run"
	RunSource = "/signalbox/runs"
)

// Message is the run as a record of the topic signalbox.runs: key source NUL id
// of the event, value a CloudEvent in binary mode of type signalbox.run, source
// /signalbox/runs, the run's id, its function as subject and the run as JSON
// data.
func (r *Run) Message() Message {
	m := Message{Headers: make([]Header, 0, runHeaders)}
	r.AppendMessage(&m, nil)
	return m
}

// runHeaders is how many headers a run has at most.
const runHeaders = 7

// AppendMessage makes m what Message gives, with headers appended to those of m
// and all else to buf, which it returns. It is written by hand into one buffer,
// since there is one for every delivery.
func (r *Run) AppendMessage(m *Message, buf []byte) []byte {
	buf = slices.Grow(buf, 512+len(r.EventSource)*2+len(r.EventID)*2+len(r.Reason)+len(r.Replies)*128)
	start := len(buf)
	buf = append(buf, r.EventSource...)
	buf = append(buf, 0)
	buf = append(buf, r.EventID...)
	key := len(buf)
	buf = r.Time.UTC().AppendFormat(buf, time.RFC3339Nano)
	at := len(buf)
	buf = r.appendJSON(buf, buf[key:at])
	m.Headers = append(slices.Grow(m.Headers, runHeaders),
		Header{"ce_specversion", view(SpecVersion)},
		Header{"ce_id", view(r.ID)},
		Header{"ce_source", view(RunSource)},
		Header{"ce_type", view(RunType)},
		Header{"ce_time", buf[key:at:at]},
		Header{"content-type", view("application/json")})
	if r.Function != "" {
		m.Headers = append(m.Headers, Header{"ce_subject", view(r.Function)})
	}
	m.Key, m.Value = buf[start:key:key], buf[at:len(buf):len(buf)]
	return buf
}

// appendJSON writes what encoding/json would; at is the time in RFC 3339.
func (r *Run) appendJSON(dst, at []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendQuoted(dst, r.ID)
	dst = appendMember(dst, "link", r.Link)
	dst = appendMember(dst, "function", r.Function)
	dst = appendOptional(dst, "version", r.Version)
	dst = appendMember(dst, "eventSource", r.EventSource)
	dst = appendMember(dst, "eventId", r.EventID)
	dst = appendMember(dst, "eventType", r.EventType)
	dst = appendMember(dst, "position", r.Position)
	dst = strconv.AppendInt(append(dst, `,"attempt":`...), int64(r.Attempt), 10)
	dst = appendMember(dst, "outcome", string(r.Outcome))
	dst = appendOptional(dst, "reason", r.Reason)
	if r.Status != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(r.Status), 10)
	}
	dst = append(append(append(dst, `,"time":"`...), at...), '"')
	dst = appendFloat(append(dst, `,"durationMs":`...), r.DurationMS)
	dst = appendOptional(dst, "traceId", r.TraceID)
	dst = strconv.AppendUint(append(dst, `,"revision":`...), r.Revision, 10)
	if len(r.Replies) > 0 {
		dst = appendReplies(dst, r.Replies)
	}
	return append(dst, '}')
}

func appendReplies(dst []byte, replies []ReplyRef) []byte {
	dst = append(dst, `,"replies":[`...)
	for i := range replies {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(append(dst, `{"source":`...), replies[i].Source)
		dst = appendMember(dst, "id", replies[i].ID)
		dst = appendMember(dst, "type", replies[i].Type)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendOptional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendMember(dst, name, value)
}

// appendFloat writes a number; JSON has none for what is not finite, so 0.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// ParseRun reads what Message wrote, and copies it. Its error names what the
// record is instead.
func ParseRun(m Message) (Run, error) {
	var r Run
	if t, _ := m.Header("ce_type"); string(t) != RunType {
		return r, fmt.Errorf("run record: header ce_type is %s: want %s", quoted(string(t)), RunType)
	}
	if err := json.Unmarshal(m.Value, &r); err != nil {
		return Run{}, fmt.Errorf("run record: %w", err)
	}
	return r, nil
}

// RunID names the run of one attempt (from 1) of one delivery. It is the same
// whenever that delivery is repeated, short, and safe in a URL path.
func RunID(pos Position, link string, attempt int) string {
	var room [64]byte
	b := appendDeliveryID(room[:0], pos, link)
	return string(strconv.AppendInt(append(b, '-'), int64(attempt), 10))
}

// appendDeliveryID writes partition-offset-hash: the position is unique in the
// log, and 64 bits tell apart the few links of one event.
func appendDeliveryID(dst []byte, pos Position, link string) []byte {
	dst = strconv.AppendInt(dst, int64(pos.Partition), 10)
	dst = strconv.AppendInt(append(dst, '-'), pos.Offset, 10)
	if link == "" {
		return dst
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '-')
	h := fnv.New64a()
	h.Write(view(link))
	for sum, shift := h.Sum64(), 60; shift >= 0; shift -= 4 {
		dst = append(dst, hex[sum>>shift&15])
	}
	return dst
}
