package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

func kindPath(k resource.Kind) string { return "/api/v1/" + k.Plural }

func objectPath(k resource.Kind, name string) string {
	return kindPath(k) + "/" + url.PathEscape(name)
}

// List returns every resource of a kind, sorted by name.
func (c *Client) List(ctx context.Context, k resource.Kind, selector string) ([]resource.Object, error) {
	q := url.Values{}
	if selector != "" {
		q.Set("selector", selector)
	}
	return list[resource.Object](ctx, c, kindPath(k), q, 0)
}

// Get returns one resource.
func (c *Client) Get(ctx context.Context, k resource.Kind, name string) (resource.Object, error) {
	var o resource.Object
	err := c.call(ctx, request{method: http.MethodGet, path: objectPath(k, name)}, &o)
	return o, err
}

// Put writes one resource; with a revision in its metadata only if it is still that.
func (c *Client) Put(ctx context.Context, k resource.Kind, o resource.Object) (resource.Object, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return o, err
	}
	var out resource.Object
	err = c.call(ctx, request{
		method: http.MethodPut, path: objectPath(k, o.Metadata.Name),
		header: http.Header{"Content-Type": {"application/json"}}, body: b,
	}, &out)
	return out, err
}

// Delete removes one resource.
func (c *Client) Delete(ctx context.Context, k resource.Kind, name string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: objectPath(k, name)}, nil)
}

// Applied is the answer to an apply.
type Applied struct {
	Items []resource.Object `json:"items"`
	// Warnings are those that the change introduces: cycles, functions that nothing
	// leads to, types nobody listens to, links that lead nowhere.
	Warnings []graph.Finding `json:"warnings,omitempty"`
	// Radius is what the change reaches; only of a dry run.
	Radius *graph.Radius `json:"radius,omitempty"`
}

// Apply writes resources: all of them, or none. A dry run only checks.
func (c *Client) Apply(ctx context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error) {
	out, err := c.ApplyWarned(ctx, objects, dryRun)
	return out.Items, err
}

// ApplyWarned is Apply with what there is to say about the change.
func (c *Client) ApplyWarned(ctx context.Context, objects []resource.Object, dryRun bool) (Applied, error) {
	var out Applied
	var body bytes.Buffer
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			return out, err
		}
		body.WriteString("---\n")
		body.Write(b)
		body.WriteByte('\n')
	}
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/api/v1/apply",
		query:  url.Values{"dryRun": {strconv.FormatBool(dryRun)}},
		header: http.Header{"Content-Type": {"application/yaml"}}, body: body.Bytes(),
	}, &out)
	return out, err
}

// Rollback brings a version of a function into force again, "" the one before.
func (c *Client) Rollback(ctx context.Context, function, version string) (resource.Object, error) {
	k, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		return resource.Object{}, err
	}
	r := request{method: http.MethodPost, path: objectPath(k, function) + "/rollback"}
	if version != "" {
		if r.body, err = json.Marshal(map[string]string{"version": version}); err != nil {
			return resource.Object{}, err
		}
		r.header = http.Header{"Content-Type": {"application/json"}}
	}
	var o resource.Object
	err = c.call(ctx, r, &o)
	return o, err
}
