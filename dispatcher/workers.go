package dispatcher

import (
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
)

// workers are the goroutines that make calls, shared by all lanes. There are
// as many as calls were in flight at once lately; each keeps a request, an
// answer and a run record to use again.
type workers struct {
	mu      sync.Mutex
	idle    []*worker // used least recently first
	sweeps  uint64
	stopped bool
	wg      sync.WaitGroup
}

type worker struct {
	jobs  chan *lane // of capacity 1: a worker gets a job only when it is idle
	sweep uint64     // when it became idle
	req   fasthttp.Request
	resp  fasthttp.Response
	body  []byte // of structured and batched requests
	value []byte // of a header
	run   event.Run
	runID string        // of the call that was prepared; "" when there is none
	lease time.Duration // that the last answer asked for
	took  time.Duration // that the last call lasted; 0 when none was made
	// caller is what the call presents; nil is nothing.
	caller Caller
	// add and addBytes are those of req.Header, bound once.
	add      func(name, value string)
	addBytes func(name string, value []byte)
}

// start has a worker serve l.
func (ws *workers) start(l *lane) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n := len(ws.idle); n > 0 {
		w := ws.idle[n-1]
		ws.idle[n-1] = nil
		ws.idle = ws.idle[:n-1]
		w.jobs <- l
		return
	}
	w := &worker{jobs: make(chan *lane, 1)}
	w.add, w.addBytes = w.req.Header.Add, w.req.Header.AddBytesV
	w.jobs <- l
	ws.wg.Go(func() {
		for l := range w.jobs {
			l.serve(w)
			if !ws.park(w) {
				return
			}
		}
	})
}

// park makes w idle; false when workers stop.
func (ws *workers) park(w *worker) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.stopped {
		return false
	}
	w.sweep = ws.sweeps
	ws.idle = append(ws.idle, w)
	return true
}

// trim ends the workers that were idle since before the last trim.
func (ws *workers) trim() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	n := 0
	for n < len(ws.idle) && ws.idle[n].sweep < ws.sweeps {
		close(ws.idle[n].jobs)
		n++
	}
	rest := copy(ws.idle, ws.idle[n:])
	clear(ws.idle[rest:])
	ws.idle = ws.idle[:rest]
	ws.sweeps++
}

// stop ends all workers and waits for them.
func (ws *workers) stop() {
	ws.mu.Lock()
	ws.stopped = true
	for _, w := range ws.idle {
		close(w.jobs)
	}
	ws.idle = nil
	ws.mu.Unlock()
	ws.wg.Wait()
}
