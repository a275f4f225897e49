package dispatcher_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// presents is a Caller that shows what it is given.
type presents struct {
	tls     *tls.Config
	refused func() bool
}

func (p *presents) TLS() *tls.Config { return p.tls }

func (p *presents) Present(id, body []byte, at time.Time, add func(string, []byte)) {
	add("Authorization", []byte("Bearer canary-token"))
	add("webhook-id", id)
	add("webhook-signature", fmt.Appendf(nil, "%s|%d", body, at.Unix()))
}

func (p *presents) Refused() bool { return p.refused != nil && p.refused() }

func (p *presents) Redact(text []byte) []byte {
	return []byte(strings.ReplaceAll(string(text), "canary-token", "[redacted]"))
}

// callers answers what its function says.
type callers func(*resource.Function) (dispatcher.Caller, error)

func (c callers) Of(fn *resource.Function) (dispatcher.Caller, error) { return c(fn) }

// withCall are targets whose functions have a call.
func withCall(targets []resource.Target) []resource.Target {
	for i := range targets {
		fn := *targets[i].Function
		fn.Spec.Call = &resource.Call{Bearer: &resource.CallBearer{Secret: "a"}}
		targets[i].Function = &fn
	}
	return targets
}

func newServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func presenting(p *presents) func(*bed) {
	return func(b *bed) {
		b.parts.Callers = callers(func(*resource.Function) (dispatcher.Caller, error) { return p, nil })
	}
}

func TestCallsPresentWhatTheFunctionWants(t *testing.T) {
	for _, format := range []string{resource.FormatBinary, resource.FormatStructured, resource.FormatBatch} {
		t.Run(format, func(t *testing.T) {
			var got *http.Request
			var body string
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				got, body = r, string(b)
			})
			target := dispatchertest.Target("link", "fn", s.URL, resource.Delivery{Format: format})
			b := newBed(t, withCall([]resource.Target{target}), presenting(&presents{}))
			ev := newEvent("a")
			ev.Data = []byte(`{"a": 1}`)
			b.send(ev)
			b.waitSettled(1)
			h := got.Header
			signed, _, _ := strings.Cut(h.Get("Webhook-Signature"), "|")
			if h.Get("Authorization") != "Bearer canary-token" || h.Get("Webhook-Id") != h.Get("Idempotency-Key") || h.Get("Webhook-Id") == "" || signed != body || body == "" {
				t.Errorf("got %v with %s", h, body)
			}
		})
	}
}

func TestNoAttemptIsSpentWhileNothingCanBePresented(t *testing.T) {
	var calls wordLog
	s := newServer(t, counter(&calls))
	target := dispatchertest.Target("link", "fn", s.URL, resource.Delivery{Attempts: 1})
	var asked atomic.Int32
	b := newBed(t, withCall([]resource.Target{target}), func(b *bed) {
		b.parts.Callers = callers(func(*resource.Function) (dispatcher.Caller, error) {
			if asked.Add(1) < 4 {
				return nil, errors.New("no token yet")
			}
			return &presents{}, nil
		})
	})
	b.send(newEvent("a"))
	b.waitSettled(1)
	if runs := b.log.Runs(); calls.String() != "a" || len(runs) != 1 || runs[0].Attempt != 1 || runs[0].Outcome != event.Delivered {
		t.Errorf("called for %q, runs %+v", calls.String(), runs)
	}
}

func TestAFunctionThatWantsCallersIsNotCalledWithout(t *testing.T) {
	var calls wordLog
	s := newServer(t, counter(&calls))
	for name, change := range map[string]func(*bed){
		"nobody knows any":                 func(*bed) {},
		"a certificate is wanted, by http": presenting(&presents{tls: &tls.Config{}}),
	} {
		t.Run(name, func(t *testing.T) {
			target := dispatchertest.Target("link", "fn", s.URL, resource.Delivery{MaxAge: resource.Duration(300 * time.Millisecond)})
			b := newBed(t, withCall([]resource.Target{target}), change)
			b.send(newEvent("a"))
			b.waitSettled(1)
			if dead := b.log.Dead(); calls.String() != "" || len(dead) != 1 || dead[0].Attempts[0].Class != "not_ready" {
				t.Errorf("called for %q, dead letters %+v", calls.String(), dead)
			}
		})
	}
}

func TestATokenThatIsNoLongerGoodSpendsNoAttempt(t *testing.T) {
	var stale atomic.Bool
	stale.Store(true)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if stale.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	target := dispatchertest.Target("link", "fn", s.URL, resource.Delivery{Attempts: 1})
	p := &presents{refused: func() bool { return stale.Swap(false) }}
	b := newBed(t, withCall([]resource.Target{target}), presenting(p))
	b.send(newEvent("a"))
	b.waitSettled(1)
	runs := b.log.Runs()
	if len(runs) != 2 || runs[0].Status != 401 || runs[0].Outcome != event.Retrying || runs[1].Outcome != event.Delivered || len(b.log.Dead()) > 0 {
		t.Errorf("runs %+v, dead letters %+v", runs, b.log.Dead())
	}
	stale.Store(true)
	p.refused = func() bool { return false }
	b.Handle(b.part, records(1, newEvent("b")), b.settle)
	b.waitSettled(2)
	if dead := b.log.Dead(); len(dead) != 1 || dead[0].Attempts[0].Status != 401 {
		t.Errorf("a fresh token that is refused: %+v", dead)
	}
}

func TestATokenThatTheFunctionRepeatsIsInNoRecord(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("ce-id") == "reply" {
			w.Header().Set("ce-id", "1") // claims to be an event, and is none
			w.Header().Set("ce-specversion", r.Header.Get("Authorization"))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "you sent ", r.Header.Get("Authorization"), strings.Repeat(" ", 990), r.Header.Get("Authorization"))
	})
	target := dispatchertest.Target("link", "fn", s.URL, resource.Delivery{Attempts: 1})
	b := newBed(t, withCall([]resource.Target{target}), presenting(&presents{}))
	b.send(newEvent("a"), newEvent("reply"))
	b.waitSettled(2)
	dead := b.log.Dead()
	if len(dead) != 2 || !strings.HasPrefix(fmt.Sprint(dead[0].Attempts[0].Body, dead[1].Attempts[0].Body), "you sent Bearer [redacted] ") {
		t.Errorf("dead letters %+v", dead)
	}
	if all := fmt.Sprintf("%+v %+v", dead, b.log.Runs()); strings.Contains(all, "canary") {
		t.Error("the token stands in a record: ", all)
	}
}

func TestConnectionsBelongToOneIdentity(t *testing.T) {
	var mu sync.Mutex
	remotes := map[string]bool{}
	s := newTLSServer(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		remotes[r.RemoteAddr] = true
	})
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	p := &presents{tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	var mine atomic.Pointer[presents]
	mine.Store(p)
	b := newBed(t, withCall(one(s.URL)), func(b *bed) {
		b.parts.Callers = callers(func(*resource.Function) (dispatcher.Caller, error) { return mine.Load(), nil })
	})
	for i := range 4 {
		if i == 2 {
			mine.Store(&presents{tls: p.tls.Clone()})
		}
		b.Handle(b.part, records(int64(i), newEvent(fmt.Sprint(i))), b.settle)
		b.waitSettled(i + 1)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(remotes) != 2 || len(b.log.Dead()) > 0 {
		t.Errorf("%d connections, want 2; dead letters %+v", len(remotes), b.log.Dead())
	}
}
