package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/signalbox-dev/signalbox/resource"
)

// CreateKey adds an API key and returns it with its token, which the server
// shows this once. A key of that name that is there is a *Problem of status 409.
func (c *Client) CreateKey(ctx context.Context, name string, spec resource.KeySpec) (key resource.Object, token string, err error) {
	k, err := resource.LookupKind(resource.KindKey)
	if err != nil {
		return key, "", err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return key, "", err
	}
	body, err := json.Marshal(resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindKey, Metadata: resource.Metadata{Name: name}, Spec: b})
	if err != nil {
		return key, "", err
	}
	err = c.call(ctx, request{method: http.MethodPost, path: kindPath(k), header: http.Header{"Content-Type": {"application/json"}}, body: body}, &key)
	if err != nil {
		return key, "", err
	}
	var status struct{ Token string }
	if json.Unmarshal(key.Status, &status) != nil || status.Token == "" && spec.Hash == "" {
		return key, "", fmt.Errorf("the server has made the key %s and shows no token", name)
	}
	return key, status.Token, nil
}
