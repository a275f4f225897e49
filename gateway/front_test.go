package gateway

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const strangeEvent = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\nContent-Length: 2\r\n"

func TestPagesOfOtherOriginsCannotMakeABrowserWrite(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.CORSOrigins = []string{"https://app.example"} })
	host := r.server.Addr()
	for name, c := range map[string]struct {
		headers string
		want    string
	}{
		"no browser":                   {"", "202"},
		"our own page":                 {"Sec-Fetch-Site: same-origin\r\nOrigin: http://" + host + "\r\n", "202"},
		"typed by a person":            {"Sec-Fetch-Site: none\r\n", "202"},
		"an old browser, our own page": {"Origin: http://" + host + "\r\n", "202"},
		"an allowed origin":            {"Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n", "202"},
		"with a token":                 {"Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\nAuthorization: Bearer x\r\n", "202"},
		"another site":                 {"Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n", "403"},
		"another port":                 {"Sec-Fetch-Site: same-site\r\nOrigin: http://127.0.0.1:1\r\n", "403"},
		"an old browser, another site": {"Origin: https://evil.example\r\n", "403"},
		"a page without origin":        {"Origin: null\r\n", "403"},
		"a form of another site":       {"Sec-Fetch-Site: cross-site\r\n", "403"},
	} {
		if got := r.raw("POST /events HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + c.headers + strangeEvent + "\r\nhi"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAPageMayReadOnlyWhereItsOriginIsAllowed(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.CORSOrigins = []string{"https://app.example"} })
	ask := func(method, origin string, more ...string) answer {
		return r.do(method, "/healthz", "", append([]string{"Origin", origin}, more...)...)
	}
	if a := ask("GET", "https://app.example"); a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || a.Header.Get("Vary") != "Origin" {
		t.Errorf("allowed: %d %v", a.StatusCode, a.Header)
	}
	if a := ask("OPTIONS", "https://app.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type"); a.StatusCode != 204 ||
		a.Header.Get("Access-Control-Allow-Headers") != "content-type" || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("preflight: %d %v", a.StatusCode, a.Header)
	}
	if a := ask("GET", "https://evil.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", a.Header)
	}
	if a := ask("OPTIONS", "https://evil.example", "Access-Control-Request-Method", "PUT"); a.StatusCode != 405 || a.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("preflight of another origin: %d %v", a.StatusCode, a.Header)
	}
	closed := start(t, nil)
	if a := closed.do("GET", "/healthz", "", "Origin", "https://app.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS is open where nothing was said")
	}
}

func TestANameThatLeadsHereIsNotEnough(t *testing.T) {
	ask := func(r *rig, host, path string) string {
		return r.raw("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")[:3]
	}
	open := start(t, func(c *Config, _ *Deps) { c.AllowedHosts = []string{"events.example"} })
	for host, want := range map[string]string{
		"evil.example": "421", "evil.example:80": "421", "localhost.evil.example": "421", "127.0.0.1.evil.example": "421",
		"localhost": "200", "LOCALHOST:8080": "200", "a.localhost": "200", "127.0.0.1:8080": "200", "[::1]:8080": "200", "10.0.2.2": "200",
		"host.containers.internal:8080": "200", "events.example": "200",
	} {
		if got := ask(open, host, "/api/v1/functions"); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
	if got := ask(open, "evil.example", "/healthz"); got != "200" {
		t.Errorf("a probe: %s", got)
	}
	guarded := start(t, func(c *Config, _ *Deps) { c.Access.Required, c.Access.RootKey = true, strings.Repeat("k", 32) })
	if got := ask(guarded, "events.example", "/openapi.json"); got != "200" {
		t.Errorf("with authentication: %s", got)
	}
}

func TestEveryAnswerTellsBrowsersToBeCareful(t *testing.T) {
	r := start(t, withMetrics)
	for _, path := range []string{"/", "/healthz", "/metrics", "/openapi.json", "/api/v1/functions", "/nowhere", "/subscribe?since=x", "/webhooks/none"} {
		a := r.do("GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.Contains(a.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, a.Header.Get(name))
			}
		}
	}
}

