package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// someWebhooks knows webhooks by the first letter of their names.
type someWebhooks struct{ last *Delivery }

func (w *someWebhooks) Take(name string, d *Delivery) (Taken, error) {
	w.last = d
	e := &event.Event{ID: "1", Source: "/w", Type: "t", Data: d.Body}
	switch name {
	case "event":
		return Taken{Provider: "github", Event: e}, nil
	case "quiet":
		return Taken{Provider: "twilio", Event: e, Quiet: true}, nil
	case "handshake":
		return Taken{Answer: []byte("<b>"), ContentType: "text/plain; charset=utf-8"}, nil
	case "unverified":
		return Taken{}, &WebhookRefusal{Cause: RefusalUnverified, Detail: "the signature is wrong"}
	case "malformed":
		return Taken{}, &WebhookRefusal{Cause: RefusalMalformed, Detail: "no type"}
	case "nosecret":
		return Taken{}, &WebhookRefusal{Cause: RefusalNoSecret, Detail: "come again", Err: errors.New("where it was looked for")}
	case "far":
		return Taken{}, &WebhookRefusal{Cause: RefusalForbidden, Detail: "from this machine only"}
	}
	return Taken{}, ErrNotFound
}

func (w *someWebhooks) Challenge(name string, d *Delivery) ([]byte, error) {
	if name != "event" || d.Query != "hub.challenge=1" {
		return nil, ErrNotFound
	}
	return []byte("1"), nil
}

func (w *someWebhooks) Preview(name string, d *Delivery) (Taken, error, error) {
	t, err := w.Take(name, d)
	return t, &WebhookRefusal{Detail: "not signed"}, err
}

func withWebhooks(_ *Config, d *Deps) { d.Webhooks = &someWebhooks{} }

func TestWhatBecomesOfAWebhook(t *testing.T) {
	r := start(t, withWebhooks)
	for name, want := range map[string]struct {
		status int
		body   string
		kind   problem.Kind
	}{
		"event": {status: 202, body: `{"accepted":1}`}, "quiet": {status: 204}, "handshake": {status: 200, body: "<b>"},
		"unverified": {401, "the signature is wrong", problem.UnverifiedWebhook}, "malformed": {400, "no type", problem.InvalidRequest},
		"nosecret": {503, "come again", problem.Unavailable}, "far": {403, "this machine", problem.Forbidden}, "none": {404, "", problem.NotFound},
	} {
		a := r.do("POST", "/webhooks/"+name, `{"a":1}`, "Content-Type", "application/json")
		if a.StatusCode != want.status || !strings.Contains(string(a.body), want.body) || strings.Contains(string(a.body), "looked for") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		if want.kind != 0 && !strings.Contains(string(a.body), want.kind.Slug()) {
			t.Errorf("%s: %s, want a problem %s", name, a.body, want.kind.Slug())
		}
		if want.status == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	if got := len(r.log.Records()); got != 2 {
		t.Errorf("%d events in the log, want those of event and quiet", got)
	}
	if !strings.Contains(r.logs.String(), "a webhook delivery was refused") || !strings.Contains(r.logs.String(), "the signature is wrong") {
		t.Errorf("the log does not say why one was refused: %s", r.logs.String())
	}
	if !strings.Contains(r.logs.String(), "where it was looked for") {
		t.Error("the log does not say why")
	}
}

func TestAChallengeIsNeverHTML(t *testing.T) {
	r := start(t, withWebhooks)
	if a := r.do("GET", "/webhooks/event?hub.challenge=1", ""); a.StatusCode != 200 || string(a.body) != "1" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %s %s", a.StatusCode, a.body, a.Header.Get("Content-Type"))
	}
	if a := r.do("GET", "/webhooks/event", ""); a.StatusCode != 404 {
		t.Errorf("no handshake: %d", a.StatusCode)
	}
	if a := r.do("OPTIONS", "/webhooks/event", "", "WebHook-Request-Origin", "a.example"); a.StatusCode != 200 || a.Header.Get("WebHook-Allowed-Origin") == "" {
		t.Errorf("the CloudEvents handshake: %d %v", a.StatusCode, a.Header)
	}
}

func TestAPreviewAppendsNothing(t *testing.T) {
	r := start(t, withWebhooks)
	a := r.do("POST", "/api/v1/webhooks/event/preview", `{"a":1}`, "Content-Type", "application/json", "X-A", "1", "X-A", "2")
	var got struct {
		Event    map[string]any
		Verified bool
		Why      string
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.Event["id"] != "1" || got.Verified || got.Why != "not signed" {
		t.Errorf("%s %v", a.body, err)
	}
	if len(r.log.Records()) > 0 {
		t.Error("it was appended")
	}
}

// seen is what a webhook got to see of a request.
func seen(t *testing.T, headers ...string) *Delivery {
	t.Helper()
	w := &someWebhooks{}
	r := start(t, func(_ *Config, d *Deps) { d.Webhooks = w })
	r.do("POST", "/webhooks/unverified?q=%2B1", "body", headers...)
	return w.last
}

func TestADeliveryIsSeenAsItIs(t *testing.T) {
	d := seen(t, "X-A", "1", "X-A", "2", "x-GITHUB-event", "push")
	if d.Query != "q=%2B1" || string(d.Body) != "body" || !d.Loopback || d.Method != http.MethodPost || time.Since(d.Now) > time.Minute {
		t.Errorf("%+v", d)
	}
	for _, proxy := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"} {
		if seen(t, proxy, "203.0.113.1").Loopback {
			t.Errorf("%s: somebody behind a proxy is taken for this machine", proxy)
		}
	}
	for host, want := range map[string]bool{"localhost:80": true, "LOCALHOST": true, "[::1]:80": true, "127.0.0.1": true, "rebound.example": false, "localhost.example:80": false, "10.0.0.1": false} {
		if got := seen(t, "Host", host).Loopback; got != want {
			t.Errorf("under the name %s: this machine: %v", host, got)
		}
	}
}

func TestAWebhookIsAskedAboutAsWhatItIs(t *testing.T) {
	var got Admission
	r := start(t, func(_ *Config, d *Deps) {
		d.Webhooks = &someWebhooks{}
		d.Admitter = askedAs(func(_ context.Context, a Admission) (Verdict, error) {
			got = a
			return Verdict{Denied: true, Reason: "no"}, nil
		})
	})
	if a := r.do("POST", "/webhooks/event", "x"); a.StatusCode != 403 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	input := got.Identity.Input()
	if got.Route != "/webhooks/event" || input["kind"] != "webhook" || input["name"] != "event" {
		t.Errorf("route %s, identity %v", got.Route, input)
	}
}

func TestDeliveriesThatAreNotSignedRightlyAreBounded(t *testing.T) {
	r := start(t, func(c *Config, d *Deps) {
		withWebhooks(c, d)
		c.Access.Required, c.Access.RootKey = true, strings.Repeat("k", 32)
	})
	last := func(path string) (a answer) {
		for range 25 {
			a = r.do("POST", path, "x")
		}
		return a
	}
	if a := last("/webhooks/unverified"); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), problem.TooManyFailures.Slug()) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for path, want := range map[string]int{"/webhooks/event": 202, "/webhooks/malformed": 400, "/webhooks/none": 404} {
		if a := last(path); a.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, want)
		}
	}
}

// askedAs is an admitter that sees the whole question.
type askedAs func(ctx context.Context, a Admission) (Verdict, error)

func (f askedAs) Admit(ctx context.Context, a Admission) (Verdict, error) { return f(ctx, a) }
