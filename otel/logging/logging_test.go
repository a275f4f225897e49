package logging

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/otel/tracing"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestLines(t *testing.T) {
	c := tracing.FromHeaders("00-"+traceID+"-"+spanID+"-01", "")
	inTrace := tracing.NewContext(context.Background(), c)
	const jsonIDs = `"trace_id":"` + traceID + `","span_id":"` + spanID + `"`
	tests := []struct {
		name   string
		config Config
		log    func(*slog.Logger)
		want   string
	}{
		{"text of a trace", Config{Text, "info"}, func(l *slog.Logger) { l.InfoContext(inTrace, "m", "a", 1) },
			`level=INFO msg=m a=1 trace_id=` + traceID + ` span_id=` + spanID},
		{"JSON of a trace", Config{JSON, "info"}, func(l *slog.Logger) { l.InfoContext(inTrace, "m", "a", 1) },
			`"level":"INFO","msg":"m","a":1,` + jsonIDs + `}`},
		{"by attribute", Config{JSON, "info"}, func(l *slog.Logger) { l.Info("m", Trace(c)) },
			`"msg":"m",` + jsonIDs + `}`},
		{"with attributes of the logger", Config{JSON, "info"}, func(l *slog.Logger) { l.With("a", 1).InfoContext(inTrace, "m") },
			`"msg":"m","a":1,` + jsonIDs + `}`},
		{"no trace", Config{Text, "info"}, func(l *slog.Logger) { l.Info("m", Trace(tracing.Context{})) }, `level=INFO msg=m`},
		{"below the level", Config{Text, "warn"}, func(l *slog.Logger) { l.Info("m") }, ``},
		{"of the level", Config{Text, "debug"}, func(l *slog.Logger) { l.Debug("m") }, `level=DEBUG msg=m`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			l, err := New(&b, test.config)
			if err != nil {
				t.Fatal(err)
			}
			test.log(l)
			got := strings.TrimSuffix(b.String(), "\n")
			if !strings.HasSuffix(got, test.want) || (test.want == "") != (got == "") {
				t.Errorf("got %q, want it to end in %q", got, test.want)
			}
		})
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(&strings.Builder{}, Config{Format: "xml", Level: "loud"})
	if err == nil || !strings.Contains(err.Error(), "Format") || !strings.Contains(err.Error(), "Level") {
		t.Errorf("got %v", err)
	}
}
