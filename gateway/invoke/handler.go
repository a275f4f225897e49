package invoke

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// Prefix is what the paths begin with; the function's name, perhaps with
// @version, and a path of its own follow.
const Prefix = "/function/"

// Handler serves the routes. It is safe for concurrent use.
type Handler struct {
	config Config
	deps   Deps

	// buffers are what answers pass through.
	buffers buffers

	mu sync.Mutex
	// running counts the calls in flight by function.
	running map[string]int
}

// New makes a handler; the configuration has been validated.
func New(c Config, d Deps) *Handler {
	if d.Transport == nil {
		d.Transport = http.DefaultTransport
	}
	return &Handler{config: c, deps: d, running: map[string]int{}}
}

// Call passes a request on. The parameters of the route are name and *.
func (h *Handler) Call(c *fiber.Ctx) error {
	name, version, _ := strings.Cut(called(c), "@")
	path, err := below(c)
	if err != nil {
		return err
	}
	e, err := eventOf(c, name)
	if err != nil {
		return err
	}
	key := e.Subject
	if key == "" {
		key = e.ID
	}
	t, err := h.deps.Functions.Find(name, version, key)
	if err != nil {
		return err
	}
	a := ingest.Arrival{Start: h.deps.Now(), Route: Prefix + name, Identity: access.Of(c.Context())}
	event.StripReserved(e)
	a.Identity.Stamp(e)
	if err := h.deps.Admitter.Admit(a, []*event.Event{e}); err != nil {
		return err
	}
	if !h.enter(&t) {
		p := problem.New(problem.Busy, "function %s has %d calls in flight, as many as it may have from here", name, t.Concurrency)
		p.RetryAfter = time.Second
		return p
	}
	defer h.leave(&t)
	return h.proxy(c, &t, e, path)
}

func (h *Handler) enter(t *Target) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[t.Function] >= t.Concurrency {
		return false
	}
	h.running[t.Function]++
	return true
}

func (h *Handler) leave(t *Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[t.Function]--; h.running[t.Function] == 0 {
		delete(h.running, t.Function)
	}
}

// call is one request on its way to a function.
type call struct {
	h      *Handler
	target *Target
	event  *event.Event
	// url is the function's with what the call adds to it.
	url  *url.URL
	span tracing.Span
	run  event.Run
	err  error
}

func (h *Handler) proxy(c *fiber.Ctx, t *Target, e *event.Event, path string) error {
	at, err := event.CallURL(t.URL, path)
	if err != nil {
		return err
	}
	start := h.deps.Now()
	one := &call{h: h, target: t, event: e, url: at, span: h.deps.Traces.Server(ingest.HopOf(&c.Context().Request.Header), strings.Clone(c.Method()), Prefix+"{name}")}
	one.run = event.Run{
		ID: "invoke-" + rand.Text(), Link: "invoke:" + t.Function, Function: t.Function, Version: t.Version,
		EventSource: e.Source, EventID: e.ID, EventType: e.Type, Attempt: 1, Time: start, TraceID: one.span.Context().TraceIDString(),
	}
	transport := t.Transport
	if transport == nil {
		transport = h.deps.Transport
	}
	p := &httputil.ReverseProxy{
		Rewrite: one.rewrite, Transport: transport, ModifyResponse: one.answered, ErrorHandler: one.failed,
		ErrorLog:   log.New(io.Discard, "", 0), // what goes wrong is told by fail
		BufferPool: &h.buffers,
	}
	err = adaptor.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.config.Timeout)
		defer cancel()
		p.ServeHTTP(w, r.WithContext(ctx))
	}))(c)
	one.end(h.deps.Now().Sub(start))
	if err == nil {
		err = one.err
	}
	if err != nil {
		c.Response().Reset() // what came of the function's answer is not to be mixed with ours
	}
	return err
}

// rewrite makes the request that the function gets: the caller's, without what
// is between him and the gateway, and as an event in binary mode.
func (c *call) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL, p.Out.Host = c.url, ""
	p.SetXForwarded()
	header := p.Out.Header
	header.Del("Authorization") // it is for the gateway
	header.Del("X-Api-Key")
	c.carry(p.Out)
	header.Set("Signalbox-Link", c.run.Link)
	header.Set("Signalbox-Run", c.run.ID)
	header.Set("Signalbox-Attempt", "1")
	if parent := c.span.Context().TraceParent(); parent != "" {
		header.Set("Traceparent", parent)
	}
}

// answered notes the answer, and bounds it.
func (c *call) answered(r *http.Response) error {
	c.run.Status, c.run.Outcome = r.StatusCode, event.Delivered
	if r.StatusCode >= 500 {
		c.run.Outcome, c.run.Reason = event.Dead, "answer "+r.Status
	}
	var sent []event.ReplyRef
	if list := r.Header.Get("Signalbox-Sent"); list != "" && json.Unmarshal([]byte(list), &sent) == nil {
		c.run.Replies = sent // of what a script sent during the call, for the run record
	}
	r.Header.Del("Signalbox-Sent")
	r.Body = &bounded{ReadCloser: r.Body, left: c.h.config.MaxAnswer, call: c}
	return nil
}

// failed is called when there was no answer.
func (c *call) failed(_ http.ResponseWriter, _ *http.Request, err error) { c.fail(err) }

// fail notes that there was no answer, or not all of one.
func (c *call) fail(err error) {
	c.run.Outcome, c.run.Reason = event.Dead, err.Error()
	kind, detail := problem.BadGateway, "the function gave no answer that could be passed on"
	switch {
	case errors.Is(err, problem.ErrUnavailable):
		kind, detail = problem.Unavailable, "what a call of the function presents is not there yet"
	case errors.Is(err, context.DeadlineExceeded):
		kind, detail = problem.GatewayTimeout, "the function did not answer within "+c.h.config.Timeout.String()
	}
	c.h.deps.Logger.Warn("a call failed", "function", c.target.Function, "error", err)
	p := problem.New(kind, "%s", detail)
	if kind == problem.Unavailable {
		p.RetryAfter = time.Second
	}
	c.err = p
}

// end records the call.
func (c *call) end(took time.Duration) {
	c.run.DurationMS = float64(took) / float64(time.Millisecond)
	if c.h.deps.Ran != nil {
		c.h.deps.Ran(&c.run)
	}
	c.span.SetStatus(c.run.Status)
	if c.run.Outcome != event.Delivered {
		c.span.Fail("function", c.run.Reason)
	}
	c.span.End()
}

// buffers are used again: without them each call would allocate one, six of ten bytes that
// it costs. It is a httputil.BufferPool, and its zero value is ready.
type buffers struct{ pool sync.Pool }

// bufferSize is that of the buffers of httputil, in bytes.
const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool; p is one of Get's.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }

// bounded is an answer's body. One that is too long, or breaks off, fails the
// call: half an answer must not pass for a whole one.
type bounded struct {
	io.ReadCloser
	left int64
	call *call
}

var errAnswerTooLong = errors.New("the function's answer is longer than may be passed on")

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		err = errAnswerTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.call.fail(err)
	}
	return n, err
}

// Methods are those by which functions can be called. GET serves HEAD too.
func Methods() []string {
	return []string{fiber.MethodGet, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodDelete, fiber.MethodOptions}
}
