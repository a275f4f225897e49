package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// HeaderTimeout says, in milliseconds, how long who makes a call waits for its answer.
const HeaderTimeout = "Signalbox-Timeout"

// front is a server of this process, on loopback, that passes calls on to containers.
type front struct {
	r      *Runtime
	ln     net.Listener
	base   string
	server *fasthttp.Server

	mu sync.Mutex
	// calls are those in flight.
	calls map[*call]struct{}
	done  chan struct{}
}

// call is one request on its way to a container.
type call struct {
	from  net.Conn
	begin time.Time
	// left is closed when the caller has gone.
	left chan struct{}

	mu sync.Mutex
	// to is the connection to the container while there is one.
	to   *conn
	over bool
}

const (
	maxRequest = 64 << 20
	// maxHead bounds a request's line and headers.
	maxHead = 64 << 10
)

func newFront(r *Runtime, ln net.Listener) *front {
	f := &front{r: r, ln: ln, base: "http://" + ln.Addr().String() + "/", calls: map[*call]struct{}{}, done: make(chan struct{})}
	f.server = &fasthttp.Server{
		Handler: f.handle, ReadBufferSize: maxHead, MaxRequestBodySize: maxRequest, IdleTimeout: 3 * time.Minute,
		DisableHeaderNamesNormalizing: true, NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true,
		DisablePreParseMultipartForm: true, CloseOnShutdown: true,
		Logger: log.New(io.Discard, "", 0), // it tells of clients that hang up
	}
	return f
}

// serve answers until stop.
func (f *front) serve() error {
	var watching sync.WaitGroup
	watching.Go(f.watch)
	err := f.server.Serve(f.ln)
	close(f.done)
	watching.Wait()
	return err
}

// stop ends calls in flight: there are none any more when a process stops as it should.
func (f *front) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := f.server.ShutdownWithContext(ctx)
	f.ln.Close() // the server knows of it only once it serves, which it may not do yet
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.calls {
		c.cut()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // they are cut
	}
	return err
}

// lookEvery is how often calls are looked at whose caller may have gone.
const lookEvery = 500 * time.Millisecond

// watch ends the calls whose callers have gone: the server itself does not look
// before it answers.
func (f *front) watch() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.done:
			return
		case now := <-tick.C:
			f.mu.Lock()
			for c := range f.calls {
				if now.Sub(c.begin) >= lookEvery && c.abandoned() {
					c.cut()
				}
			}
			f.mu.Unlock()
		}
	}
}

func (c *call) abandoned() bool {
	s, ok := c.from.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err != nil || gone(raw, false)
}

// cut ends a call.
func (c *call) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.left)
	if c.to != nil {
		c.to.Conn.Close()
	}
}

// bind notes the connection to the container.
func (c *call) bind(to *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to = to; to != nil && c.over {
		to.Conn.Close()
	}
}

func (f *front) handle(ctx *fasthttp.RequestCtx) {
	key, rest := split(ctx.Request.Header.RequestURI())
	g := (*f.r.groups.Load())[string(key)]
	if g == nil {
		later(ctx, "no function "+string(key)+" runs here")
		return
	}
	c := &call{from: ctx.Conn(), begin: time.Now(), left: make(chan struct{})}
	f.mu.Lock()
	f.calls[c] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.calls, c)
		f.mu.Unlock()
	}()
	hold := f.hold(ctx.Request.Header.Peek(HeaderTimeout))
	ctx.Request.Header.SetRequestURIBytes(rest)
	ctx.Request.Header.ResetConnectionClose()
	for until := c.begin.Add(hold); ; {
		p, err := g.take(time.Until(until), c.left)
		if err != nil {
			later(ctx, "function "+g.key+": "+err.Error())
			return
		}
		err = p.up.call(&ctx.Request, &ctx.Response, c)
		var cleared <-chan struct{}
		if errors.Is(err, errNotSent) || errors.Is(err, errNoAnswer) {
			cleared = g.doubts(p)
		}
		g.back(p)
		switch {
		case err == nil:
			ctx.Response.Header.ResetConnectionClose() // that was said of the other connection
			return
		case errors.Is(err, errNotSent) && time.Now().Before(until):
			continue // another one, or the same one once it answers again
		case errors.Is(err, errNotSent):
			later(ctx, "function "+g.key+": "+err.Error())
		default:
			broken(ctx, "function "+g.key+": "+p.reason(err, cleared))
		}
		return
	}
}

// hold is how long a call may wait for a container: less than its caller waits.
func (f *front) hold(timeout []byte) time.Duration {
	hold := f.r.c.Hold
	if ms, err := strconv.ParseInt(string(timeout), 10, 64); err == nil && ms > 0 && ms < int64(hold/time.Millisecond)*2 {
		hold = min(hold, time.Duration(ms)*time.Millisecond*3/4)
	}
	return hold
}

// root is the path of a request that names the function alone.
var root = []byte("/")

// split cuts the function off a request's target; both may be parts of it.
func split(target []byte) (key, rest []byte) {
	target = bytes.TrimPrefix(target, root)
	end := bytes.IndexAny(target, "/?")
	switch {
	case end < 0:
		key, rest = target, root
	case target[end] == '?':
		key, rest = target[:end], append([]byte("/"), target[end:]...)
	default:
		key, rest = target[:end], target[end:]
	}
	if bytes.IndexByte(key, '%') >= 0 {
		if plain, err := url.PathUnescape(string(key)); err == nil {
			key = []byte(plain)
		}
	}
	return key, rest
}

// exitSeen bounds how long a broken call waits for the engine to say that the
// container has ended, or for the container to answer a probe: an engine on a
// busy machine takes seconds.
const exitSeen = 5 * time.Second

// reason is why a call of p failed: the container's end, if that is what it was.
func (p *replica) reason(err error, cleared <-chan struct{}) string {
	limit := time.NewTimer(exitSeen)
	defer limit.Stop()
	select {
	case <-p.ended:
		return p.why.Error()
	case <-cleared:
	case <-limit.C:
	}
	return err.Error()
}

// later says that the container got nothing, which spends no attempt.
func later(ctx *fasthttp.RequestCtx, why string) {
	answer(ctx, http.StatusServiceUnavailable, why)
	ctx.Response.Header.Set("Retry-After", "1")
}

// broken says that the call has failed; what the container did is not known.
func broken(ctx *fasthttp.RequestCtx, why string) { answer(ctx, http.StatusBadGateway, why) }

func answer(ctx *fasthttp.RequestCtx, status int, why string) {
	ctx.Response.Reset()
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	ctx.Response.SetBodyString(fmt.Sprintln(why))
}
