package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestALogLineSurvivesItsRecord(t *testing.T) {
	whole := Log{
		Time: time.Date(2026, 11, 21, 4, 0, 0, 17, time.UTC), Function: "thumbs", Version: "v2", Stream: StreamStderr, Level: "error",
		Line: "a \"line\" with \x01, \u2028 and \xff", Run: "3-17-ab-1", Instance: "12", TraceID: strings.Repeat("a", 32), SpanID: strings.Repeat("b", 16),
	}
	for name, l := range map[string]Log{"whole": whole, "least": {Time: whole.Time, Function: "f", Stream: StreamStdout}} {
		t.Run(name, func(t *testing.T) {
			m := l.Message("id-1")
			got, err := ParseLog(m)
			want := l
			want.Line = strings.ToValidUTF8(l.Line, "\uFFFD")
			if err != nil || got != want {
				t.Errorf("read back %+v, %v; want %+v", got, err, want)
			}
			var plain, ours any
			b, _ := json.Marshal(l)
			if json.Unmarshal(b, &plain) != nil || json.Unmarshal(m.Value, &ours) != nil {
				t.Errorf("no JSON: %s", m.Value)
			}
			if string(m.Key) != l.Function {
				t.Errorf("key %q", m.Key)
			}
		})
	}
	if _, err := ParseLog((&Run{}).Message()); err == nil {
		t.Error("a run was read as a line")
	}
}

func TestAStructuredLineSaysWhereItBelongs(t *testing.T) {
	trace, span := "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, c := range []struct {
		name, line string
		known      Log
		want       Log
	}{
		{"plain text", "run=1", Log{}, Log{}},
		{"run and level", `{"level":"WARN","signalbox_run":"0-1-ab-1","msg":"x"}`, Log{}, Log{Level: "warning", Run: "0-1-ab-1"}},
		{"other names", `{"severity":"CRITICAL","run":"0-1-ab-1"}`, Log{}, Log{Level: "error", Run: "0-1-ab-1"}},
		{"traceparent", `{"traceparent":"00-` + trace + `-` + span + `-01"}`, Log{}, Log{TraceID: trace, SpanID: span}},
		{"ids", `{"trace_id":"` + trace + `","span_id":"` + span + `"}`, Log{}, Log{TraceID: trace, SpanID: span}},
		{"what is known stays", `{"run":"mine","trace_id":"` + trace + `","level":"info"}`, Log{Run: "1", TraceID: "2", Level: "error"}, Log{Run: "1", TraceID: "2", Level: "error"}},
		{"no strings", `{"run":17,"level":30,"trace_id":null}`, Log{}, Log{}},
		{"no ids", `{"run":"a b","trace_id":"` + strings.Repeat("0", 32) + `","traceparent":"00-x"}`, Log{}, Log{}},
		{"broken", `{"run":"a"`, Log{}, Log{}},
		{"too long", `{"run":"a","pad":"` + strings.Repeat("x", maxStructured) + `"}`, Log{}, Log{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.known.Line, c.want.Line = c.line, c.line
			if c.known.Structured(); c.known != c.want {
				t.Errorf("%+v, want %+v", c.known, c.want)
			}
		})
	}
}

// Lines are what functions print: anything.
func FuzzLogLine(f *testing.F) {
	f.Add(`{"run":"0-1-ab-1","level":"info"}`)
	f.Add("\xff\x00{}")
	f.Fuzz(func(t *testing.T, line string) {
		l := Log{Time: time.Unix(1, 0).UTC(), Function: "f", Stream: StreamStdout, Line: line}
		l.Structured()
		got, err := ParseLog(l.Message("1"))
		l.Line = strings.ToValidUTF8(l.Line, "\uFFFD")
		if err != nil || strings.ReplaceAll(got.Line, "\uFFFD", "") != strings.ReplaceAll(l.Line, "\uFFFD", "") {
			t.Errorf("read back %+v, %v; want %+v", got, err, l)
		}
	})
}

func BenchmarkLogMessage(b *testing.B) {
	l := Log{Time: time.Now(), Function: "thumbs", Stream: StreamStdout, Line: strings.Repeat("a line of text ", 8), Run: "3-17-bf4b9bad694f4809-1"}
	b.ReportAllocs()
	for b.Loop() {
		l.Message("id")
	}
}

func BenchmarkStructuredLine(b *testing.B) {
	line := `{"time":"2026-11-21T04:00:00Z","level":"info","msg":"thumbnail made","signalbox_run":"3-17-bf4b9bad694f4809-1","width":200,"height":100}`
	b.ReportAllocs()
	for b.Loop() {
		l := Log{Line: line}
		l.Structured()
	}
}
