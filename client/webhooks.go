package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// WebhookPreview is what a webhook would make of a payload.
type WebhookPreview struct {
	// Event is in the CloudEvents JSON format; null when it would only be answered, with Answer.
	Event  json.RawMessage `json:"event"`
	Answer string          `json:"answer,omitempty"`
	// Verified says whether it would be taken as it is, Why why not.
	Verified bool   `json:"verified"`
	Why      string `json:"why,omitempty"`
}

// PreviewWebhook shows the event that a payload would become at a webhook.
// Nothing is verified for it and nothing is appended.
func (c *Client) PreviewWebhook(ctx context.Context, name string, header http.Header, query url.Values, payload []byte) (WebhookPreview, error) {
	var p WebhookPreview
	path := "/api/v1/webhooks/" + url.PathEscape(name) + "/preview"
	err := c.call(ctx, request{method: http.MethodPost, path: path, query: query, header: header, body: payload}, &p)
	return p, err
}
