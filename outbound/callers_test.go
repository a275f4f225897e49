package outbound

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// vault holds secrets and the time, and keeps the log.
type vault struct {
	mu      sync.Mutex
	secrets map[string]string
	now     time.Time
	log     bytes.Buffer
}

func newVault(secrets map[string]string) *vault {
	return &vault{secrets: secrets, now: time.Unix(1800000000, 0)}
}

func (v *vault) secret(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.secrets[name]
	if !ok {
		return nil, fmt.Errorf("secret %s: there is none", name)
	}
	return []byte(s), nil
}

func (v *vault) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if value == "" {
		delete(v.secrets, name)
		return
	}
	v.secrets[name] = value
}

func (v *vault) time() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

func (v *vault) pass(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// Write implements io.Writer for the log.
func (v *vault) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.Write(b)
}

func (v *vault) logged() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.String()
}

func (v *vault) callers(t testing.TB, options ...func(*Config)) *Callers {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Secret, cfg.Now, cfg.Logger = v.secret, v.time, slog.New(slog.NewTextHandler(v, nil))
	for _, o := range options {
		o(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// presented are the headers of a call.
func presented(c *Caller, id, body string, at time.Time) map[string]string {
	h := map[string]string{}
	c.Present([]byte(id), []byte(body), at, func(name string, value []byte) { h[name] = string(value) })
	return h
}

const (
	keyOne = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	keyTwo = "c2VjcmV0LW51bWJlci10d28tMDEyMzQ1"
)

func mac(key, text string) string {
	raw, _ := base64.StdEncoding.DecodeString(key)
	m := hmac.New(sha256.New, raw)
	m.Write([]byte(text))
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestASignatureByEachKeyOverWhatIsSent(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	v := newVault(map[string]string{"a": "whsec_" + keyOne, "b": keyTwo, "c": "whsk_" + base64.StdEncoding.EncodeToString(private)})
	c := v.callers(t)
	call := &resource.Call{Sign: &resource.CallSign{Secrets: []string{"a", "b", "c"}}}
	for range 2 { // the second by what the first left
		caller, err := c.Of(call)
		if err != nil {
			t.Fatal(err)
		}
		h := presented(caller, "0:7/my.link", `{"a":1}`, v.time())
		signed := `0:7/my_link.1800000000.{"a":1}`
		parts := strings.Fields(h["webhook-signature"])
		if len(h) != 3 || h["webhook-id"] != "0:7/my_link" || h["webhook-timestamp"] != "1800000000" || len(parts) != 3 || parts[0] != mac(keyOne, signed) || parts[1] != mac(keyTwo, signed) {
			t.Fatalf("got %v", h)
		}
		last, ok := strings.CutPrefix(parts[2], "v1a,")
		sig, err := base64.StdEncoding.DecodeString(last)
		if !ok || err != nil || !ed25519.Verify(public, []byte(signed), sig) {
			t.Errorf("the signature by Ed25519 is %q", parts[2])
		}
	}
}

func TestSecretsThatChangeAreUsedWithinASecond(t *testing.T) {
	v := newVault(map[string]string{"a": keyOne, "t": "first"})
	c := v.callers(t)
	call := &resource.Call{Sign: &resource.CallSign{Secrets: []string{"a"}}, Bearer: &resource.CallBearer{Secret: "t"}}
	want := func(when, key, token string) {
		t.Helper()
		caller, err := c.Of(call)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		h := presented(caller, "i", "b", time.Unix(1, 0))
		if h["webhook-signature"] != mac(key, "i.1.b") || h["Authorization"] != "Bearer "+token {
			t.Errorf("%s: got %v", when, h)
		}
	}
	want("at first", keyOne, "first")
	v.set("a", keyTwo)
	v.set("t", "second")
	want("at the same moment", keyOne, "first")
	v.pass(time.Second)
	want("a second later", keyTwo, "second")

	v.set("a", "whsec_no-key-at-all")
	v.pass(time.Second)
	want("with what cannot be used", keyTwo, "second")
	v.pass(time.Second)
	want("and once more", keyTwo, "second")
	if n := strings.Count(v.logged(), "the one before stays in force"); n != 1 || strings.Contains(v.logged(), "no-key-at-all") {
		t.Errorf("logged %d times: %s", n, v.logged())
	}
	v.set("a", "")
	v.pass(time.Second)
	if _, err := c.Of(call); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "secret a") {
		t.Errorf("without the secret: %v", err)
	}
}

func TestSecretsThatCannotBeUsedAreNamedAndNotShown(t *testing.T) {
	v := newVault(map[string]string{"short": "whsec_c2hvcnQ=", "noise": "whsec_%%canary%%", "private": "whsk_Y2FuYXJ5", "line": "canary\r\nX-Evil: 1", "pem": "canary"})
	c := v.callers(t)
	for _, x := range []struct {
		name, want string
		call       resource.Call
	}{
		{"a short key", "secret short: want whsec_", resource.Call{Sign: &resource.CallSign{Secrets: []string{"short"}}}},
		{"no base64", "secret noise: want whsec_", resource.Call{Sign: &resource.CallSign{Secrets: []string{"noise"}}}},
		{"no private key", "secret private: want whsk_", resource.Call{Sign: &resource.CallSign{Secrets: []string{"private"}}}},
		{"a token that would be two headers", "secret line: want a token", resource.Call{Bearer: &resource.CallBearer{Secret: "line"}}},
		{"a missing one", "secret none: there is none", resource.Call{Bearer: &resource.CallBearer{Secret: "none"}}},
		{"no certificate", "secrets pem and pem: want a certificate", resource.Call{TLS: &resource.CallTLS{ClientCert: "pem", ClientKey: "pem"}}},
		{"no authority", "secret pem: holds no certificate", resource.Call{TLS: &resource.CallTLS{CA: "pem"}}},
	} {
		_, err := c.Of(&x.call)
		if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestWhatAFunctionRepeatsIsRedacted(t *testing.T) {
	v := newVault(map[string]string{"t": "canary-token"})
	caller, err := v.callers(t).Of(&resource.Call{Bearer: &resource.CallBearer{Secret: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(caller.Redact([]byte("you sent Bearer canary-token, and canary-token"))); got != "you sent Bearer [redacted], and [redacted]" {
		t.Error(got)
	}
	if got := string((&Caller{}).Redact([]byte("as it is"))); got != "as it is" {
		t.Error(got)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	v := newVault(map[string]string{"s": "the-secret"})
	e := newEndpoint(t)
	e.hold = make(chan struct{})
	defer close(e.hold)
	c := v.callers(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx, e.call()); !errors.Is(err, ErrNotReady) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{})
	if err == nil || !strings.Contains(err.Error(), "Secret is missing") || !strings.Contains(err.Error(), "TokenTimeout 0s: want 100ms to 1m") {
		t.Error(err)
	}
}

func BenchmarkPresent(b *testing.B) {
	v := newVault(map[string]string{"a": keyOne, "b": keyTwo, "t": "token"})
	c := v.callers(b)
	body := bytes.Repeat([]byte("x"), 1024)
	id := []byte("3:1289/link")
	add := func(string, []byte) {}
	for name, call := range map[string]*resource.Call{
		"bearer": {Bearer: &resource.CallBearer{Secret: "t"}},
		"sign":   {Sign: &resource.CallSign{Secrets: []string{"a"}}},
		"sign2":  {Sign: &resource.CallSign{Secrets: []string{"a", "b"}}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				caller, err := c.Of(call)
				if err != nil {
					b.Fatal(err)
				}
				caller.Present(id, body, v.now, add)
			}
		})
	}
}
