package dispatcher_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher/dispatchertest"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

func TestOutcomeTable(t *testing.T) {
	const done, dead, retry = "done", "dead at once", "retried"
	table := map[int]string{
		200: done, 201: done, 202: done, 203: done, 204: done, 206: done, 226: done,
		101: dead, 300: dead, 301: dead, 302: dead, 303: dead, 304: dead, 307: dead, 308: dead,
		400: dead, 401: dead, 402: dead, 403: dead, 405: dead, 406: dead, 410: dead, 411: dead,
		413: dead, 415: dead, 418: dead, 422: dead, 425: dead, 428: dead, 431: dead, 451: dead, 499: dead,
		404: retry, 408: retry, 409: retry,
		500: retry, 501: retry, 502: retry, 504: retry, 511: retry, 599: retry,
		600: retry, 799: retry,
	}
	for status, want := range table {
		t.Run(fmt.Sprint(status, " is ", want), func(t *testing.T) {
			calls, url := rawServer(t, fmt.Sprintf("HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: %d\r\n\r\n", status, bodyLen(status))+strings.Repeat("x", bodyLen(status)))
			b := newBed(t, one(url), nil)
			recs := records(0, newEvent("a"))
			recs[0].TraceParent, recs[0].TraceState = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "a=1"
			b.Handle(b.part, recs, b.settle)
			b.waitSettled(1)
			b.stop()
			wantCalls, wantDead := int64(1), 1
			switch want {
			case done:
				wantDead = 0
			case retry:
				wantCalls = 3
			}
			if got := calls.Load(); got != wantCalls {
				t.Errorf("%d calls, want %d", got, wantCalls)
			}
			letters := b.log.Dead()
			if len(letters) != wantDead {
				t.Fatalf("%d dead letters, want %d: %+v", len(letters), wantDead, letters)
			}
			if wantDead == 1 {
				checkLetter(t, letters[0], status, int(wantCalls))
			}
			checkRuns(t, b.log.Runs(), int(wantCalls), wantDead == 1)
		})
	}
}

func bodyLen(status int) int {
	if status/100 == 1 || status == 204 || status == 304 {
		return 0
	}
	return 1500
}

func checkLetter(t *testing.T, dl event.DeadLetter, status, attempts int) {
	t.Helper()
	if dl.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" || dl.TraceState != "a=1" {
		t.Errorf("trace context %q %q", dl.TraceParent, dl.TraceState)
	}
	if len(dl.Attempts) != attempts {
		t.Fatalf("%d attempts in the dead letter, want %d", len(dl.Attempts), attempts)
	}
	for i, a := range dl.Attempts {
		if a.Number != i+1 || a.Status != status || a.Class == "" || a.Time.IsZero() {
			t.Errorf("attempt %+v", a)
		}
		if len(a.Body) != min(bodyLen(status), 1024) {
			t.Errorf("%d bytes of the body, want %d", len(a.Body), min(bodyLen(status), 1024))
		}
	}
	if dl.Link != "link" || dl.Function != "fn" || dl.Position != "3:0" || dl.Revision != 7 || dl.Event == nil ||
		!strings.Contains(dl.Reason, fmt.Sprint(status)) {
		t.Errorf("dead letter %+v", dl)
	}
}

func checkRuns(t *testing.T, runs []event.Run, n int, dead bool) {
	t.Helper()
	if len(runs) != n {
		t.Fatalf("%d runs, want %d", len(runs), n)
	}
	for i, r := range runs {
		want := event.Retrying
		switch {
		case i == n-1 && dead:
			want = event.Dead
		case i == n-1:
			want = event.Delivered
		}
		if r.Outcome != want || r.Attempt != i+1 || r.Link != "link" || r.Function != "fn" || r.Revision != 7 || r.EventID != "a" {
			t.Errorf("run %+v, want %s", r, want)
		}
	}
}

// rawServer answers every request with the same bytes; "" closes instead.
func rawServer(t *testing.T, answer string) (calls *atomic.Int64, url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	calls = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveRaw(c, answer, calls)
		}
	}()
	return calls, "http://" + l.Addr().String() + "/"
}

