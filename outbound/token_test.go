package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// endpoint is a token endpoint.
type endpoint struct {
	*httptest.Server
	// hold, when not nil, keeps requests until it is closed.
	hold chan struct{}

	mu     sync.Mutex
	calls  int
	last   *http.Request
	answer func(n int) (status int, contentType, body string)
}

func newEndpoint(t testing.TB) *endpoint {
	e := &endpoint{answer: func(n int) (int, string, string) {
		return 200, "application/json", fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":400}`, n)
	}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// ServeHTTP implements http.Handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.hold != nil {
		<-e.hold
	}
	_ = r.ParseForm()
	e.mu.Lock()
	e.calls++
	e.last = r
	status, media, body := e.answer(e.calls)
	e.mu.Unlock()
	w.Header().Set("Content-Type", media)
	if status == 302 {
		w.Header().Set("Location", body)
	}
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (e *endpoint) answers(f func(n int) (int, string, string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = f
}

func (e *endpoint) called() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls
}

func (e *endpoint) call() *resource.Call {
	return &resource.Call{Bearer: &resource.CallBearer{OIDC: &resource.CallOIDC{TokenURL: e.URL + "/token", ClientID: "me:you", ClientSecret: "s"}}}
}

// bearer is what a call presents when it has waited.
func bearer(t *testing.T, c *Callers, call *resource.Call) string {
	t.Helper()
	caller, err := c.Wait(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return presented(caller, "i", "b", time.Time{})["Authorization"]
}

func TestATokenIsFetchedByClientCredentials(t *testing.T) {
	e := newEndpoint(t)
	v := newVault(map[string]string{"s": "p&ss w"})
	c := v.callers(t)
	call := e.call()
	call.Bearer.OIDC.Scopes, call.Bearer.OIDC.Audience = []string{"a", "b"}, "https://f"
	if _, err := c.Of(call); !errors.Is(err, ErrNotReady) {
		t.Errorf("before there is one: %v", err)
	}
	if got := bearer(t, c, call); got != "Bearer token-1" {
		t.Error(got)
	}
	user, password, _ := e.last.BasicAuth()
	if f := e.last.PostForm; user != "me%3Ayou" || password != "p%26ss+w" || f.Encode() != "audience=https%3A%2F%2Ff&grant_type=client_credentials&scope=a+b" {
		t.Errorf("asked by %s:%s with %v", user, password, f)
	}
	post := e.call()
	post.Bearer.OIDC.ClientAuth = resource.ClientAuthPost
	if got := bearer(t, c, post); got != "Bearer token-2" {
		t.Error(got)
	}
	if _, _, basic := e.last.BasicAuth(); basic || e.last.PostForm.Get("client_secret") != "p&ss w" || e.last.PostForm.Get("client_id") != "me:you" {
		t.Errorf("asked with %v", e.last.PostForm)
	}
}

func TestOneRequestForAllWhoWait(t *testing.T) {
	e := newEndpoint(t)
	e.hold = make(chan struct{})
	c := newVault(map[string]string{"s": "the-secret"}).callers(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := bearer(t, c, e.call()); got != "Bearer token-1" {
				t.Error(got)
			}
		})
	}
	close(e.hold)
	wg.Wait()
	if e.called() != 1 {
		t.Errorf("%d requests", e.called())
	}
}

func TestATokenIsRenewedBeforeItEndsAndKeptUntilThen(t *testing.T) {
	e := newEndpoint(t)
	v := newVault(map[string]string{"s": "the-secret"})
	c := v.callers(t)
	call := e.call()
	bearer(t, c, call)
	v.pass(339 * time.Second)
	if bearer(t, c, call); e.called() != 1 {
		t.Errorf("renewed early: %d requests", e.called())
	}
	e.answers(func(int) (int, string, string) { return 503, "text/plain", "" })
	v.pass(2 * time.Second)
	if got := bearer(t, c, call); got != "Bearer token-1" {
		t.Error(got)
	}
	c.await(call)
	if got := bearer(t, c, call); got != "Bearer token-1" || e.called() != 2 {
		t.Errorf("with an endpoint that fails: %s after %d requests", got, e.called())
	}
	e.answers(func(n int) (int, string, string) {
		return 200, "application/json", fmt.Sprintf(`{"access_token":"token-%d","expires_in":"400"}`, n)
	})
	v.pass(2 * time.Second)
	bearer(t, c, call)
	c.await(call)
	if got := bearer(t, c, call); got != "Bearer token-3" {
		t.Error(got)
	}
}

