package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

func deliveryPath(token, what string) string {
	return "/api/v1/deliveries/" + url.PathEscape(token) + "/" + what
}

// CompleteDelivery reports that the work on a delivery under a lease is done;
// the token is what the call said in Signalbox-Delivery. The events are replies,
// as the function's answer would have carried them. It returns when the report
// is durable; to report twice does no harm.
func (c *Client) CompleteDelivery(ctx context.Context, token string, replies ...*event.Event) error {
	r := request{method: http.MethodPost, path: deliveryPath(token, "complete")}
	if len(replies) > 0 {
		r.header = http.Header{"Content-Type": {event.ContentTypeBatch}}
		r.body = event.AppendJSONBatch(nil, replies)
	}
	return c.call(ctx, r, nil)
}

// FailDelivery reports that the work on a delivery under a lease failed, as if
// the call had been answered with the status (400 to 599) and body.
func (c *Client) FailDelivery(ctx context.Context, token string, status int, body string) error {
	return c.call(ctx, request{
		method: http.MethodPost, path: deliveryPath(token, "complete"), query: url.Values{"status": {strconv.Itoa(status)}},
		header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: []byte(body),
	}, nil)
}

// ExtendLease asks for more time for a delivery under a lease, 1s to 24h from
// now, and returns when the lease ends if it did not last longer already.
func (c *Client) ExtendLease(ctx context.Context, token string, lease time.Duration) (until time.Time, err error) {
	var out struct{ Until time.Time }
	err = c.call(ctx, request{
		method: http.MethodPost, path: deliveryPath(token, "lease"), query: url.Values{"lease": {lease.String()}},
	}, &out)
	return out.Until, err
}
