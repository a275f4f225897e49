package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// The CloudEvent that carries a line.
const (
	LogType   = "signalbox.log"
	LogSource = "/signalbox/logs"
)

// Message is the line as a record of the topic signalbox.logs: the function's
// name is the key, so that its lines stay in their order; the value is a
// CloudEvent in binary mode of type signalbox.log with the line as JSON data. id
// is the event's.
func (l *Log) Message(id string) Message {
	buf := make([]byte, 0, 256+len(l.Function)+len(l.Line)+len(l.Line)/8)
	buf = append(buf, l.Function...)
	key := len(buf)
	buf = l.Time.UTC().AppendFormat(buf, time.RFC3339Nano)
	at := len(buf)
	buf = l.appendJSON(buf, buf[key:at])
	headers := []Header{
		{"ce_specversion", view(SpecVersion)},
		{"ce_id", view(id)},
		{"ce_source", view(LogSource)},
		{"ce_type", view(LogType)},
		{"ce_time", buf[key:at:at]},
		{"ce_subject", buf[:key:key]},
		{"content-type", view("application/json")},
	}
	return Message{Key: buf[:key:key], Headers: headers, Value: buf[at:len(buf):len(buf)]}
}

// appendJSON writes what encoding/json would; at is the time in RFC 3339.
func (l *Log) appendJSON(dst, at []byte) []byte {
	dst = append(append(append(dst, `{"time":"`...), at...), '"')
	dst = appendMember(dst, "function", l.Function)
	dst = appendOptional(dst, "version", l.Version)
	dst = appendMember(dst, "stream", l.Stream)
	dst = appendOptional(dst, "level", l.Level)
	dst = appendMember(dst, "line", l.Line)
	dst = appendOptional(dst, "run", l.Run)
	dst = appendOptional(dst, "instance", l.Instance)
	dst = appendOptional(dst, "traceId", l.TraceID)
	dst = appendOptional(dst, "spanId", l.SpanID)
	return append(dst, '}')
}

// ParseLog reads what Message wrote, and copies it.
func ParseLog(m Message) (Log, error) {
	var l Log
	if t, _ := m.Header("ce_type"); string(t) != LogType {
		return l, fmt.Errorf("log record: header ce_type is %s: want %s", quoted(string(t)), LogType)
	}
	if err := json.Unmarshal(m.Value, &l); err != nil {
		return Log{}, fmt.Errorf("log record: %w", err)
	}
	return l, nil
}

// maxStructured is the longest line in bytes that Structured looks into.
const maxStructured = 16 << 10

// Structured fills in what the line says of itself if it is a JSON object, and
// leaves what is known already: the level (level or severity), the run (run or
// signalbox_run) and the trace (trace_id and span_id, or traceparent). Members
// that are no strings, or no ids, count for nothing.
func (l *Log) Structured() {
	if len(l.Line) < 2 || l.Line[0] != '{' || l.Line[len(l.Line)-1] != '}' || len(l.Line) > maxStructured {
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(view(l.Line), &members) != nil {
		return
	}
	one := func(names ...string) (s string) {
		for _, name := range names {
			if raw := members[name]; len(raw) > 2 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
				return s
			}
		}
		return ""
	}
	if l.Level == "" {
		l.Level = Level(one("level", "severity", "levelname"))
	}
	if run := one("signalbox_run", "run"); l.Run == "" && isRunID(run) {
		l.Run = run
	}
	if l.TraceID != "" {
		return
	}
	if tp := one("traceparent"); len(tp) >= 55 && isHexID(tp[3:35], 32) && isHexID(tp[36:52], 16) {
		l.TraceID, l.SpanID = tp[3:35], tp[36:52]
		return
	}
	if id := one("trace_id", "traceId"); isHexID(id, 32) {
		l.TraceID = id
		if span := one("span_id", "spanId"); isHexID(span, 16) {
			l.SpanID = span
		}
	}
}

// Level is one of debug, info, warning and error, whatever a language calls it;
// "" is none of them.
func Level(s string) string {
	if len(s) > 16 {
		return ""
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	switch string(b) {
	case "trace", "debug":
		return "debug"
	case "info", "notice":
		return "info"
	case "warn", "warning":
		return "warning"
	case "error", "err", "critical", "fatal", "panic", "alert", "emergency":
		return "error"
	}
	return ""
}

// isRunID reports whether s may name a run: up to 128 letters, digits, '-', '_', '.' and ':'.
func isRunID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}

func isHexID(s string, n int) bool {
	if len(s) != n {
		return false
	}
	zero := true
	for i := range n {
		c := s[i]
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}