// await waits for the request that is under way.
func (c *Callers) await(call *resource.Call) {
	s := c.source(call.Bearer.OIDC)
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

func TestAnEndpointThatFailsIsAskedMoreAndMoreSeldom(t *testing.T) {
	e := newEndpoint(t)
	e.answers(func(int) (int, string, string) {
		return 401, "application/json", `{"error":"invalid_client","error_description":"the secret canary-secret is wrong"}`
	})
	v := newVault(map[string]string{"s": "canary-secret"})
	c := v.callers(t)
	call := e.call()
	_, err := c.Wait(t.Context(), call)
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), e.URL+"/token: answer 401, invalid_client: the secret [redacted] is wrong") {
		t.Error(err)
	}
	for want, pass := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
		v.pass(pass - time.Millisecond)
		_, _ = c.Wait(t.Context(), call)
		if got := e.called(); pass > 0 && got != want {
			t.Errorf("a moment before %s: %d requests", pass, got)
		}
		v.pass(time.Millisecond)
		_, _ = c.Wait(t.Context(), call)
		if got := e.called(); got != want+1 {
			t.Errorf("after %s: %d requests", pass, got)
		}
	}
	if n := strings.Count(v.logged(), "no token"); n != 1 || strings.Contains(v.logged(), "canary") {
		t.Errorf("logged %d times: %s", n, v.logged())
	}
	e.answers(func(n int) (int, string, string) { return 200, "application/json", `{"access_token":"t"}` })
	v.set("s", "another")
	v.pass(time.Second)
	if got := bearer(t, c, call); got != "Bearer t" {
		t.Errorf("with another secret: %s", got)
	}
}

func TestARefusedTokenIsExchangedOnceItIsNotFresh(t *testing.T) {
	e := newEndpoint(t)
	v := newVault(map[string]string{"s": "the-secret"})
	c := v.callers(t)
	call := e.call()
	caller, err := c.Wait(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if caller.Refused() {
		t.Error("a fresh token is exchanged")
	}
	v.pass(time.Minute)
	for range 2 { // of two calls that were refused
		if !caller.Refused() {
			t.Error("an older one is not")
		}
	}
	if got := bearer(t, c, call); got != "Bearer token-2" || e.called() != 2 {
		t.Errorf("%s after %d requests", got, e.called())
	}
}

func TestAnswersThatAreNoToken(t *testing.T) {
	for name, x := range map[string]struct {
		status      int
		media, body string
		want        string
	}{
		"no JSON":           {200, "application/json", `canary`, "not the JSON that is wanted"},
		"another type":      {200, "text/html", `<html>canary`, `of type "text/html"`},
		"no token":          {200, "application/json", `{"error":"canary"}`, "has no access_token"},
		"two lines":         {200, "application/json", `{"access_token":"canary\r\nX: y"}`, "has no access_token"},
		"no bearer":         {200, "application/json", `{"access_token":"canary","token_type":"DPoP"}`, `of type "DPoP"`},
		"elsewhere":         {302, "text/plain", "/canary", "answer 302"},
		"without end":       {200, "application/json", strings.Repeat(" ", maxTokenAnswer+1), "more than 262144 bytes"},
		"an error as text":  {500, "text/plain", "canary", "answer 500"},
		"a long error code": {400, "application/json", `{"error":"` + strings.Repeat("e", 1000) + `canary"}`, "eee…"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			e.answers(func(int) (int, string, string) { return x.status, x.media, x.body })
			c := newVault(map[string]string{"s": "the-secret"}).callers(t)
			if _, err := c.Wait(t.Context(), e.call()); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "canary") {
				t.Error(err)
			}
		})
	}
}

func TestCloseEndsARequestThatIsUnderWay(t *testing.T) {
	e := newEndpoint(t)
	e.hold = make(chan struct{})
	defer close(e.hold)
	c := newVault(map[string]string{"s": "the-secret"}).callers(t)
	_, _ = c.Of(e.call())
	c.Close()
	if _, err := c.Wait(t.Context(), e.call()); !errors.Is(err, ErrNotReady) {
		t.Errorf("after the end: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("application/json", []byte(`{"access_token":"t","token_type":"Bearer","expires_in":3600}`))
	f.Add("", []byte(`{"access_token":"t","expires_in":"1e99"}`))
	f.Add("text/html; x", []byte(`[]`))
	f.Fuzz(func(t *testing.T, media string, b []byte) {
		got := time.Unix(1000, 0)
		tok, err := parseToken(media, b, got)
		if err != nil {
			return
		}
		if !headerSafe(tok.authorization[len(bearerPrefix):]) || tok.renew.Before(got) || tok.end.Before(tok.renew) || tok.end.After(got.Add(24*time.Hour)) {
			t.Errorf("%+v", tok)
		}
	})
}

// hangingDial connects to nobody.
func hangingDial(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnEndpointThatHangsFailsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVault(map[string]string{"s": "the-secret"}).callers(t, func(c *Config) { c.Dial = hangingDial })
		call := &resource.Call{Bearer: &resource.CallBearer{OIDC: &resource.CallOIDC{TokenURL: "http://id.example/token", ClientID: "me", ClientSecret: "s"}}}
		begun := time.Now()
		if _, err := c.Wait(t.Context(), call); !errors.Is(err, ErrNotReady) || time.Since(begun) != 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		c.Close()
	})
}
