package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Query selects from the history; zero fields do not restrict.
type Query struct {
	Source, ID, Type, Function, Link, Reason string
	// Version, Run and Trace apply to runs and lines.
	Version, Run, Trace string
	// State (open, redriven or dropped) and Where (a CESQL expression over the
	// event) apply to dead letters only.
	State, Where string
	// Kind applies to decisions only.
	Kind         string
	Since, Until time.Time
	// Limit bounds the number of items; 0 leaves it to the server's pages.
	Limit int
}

func (q Query) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{
		"source": q.Source, "id": q.ID, "type": q.Type, "function": q.Function, "link": q.Link, "reason": q.Reason, "state": q.State, "where": q.Where, "kind": q.Kind,
		"version": q.Version, "run": q.Run, "trace": q.Trace,
	} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(key, t.Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Runs returns run records, oldest first.
func (c *Client) Runs(ctx context.Context, q Query) ([]event.Run, error) {
	return list[event.Run](ctx, c, "/api/v1/runs", q.values(), q.Limit)
}

// Decisions returns records of the decision log, oldest first.
func (c *Client) Decisions(ctx context.Context, q Query) ([]event.Decision, error) {
	return list[event.Decision](ctx, c, "/api/v1/decisions", q.values(), q.Limit)
}

// Subscription selects from the live stream.
type Subscription struct {
	// Types are event types or prefixes ending in *; Filter is a CESQL expression.
	Types  []string
	Filter string
	// Runs follows run records instead of events, Lines what functions print.
	Runs, Lines bool
	// Function, Version and Run select among runs and lines.
	Function, Version, Run string
	// Since begins with what is that old; zero is now.
	Since time.Time
	// OnOpen is called once the server has begun to stream.
	OnOpen func()
}

// Subscribe calls fn with each message (the event's JSON format, a run record or a
// line) and returns when ctx ends, fn fails or the server ends the stream.
func (c *Client) Subscribe(ctx context.Context, s Subscription, fn func(data []byte) error) error {
	q := url.Values{}
	for _, t := range s.Types {
		q.Add("type", t)
	}
	if s.Filter != "" {
		q.Set("filter", s.Filter)
	}
	switch {
	case s.Runs:
		q.Set("stream", "runs")
	case s.Lines:
		q.Set("stream", "logs")
	}
	for name, value := range map[string]string{"function": s.Function, "version": s.Version, "run": s.Run} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if !s.Since.IsZero() {
		q.Set("since", s.Since.Format(time.RFC3339Nano))
	}
	resp, err := c.send(ctx, request{method: http.MethodGet, path: "/subscribe", query: q, header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if s.OnOpen != nil {
		s.OnOpen()
	}
	return readStream(ctx, resp, fn)
}

// errStreamEnded is a stream the server ended.
var errStreamEnded = errors.New("the server ended the stream")

// readStream reads Server-Sent Events (one data line each, as the server writes them).
func readStream(ctx context.Context, resp *http.Response, fn func([]byte) error) error {
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), 128<<20)
	lastComment := ""
	for lines.Scan() {
		line := lines.Text()
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			if err := fn([]byte(strings.TrimPrefix(data, " "))); err != nil {
				return err
			}
		} else if comment, ok := strings.CutPrefix(line, ":"); ok {
			lastComment = strings.TrimSpace(comment)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", errStreamEnded, err)
	}
	if lastComment != "" {
		return fmt.Errorf("%w: %s", errStreamEnded, lastComment)
	}
	return errStreamEnded
}