func serveRaw(c net.Conn, answer string, calls *atomic.Int64) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil || n == 0 {
			return
		}
		calls.Add(1)
		if answer == "" {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func TestNoAnswer(t *testing.T) {
	_, hangsUp := rawServer(t, "")
	_, noHTTP := rawServer(t, "220 smtp.example.com ESMTP\r\n\r\n")
	_, short := rawServer(t, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 99\r\n\r\nx")
	hang := make(chan struct{})
	silent := serve(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	const label = 63 // a name with a longer one is looked up nowhere
	for _, c := range []struct{ name, url, class string }{
		{"closed before answering", hangsUp, "reset"},
		{"not HTTP", noHTTP, "bad_answer"},
		{"unknown host", "http://" + strings.Repeat("x", label+1) + ".invalid/", "dns"},
		{"silent until the timeout", silent, "timeout"},
		{"no TLS on the other side", strings.Replace(noHTTP, "http:", "https:", 1), "tls"},
		{"body cut short", short, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			targets := one(c.url)
			if c.class == "timeout" {
				targets[0].Link.Spec.Delivery.Timeout = resource.Duration(200 * time.Millisecond)
			}
			b := newBed(t, targets, nil)
			b.send(newEvent("a"))
			b.waitSettled(1)
			b.stop()
			letters := b.log.Dead()
			if len(letters) != 1 || len(letters[0].Attempts) != 3 {
				t.Fatalf("dead letters %+v", letters)
			}
			for _, a := range letters[0].Attempts {
				if a.Class != c.class || a.Status != 0 || a.Error == "" {
					t.Errorf("attempt %+v, want class %s", a, c.class)
				}
				if c.class == "timeout" && a.Error != "no complete answer within 200ms" {
					t.Errorf("the reason is %q", a.Error)
				}
			}
		})
	}
}

func TestAPostIsSentOnceForEachAttempt(t *testing.T) {
	calls, url := rawServer(t, "")
	targets := one(url)
	targets[0].Link.Spec.Delivery.Attempts = 1
	b := newBed(t, targets, nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	if n := calls.Load(); n != 1 {
		t.Errorf("sent %d times, want once", n)
	}
}

func TestAConnectionIsNotUsedAgainAfterA1xx(t *testing.T) {
	// A 103 ends the call; the answer behind it must not be the next event's.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var again atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				c.Read(buf)
				io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
				if n, _ := c.Read(buf); n > 0 {
					again.Add(1)
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	targets := one("http://" + l.Addr().String())
	targets[0].Link.Spec.Delivery.Concurrency = 1
	b := newBed(t, targets, nil)
	b.send(newEvents(4)...)
	b.waitSettled(4)
	if dead := len(b.log.Dead()); dead != 4 || again.Load() != 0 {
		t.Errorf("%d dead letters, %d connections used again; want 4 and none", dead, again.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	b := newBed(t, one(url), nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestAnswerTooLarge(t *testing.T) {
	big := strings.Repeat("x", 4096)
	for _, c := range []struct {
		name   string
		status int
		header string
		dead   bool
		calls  int64
	}{
		{"no event: done all the same", 200, "", false, 1},
		{"an event: retried", 200, "1.0", true, 3},
		{"with a 400: dead at once", 400, "", true, 1},
		{"with a 202: done", 202, "1.0", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int64
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				if c.header != "" {
					w.Header().Set("ce-specversion", c.header)
				}
				w.Header().Set("Content-Length", "4096")
				w.WriteHeader(c.status)
				io.WriteString(w, big)
			})
			b := newBed(t, one(url), func(b *bed) { b.cfg.MaxReplyBytes = 1024 })
			b.send(newEvent("a"))
			b.waitSettled(1)
			if got := len(b.log.Dead()) == 1; got != c.dead || calls.Load() != c.calls {
				t.Errorf("dead %v after %d calls, want %v after %d", got, calls.Load(), c.dead, c.calls)
			}
		})
	}
}

func TestDeadLetterKeepsOneIDAndIdempotencyKeyStaysTheSame(t *testing.T) {
	keys := make(chan string, 10)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("Idempotency-Key")
		w.WriteHeader(500)
	})
	b := newBed(t, append(one(url), dispatchertest.Target("other", "fn", url, resource.Delivery{Attempts: 1})), nil)
	b.send(newEvent("a"))
	b.waitSettled(1)
	count := map[string]int{}
	for range 4 {
		count[<-keys]++
	}
	if len(count) != 2 || count["3:0/link"] != 3 || count["3:0/other"] != 1 {
		t.Errorf("keys %v", count)
	}
}
