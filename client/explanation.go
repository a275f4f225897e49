package client

import (
	"context"
	"net/http"

	"github.com/signalbox-dev/signalbox/history"
)

// Explanation says what became of an event and why.
type Explanation = history.Explanation

// Explain asks for the explanation of an event; source may be "" when the id is the only one.
func (c *Client) Explain(ctx context.Context, source, id string) (Explanation, error) {
	var out Explanation
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/explain", query: Query{Source: source, ID: id}.values()}, &out)
	return out, err
}
