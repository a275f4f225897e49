package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// runHeader names the run in the answer to a GET: so that a later run can tell
// functions of a living one from leftovers.
const runHeader = "Signalbox-Verify-Run"

// sink is all functions of a run in one HTTP server. What it answers is
// decided by the plan; what came and what was answered stands in the history.
type sink struct {
	plan    *plan
	history *history
	probes  *probes
	calls   *callLog
	// prefix is the path before a function's number, such as /name/.
	prefix string
	// timeout is the links' timeout of one call.
	timeout time.Duration
	started time.Time
}

// maxBody bounds what a function reads of a call: the largest event and room.
const maxBody = 2 << 20

// serve answers on l until ctx ends, and returns when the calls are over.
func (s *sink) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }, // no call outlives the run
		ErrorLog:    log.New(io.Discard, "", 0),                        // broken connections are what this is for
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		// The calls end with ctx; a connection that never brought one would be waited for 5 s.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 250*time.Millisecond)
		defer cancel()
		if server.Shutdown(end) != nil {
			server.Close()
		}
	})
	err := server.Serve(l)
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ServeHTTP is one call.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, ok := strings.CutPrefix(r.URL.Path, s.prefix)
	link, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || link < 0 || link > s.plan.replyLink():
		http.NotFound(w, r)
	case r.Method == http.MethodGet:
		w.Header().Set(runHeader, s.plan.run)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		s.call(w, r, link)
	}
}

func (s *sink) call(w http.ResponseWriter, r *http.Request, link int) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	e, err := readEvent(r.Header, body)
	if err == nil && s.probes.seen(e, link) {
		return
	}
	target, intact, ours := s.plan.identify(e, link)
	if err != nil || !ours {
		// Another run's, delivered late: taken, so that it comes to its end.
		s.history.stray()
		return
	}
	c, known := s.history.begin(target, r.Header.Get("Idempotency-Key"), r.Header.Get("Signalbox-Attempt"), intact)
	if !known {
		return
	}
	begun := time.Now()
	said := s.answer(w, r, &c)
	s.calls.write(s.plan, &c, r.Header, begun, said)
}

// answer does what the plan has for a call, and says what that was. A delivery
// that succeeded before succeeds again at once: only what comes by itself is to
// be counted.
func (s *sink) answer(w http.ResponseWriter, r *http.Request, c *call) string {
	if s.plan.poisoned(c.ref) {
		http.Error(w, "poison: refused for good, as planned", http.StatusBadRequest)
		return "refused"
	}
	f := Fault("")
	if !c.late {
		f = s.plan.fault(c.ref, c.number)
	}
	b := breaker{w: w, r: r, answer: s.success(c.ref), variant: s.plan.variant(c.ref, c.number), timeout: s.timeout}
	if f != "" {
		s.history.met(f)
	}
	if f != "" && f != FaultSlow {
		b.fail(f)
		return string(f)
	}
	s.history.answering(c)
	if err := b.succeed(f == FaultSlow); err != nil {
		return "broken" // not sent to its end: the call is to be repeated
	}
	now := time.Now()
	s.history.succeed(c, now, now.Sub(s.started))
	return "success"
}

// success is the answer to a call that works: an event, in binary and in
// structured mode by turns, or a word.
func (s *sink) success(r ref) answer {
	if !s.plan.answers(r.link, r.n) {
		return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/plain"}}, body: []byte("taken\n")}
	}
	e := s.plan.reply(r.link, r.n)
	a := answer{status: http.StatusOK, header: http.Header{}}
	if s.plan.draw(drawVariant, r.link, r.n)%2 == 0 {
		a.header.Set("Content-Type", event.ContentTypeJSON)
		a.body = e.AppendJSON(nil)
		return a
	}
	e.VisitHTTPHeaders(func(name, value string) { a.header.Set(name, value) })
	a.body = e.Data
	return a
}

// readEvent reads a call's event in either mode.
func readEvent(h http.Header, body []byte) (*event.Event, error) {
	contentType := h.Get("Content-Type")
	mode, err := event.ModeOf(contentType)
	if err != nil {
		return nil, err
	}
	if mode == event.Structured {
		return event.ParseJSON(body)
	}
	return event.ParseHTTP(contentType, func(yield func(name, value []byte)) {
		for name, values := range h {
			for _, v := range values {
				yield([]byte(name), []byte(v))
			}
		}
	}, body)
}

// identify tells which delivery an event at a link is, and whether it is as it
// was sent. ours is false for events that are not of this run.
func (p *plan) identify(e *event.Event, link int) (r ref, intact, ours bool) {
	if e == nil {
		return r, false, false
	}
	switch e.Source {
	case p.source():
		n, err := strconv.Atoi(strings.TrimPrefix(e.ID, p.run+"-"))
		if err != nil || n < 0 {
			return r, false, false
		}
		want := p.event(n)
		intact = e.Type == want.Type && e.Subject == want.Subject && e.DataContentType == want.DataContentType && bytes.Equal(e.Data, want.Data)
		return ref{link: link, n: n}, intact, true
	case p.replySource():
		var from struct{ Event, Link int }
		if json.Unmarshal(e.Data, &from) != nil || from.Event < 0 {
			return r, false, false
		}
		cause, _ := e.Extension(event.ExtCausationID)
		return ref{link: link, n: from.Event, cause: from.Link}, e.Type == p.replyType() && cause == p.id(from.Event), true
	}
	return r, false, false
}
