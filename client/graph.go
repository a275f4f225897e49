package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/graph"
)

// Graph returns which types lead to which functions; with a function or a type
// (not both) only the part around it.
func (c *Client) Graph(ctx context.Context, function, typ string) (*graph.Graph, error) {
	q := url.Values{}
	if function != "" {
		q.Set("function", function)
	}
	if typ != "" {
		q.Set("type", typ)
	}
	var g graph.Graph
	if err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/graph", query: q}, &g); err != nil {
		return nil, err
	}
	return &g, nil
}

// Types lists the types of events, sorted by name, without samples; pattern is
// a type or a prefix ending in '*', "" is all.
func (c *Client) Types(ctx context.Context, pattern string) ([]catalogue.Type, error) {
	q := url.Values{}
	if pattern != "" {
		q.Set("type", pattern)
	}
	return list[catalogue.Type](ctx, c, "/api/v1/types", q, 0)
}

// Type returns one type of events with a sample.
func (c *Client) Type(ctx context.Context, name string) (catalogue.Type, error) {
	var t catalogue.Type
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/types/" + url.PathEscape(name)}, &t)
	return t, err
}
