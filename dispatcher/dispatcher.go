package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Dispatcher delivers the events of every partition it is given.
// Create it with New; it works while Run does.
type Dispatcher struct {
	cfg   Config
	parts Parts
	log   *slog.Logger

	// life ends when deliveries in flight are cut off.
	life    context.Context
	cut     context.CancelFunc
	conns   connSet
	workers workers
	slots   slots
	asking  sync.WaitGroup // for permits
	closing closing        // of the lanes' gates

	overload overload
	thrift   thrift
	// unclaimed is set while claims fail.
	unclaimed atomic.Bool

	mu       sync.RWMutex
	draining bool
	current  map[int32]*session    // the session of each partition
	sessions map[*session]struct{} // those that are not idle yet
	lanes    map[laneKey]*lane
	// callbacks says what callbacks present, as a function does.
	callbacks *resource.Function

	pendings   sync.Pool // of *pending
	deliveries sync.Pool // of *delivery
	scratches  sync.Pool // of *scratch
}

// New returns a dispatcher, or an error that names every fault of cfg and parts.
func New(cfg Config, parts Parts) (*Dispatcher, error) {
	if err := errors.Join(cfg.validate(), parts.validate()); err != nil {
		return nil, fmt.Errorf("dispatcher: %w", err)
	}
	parts.defaults(cfg)
	if cfg.EnoughCalls == 0 {
		cfg.EnoughCalls = callsPerCore * runtime.GOMAXPROCS(0)
	}
	d := &Dispatcher{
		cfg:      cfg,
		parts:    parts,
		log:      parts.Logger,
		current:  map[int32]*session{},
		sessions: map[*session]struct{}{},
		lanes:    map[laneKey]*lane{},
		callbacks: &resource.Function{
			Metadata: resource.Metadata{Name: resource.CallbackFunction}, Spec: resource.FunctionSpec{Call: parts.CallbackCall},
		},
	}
	d.slots.free, d.slots.reserve = cfg.Slots, cfg.Slots/4
	d.thrift.d = d
	d.closing = closing{after: cfg.BreakerAfter, initial: cfg.BreakerInitial, max: cfg.BreakerMax, random: parts.Rand}
	d.life, d.cut = context.WithCancel(context.Background())
	d.pendings.New = func() any { return new(pending) }
	d.deliveries.New = func() any { return new(delivery) }
	d.scratches.New = func() any { return new(scratch) }
	return d, nil
}

func (p *Parts) defaults(cfg Config) {
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Rand == nil {
		p.Rand = rand.Float64
	}
	if p.Dial == nil {
		p.Dial = (&net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	if p.DialCallback == nil {
		p.DialCallback = p.Dial
	}
}

// Run looks after the lanes until ctx ends: it ends those that are idle, and
// parks what waits too long. Then it drains for at most DrainTimeout. When it
// returns no goroutine of the dispatcher is left (but one of fasthttp's for
// each function called lately, which sleeps for at most IdleConnTimeout before
// it sees that there is nothing to clean). Run can be called once. It returns
// nil, or what Drain did.
func (d *Dispatcher) Run(ctx context.Context) error {
	idle, slow := time.NewTicker(d.cfg.IdleAfter), time.NewTicker(d.cfg.ParkAfter/2)
	defer idle.Stop()
	defer slow.Stop()
	thrift := time.NewTimer(thriftLook)
	defer thrift.Stop()
	for ctx.Err() == nil {
		select {
		case <-idle.C:
			d.sweep()
		case <-slow.C:
			d.tend()
		case <-thrift.C:
			thrift.Reset(d.thrift.step())
		case <-ctx.Done():
		}
	}
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.DrainTimeout)
	defer cancel()
	err := d.Drain(budget)
	d.workers.stop()
	d.cut()
	d.conns.closeAll()
	d.asking.Wait()
	for _, l := range d.snapshot() {
		l.closeEndpoints()
	}
	return err
}

// tend parks what waits too long, and starts what is no longer paused.
func (d *Dispatcher) tend() {
	if d.parts.Parking == nil {
		return
	}
	overloaded := d.overloaded()
	for _, l := range d.snapshot() {
		if l.measure(); !overloaded || !l.brisk.Load() {
			l.clearSlow()
		}
	}
	for _, s := range d.owned() {
		d.unpause(s)
	}
}

// ErrCutOff is returned by Drain when deliveries were still in flight at the
// end of its context. They were abandoned, unsettled, and will be delivered again.
var ErrCutOff = errors.New("dispatcher: deliveries in flight were cut off")

// Drain stops the dispatcher: nothing is started any more, what waits is
// abandoned unsettled, and what is in flight may finish until ctx ends; then
// its connections are closed. After Drain settle is not called again.
func (d *Dispatcher) Drain(ctx context.Context) error {
	d.mu.Lock()
	d.draining = true
	var open []*session
	for s := range d.sessions {
		open = append(open, s)
	}
	d.mu.Unlock()
	for _, s := range open {
		s.end()
	}
	var err error
	for _, s := range open {
		select {
		case <-s.idle:
		case <-ctx.Done():
			d.cut()
			d.conns.closeAll()
			<-s.idle
		}
		if s.cutOff.Load() {
			err = ErrCutOff
		}
	}
	return err
}

// sweep ends the lanes and workers that were idle since the last sweep.
func (d *Dispatcher) sweep() {
	d.mu.Lock()
	var gone []*lane
	for k, l := range d.lanes {
		if l.retire() {
			delete(d.lanes, k)
			gone = append(gone, l)
		}
	}
	d.mu.Unlock()
	for _, l := range gone {
		l.closeEndpoints()
	}
	d.workers.trim()
}

// LaneStat is the state of one function's lane.
type LaneStat struct {
	// Function is name or name@version.
	Function string
	// Queued wait for their turn, Retrying for their next attempt; Running are being called.
	Queued, Retrying, Running int
	// Leased are worked on under leases.
	Leased int
	// Limit bounds the calls in flight now, as the function's answers and the
	// machine allow.
	Limit int
	// Closed is set while nothing is started: the function refuses calls, or fails too often.
	Closed bool
	// Halted is set while a dead letter cannot be written.
	Halted bool
}

// Lanes returns the state of every lane, in no order.
func (d *Dispatcher) Lanes() []LaneStat {
	lanes := d.snapshot()
	stats := make([]LaneStat, len(lanes))
	for i, l := range lanes {
		stats[i] = l.stat()
	}
	return stats
}

func (d *Dispatcher) snapshot() []*lane {
	d.mu.RLock()
	defer d.mu.RUnlock()
	lanes := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

// lane returns the function's lane, made when there is none.
func (d *Dispatcher) lane(k laneKey) *lane {
	d.mu.RLock()
	l := d.lanes[k]
	d.mu.RUnlock()
	if l != nil {
		return l
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if l = d.lanes[k]; l == nil {
		l = newLane(d, k)
		d.lanes[k] = l
	}
	return l
}
