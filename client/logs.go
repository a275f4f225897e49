package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/signalbox-dev/signalbox/history"
)

// Line is one line of a function, with its place in the log.
type Line = history.Line

// Lines returns what functions printed, oldest first; without Since and Until the
// newest ones.
func (c *Client) Lines(ctx context.Context, q Query) ([]Line, error) {
	return list[Line](ctx, c, "/api/v1/logs", q.values(), q.Limit)
}

// Trace is a whole chain: the events it began with, and what became of them.
type Trace = history.Trace

// Trace returns the chain that an id belongs to: an event's (source may be "" when
// it is the only one), a run's or a trace's. lines asks for what the runs printed.
func (c *Client) Trace(ctx context.Context, source, id string, lines bool) (Trace, error) {
	q := url.Values{"id": {id}}
	if source != "" {
		q.Set("source", source)
	}
	if lines {
		q.Set("logs", "true")
	}
	var out Trace
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/trace", query: q}, &out)
	return out, err
}
