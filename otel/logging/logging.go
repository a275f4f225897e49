// Package logging sets up slog: text or JSON lines of a least level, with the
// ids of the trace a line belongs to.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// The formats of log lines.
const (
	Text = "text"
	JSON = "json"
)

// Config says how log lines look.
type Config struct {
	// Format is text (default) or json.
	Format string
	// Level is the least level shown: debug, info (default), warn or error.
	Level string
}

// DefaultConfig is text from level info on.
func DefaultConfig() Config { return Config{Format: Text, Level: "info"} }

// level returns the least level, or every fault.
func (c *Config) level() (slog.Level, error) {
	var faults []error
	if c.Format != Text && c.Format != JSON {
		faults = append(faults, fmt.Errorf("Format %q: want text or json", c.Format))
	}
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[c.Level]
	if !ok {
		faults = append(faults, fmt.Errorf("Level %q: want debug, info, warn or error", c.Level))
	}
	return level, errors.Join(faults...)
}

// New returns a logger that writes to w, one write a line. A line logged with
// a context from tracing.NewContext gets trace_id and span_id; where there is
// no such context, Trace gives them as an attribute.
func New(w io.Writer, c Config) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, fmt.Errorf("logging: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if c.Format == JSON {
		h = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler{h}), nil
}

// Trace is the attribute of a line that belongs to c: trace_id and span_id, or
// nothing when c is not valid.
func Trace(c tracing.Context) slog.Attr { return slog.Any("", c) }

// handler adds the trace of the context.
type handler struct{ slog.Handler }

// Handle adds the trace's ids and writes the line.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if c := tracing.FromContext(ctx); c.IsValid() {
		r.AddAttrs(Trace(c))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps adding traces.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps adding traces, which are then within the group.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