func TestRequestsHaveIDs(t *testing.T) {
	r := start(t, func(_ *Config, d *Deps) { d.Appender = panicking{} })
	first, second := r.do("GET", "/healthz", "").Header.Get("X-Request-Id"), r.do("GET", "/healthz", "").Header.Get("X-Request-Id")
	if len(first) < 10 || first == second {
		t.Errorf("%q and %q", first, second)
	}
	a := r.do("GET", "/nowhere", "", "X-Request-Id", "0af7651916cd43dd-8448:1/a=")
	if p := a.refused(t, 404, "not-found"); a.Header.Get("X-Request-Id") != "0af7651916cd43dd-8448:1/a=" || p["requestId"] != "0af7651916cd43dd-8448:1/a=" {
		t.Errorf("its own: %v %v", a.Header, p)
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a b", "a\"b", "ü", ""} {
		if got := r.do("GET", "/healthz", "", "X-Request-Id", bad).Header.Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q: %q", bad, got)
		}
	}
	a = r.do("POST", "/events", "x", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t", "X-Request-Id", "the-one")
	if a.refused(t, 500, "internal"); !strings.Contains(r.logs.String(), "request=the-one") {
		t.Errorf("the log does not name the request: %s", r.logs)
	}
}

func TestOPTIONSOfTheServer(t *testing.T) {
	r := start(t, nil)
	if got := r.raw("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "204") {
		t.Error(got)
	}
}

// hold opens connections and leaves them.
func (r *rig) hold(n int, say string) (all []net.Conn) {
	r.t.Helper()
	for range n {
		c, err := net.Dial("tcp", r.server.Addr())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, say)
		all = append(all, c)
	}
	return all
}

func TestAnAddressCannotHaveAllConnections(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.MaxConnections, c.MaxPerAddress = 20, 3 })
	held := r.hold(3, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for _, c := range held {
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(r.hold(1, "")[0]), nil)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("one more: %v %v", resp, err)
	}
	held[0].Close()
	for {
		resp, err := http.ReadResponse(bufio.NewReader(r.hold(1, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")[0]), nil)
		if err == nil && resp.StatusCode == 200 {
			return
		}
		if err == nil && resp.StatusCode != 503 {
			t.Fatal(resp.Status)
		}
	}
}

// The listener alone: the clock is ours.
func TestWhoeverHasSentNothingForLongestMakesRoom(t *testing.T) {
	now := time.Now()
	l := newListener(nil, nil, limits{connections: 3, perAddress: 10, first: time.Minute}, nopLogger())
	admit := func(after time.Duration) (net.Conn, *conn) {
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close() })
		return client, l.admit(server, now.Add(after))
	}
	first, _ := admit(0)
	_, second := admit(time.Second)
	_, third := admit(2 * time.Second)
	second.begin()
	if _, c := admit(5 * time.Second); c == nil {
		t.Fatal("no room was made")
	}
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest one is still open: %v", err)
	}
	third.begin()
	if _, c := admit(5 * time.Second); c != nil {
		t.Error("room was made although the others are at work, or have only come")
	}
	third.end(now)
	if _, c := admit(5 * time.Second); c == nil {
		t.Error("no room was made by one that has done its work")
	}
	if len(l.open) != 3 || len(l.sources) != 1 {
		t.Errorf("%d open, %v", len(l.open), l.sources)
	}
}

func nopLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestWhoSaysNothingIsClosed(t *testing.T) {
	authority := newAuthority(t)
	for name, change := range map[string]func(*Config){
		"plain": func(*Config) {},
		"TLS":   authority.config,
	} {
		r := start(t, func(c *Config, _ *Deps) { change(c); c.FirstByte = 50 * time.Millisecond })
		if b, err := io.ReadAll(r.hold(1, "")[0]); err != nil || len(b) > 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
