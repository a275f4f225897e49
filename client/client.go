// Package client speaks the HTTP API of a running Signalbox: what the command
// line uses, and what Go programs may use.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base  string
	http  *http.Client
	token string
}

// New makes a client of the server at an http or https URL such as
// http://127.0.0.1:8080.
func New(server string, options ...Option) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("--server %q: want a URL such as http://127.0.0.1:8080", server)
	}
	c := &Client{base: strings.TrimSuffix(server, "/"), http: &http.Client{CheckRedirect: noRedirect}}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// noRedirect keeps the token, and what is sent, at the server that was named.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Problem is an error answer of the server (RFC 9457).
type Problem struct {
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Faults resource.Faults `json:"faults"`
}

// Error is one line: the detail, or every fault.
func (p *Problem) Error() string {
	if len(p.Faults) > 0 {
		return p.Faults.Error()
	}
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return p.Detail
}

// IsNotFound reports whether the server said that there is no such thing.
func IsNotFound(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

// request is one call; body and header may be nil.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}

// send makes the call and returns the answer when its status is below 300.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	resp, err := c.do(ctx, r)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		b = nil
	}
	return nil, readProblem(resp, b)
}

// readProblem reads an answer of 300 and above; one that is no problem document
// keeps its status.
func readProblem(resp *http.Response, body []byte) *Problem {
	p := &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	_ = json.Unmarshal(body, p)
	return p
}

// do makes the call and returns the answer, whatever it is.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explainDial(err)
	}
	return resp, nil
}

// explainDial turns a refused connection into what to do about it.
func (c *Client) explainDial(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("no Signalbox answers at %s (start one with `signalbox dev`, or name it with --server): %w", c.base, op.Err)
	}
	return err
}

// call is send with a JSON answer decoded into out (nil: thrown away).
func (c *Client) call(ctx context.Context, r request, out any) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: the answer is not the JSON expected: %w", r.method, r.path, err)
	}
	return nil
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// list follows the pages of a list, up to limit items (0: all).
func list[T any](ctx context.Context, c *Client, path string, query url.Values, limit int) ([]T, error) {
	var all []T
	for {
		var p page[T]
		if err := c.call(ctx, request{method: http.MethodGet, path: path, query: query}, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if p.Next == "" || limit > 0 && len(all) >= limit {
			break
		}
		query.Set("cursor", p.Next)
	}
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// Emit sends one event and returns when the server has it durably.
func (c *Client) Emit(ctx context.Context, e *event.Event) error {
	return c.call(ctx, request{
		method: http.MethodPost, path: "/events",
		header: http.Header{"Content-Type": {"application/cloudevents+json"}},
		body:   e.AppendJSON(nil),
	}, nil)
}

// Ready reports whether the server takes events and delivers them.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return c.call(ctx, request{method: http.MethodGet, path: "/readyz"}, nil)
}
