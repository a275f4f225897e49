package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// door posts events. It is safe for concurrent use.
type door struct {
	url, token string
	http       *http.Client
}

// postTimeout bounds one request: longer than a server holds one by default (5 s).
const postTimeout = 10 * time.Second

func newDoor(cfg *Config, connections int) *door {
	t := &http.Transport{
		TLSClientConfig: cfg.TLS,
		Proxy:           http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute,
	}
	return &door{url: strings.TrimSuffix(cfg.Server, "/") + "/events", token: cfg.Token, http: &http.Client{Transport: t, Timeout: postTimeout}}
}

func (d *door) close() { d.http.CloseIdleConnections() }

// posted is what the server said to one request with an event.
type posted struct {
	accepted bool
	// doubtful: the event may have got in, or may get in later.
	doubtful bool
	// throttled: 429. wait is what Retry-After asks for.
	throttled bool
	wait      time.Duration
	// refused: the event is not taken, and never will be.
	refused error
}

// post sends an event once: every fourth in structured mode, else binary.
func (d *door) post(ctx context.Context, e *event.Event) posted {
	req, err := d.request(ctx, e)
	if err != nil {
		return posted{refused: err}
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := d.http.Do(req)
	if err != nil {
		var op *net.OpError
		return posted{doubtful: !(errors.As(err, &op) && op.Op == "dial")}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch {
	case resp.StatusCode == http.StatusAccepted && err == nil:
		return posted{accepted: true}
	case resp.StatusCode == http.StatusTooManyRequests:
		return posted{throttled: true, wait: retryAfter(resp.Header)}
	case resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusRequestTimeout:
		return posted{refused: refusal(resp, body)}
	}
	return posted{doubtful: true, wait: retryAfter(resp.Header)}
}

func (d *door) request(ctx context.Context, e *event.Event) (*http.Request, error) {
	structured := len(e.ID)%4 == 0
	body := e.Data
	if structured {
		body = e.AppendJSON(nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if structured {
		req.Header.Set("Content-Type", event.ContentTypeJSON)
		return req, nil
	}
	e.VisitHTTPHeaders(func(name, value string) { req.Header.Set(name, value) })
	return req, nil
}

// maxWait bounds how long Retry-After is kept to: a soak wants to see what
// becomes of a deployment that has room again.
const maxWait = 10 * time.Second

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return min(time.Duration(min(s, 1000))*time.Second, maxWait)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(time.Until(t), maxWait))
	}
	return 0
}

func refusal(resp *http.Response, body []byte) error {
	p := &client.Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	_ = json.Unmarshal(body, p) // an answer that is no problem document keeps its status
	return fmt.Errorf("the deployment does not take the events of this run: %w", p)
}
