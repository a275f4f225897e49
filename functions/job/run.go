package job

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// run is one run of a job: from the claim of its delivery to its report.
type run struct {
	h   *Host
	key string
	// started is closed once task is set, or refusal.
	started chan struct{}
	refusal *answer
	kind    *kind
	record  *record
	task    task
	// token is that of the latest call of the delivery; h.mu guards it.
	token *event.DeliveryToken
	// waiting are callers that wait for the end, under h.mu.
	waiting int
	// over is closed once outcome is set.
	over    chan struct{}
	outcome outcome
	// late is set when the time of the run is up.
	late atomic.Bool
}

func newRun(h *Host, key string) *run {
	return &run{h: h, key: key, started: make(chan struct{}), over: make(chan struct{})}
}

// take answers a delivery: the run of an earlier call of it goes on, or one begins.
func (h *Host) take(ctx context.Context, name string, d *delivery) answer {
	h.mu.Lock()
	k := h.kinds[name]
	if k == nil || h.closed {
		h.mu.Unlock()
		return busy("Signalbox is stopping")
	}
	fn := k.fn
	key := d.key(h.c.Installation, fn)
	r := h.runs[key]
	mine := r == nil
	if mine {
		r = newRun(h, key)
		r.kind = k
		h.runs[key] = r
		h.work.Add(1) // while closed is not set yet
	}
	h.mu.Unlock()
	if mine {
		r.begin(ctx, fn, d) // started is closed now, whatever became of the caller
		h.work.Done()
	} else {
		select {
		case <-r.started:
		case <-ctx.Done():
			return busy("the caller gave up")
		}
	}
	if r.refusal != nil {
		return *r.refusal
	}
	if d.token == nil {
		return r.await(ctx)
	}
	if !mine {
		r.renew(d)
	}
	return answer{status: http.StatusAccepted, lease: h.c.Lease, run: r.record.Run}
}

// renew has the end reported of a later call of the same delivery.
func (r *run) renew(d *delivery) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.token = d.token
	r.h.c.Log.Info("a delivery that came again has its run already", "function", r.record.Function, "run", r.record.Run, "attempt", d.attempt)
}

// begin starts the run, or sets refusal.
func (r *run) begin(ctx context.Context, fn *resource.Function, d *delivery) {
	if refusal := r.start(ctx, fn, d); refusal != nil {
		r.h.mu.Lock()
		delete(r.h.runs, r.key)
		r.h.mu.Unlock()
		r.refusal = refusal
		close(r.started)
		return
	}
	close(r.started)
	r.h.work.Go(r.follow)
}

// startTimeout bounds the start of a run, which no caller's patience does: what
// has begun when he gives up is found when he asks again.
const startTimeout = 30 * time.Second

func (r *run) start(ctx context.Context, fn *resource.Function, d *delivery) *answer {
	if refusal := r.h.enter(ctx, r.kind, d.patience); refusal != nil {
		return refusal
	}
	refuse := func(err error) *answer {
		r.h.leave(r.kind)
		a := busy(err.Error())
		a.after = 5 * time.Second
		if errors.Is(err, errRefused) {
			a = answer{status: http.StatusUnprocessableEntity, body: err.Error()}
		}
		r.h.c.Log.Warn("a job cannot be started", "function", nameOf(fn), "error", err)
		return &a
	}
	p := r.h.placeFor(fn)
	if err := p.ready(fn); err != nil {
		return refuse(err)
	}
	r.record, r.token = newRecord(fn, d, r.key, r.h.c.Now()), d.token
	in, err := r.h.newInput(fn, d, r.record)
	if err != nil {
		return refuse(err)
	}
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if r.task, err = p.start(starting, fn, r.record, in); err != nil {
		return refuse(err)
	}
	return nil
}

func (h *Host) placeFor(fn *resource.Function) place {
	if p := h.places[placeOf(fn)]; p != nil {
		return p
	}
	return nowhere{kind: placeOf(fn)}
}

// await answers a caller with the end of the run. When all who wait give up,
// the run is of no use and ended.
func (r *run) await(ctx context.Context) answer {
	r.h.mu.Lock()
	r.waiting++
	r.h.mu.Unlock()
	select {
	case <-r.over:
		return r.outcome.answer()
	case <-r.h.life.Done():
		return busy("Signalbox is stopping")
	case <-ctx.Done():
	}
	r.h.mu.Lock()
	r.waiting--
	abandoned := r.waiting == 0 && r.token == nil
	r.h.mu.Unlock()
	if abandoned {
		r.task.stop()
	}
	return answer{status: http.StatusGatewayTimeout, body: "the caller gave up; the run was ended"}
}

// follow sees the run to its end and reports that.
func (r *run) follow() {
	h := r.h
	told := make(chan struct{})
	go func() {
		defer close(told)
		h.tell(h.reporting, r.record, TypeStarted, func(*Report) {}, r.record.Began)
	}()
	keeping, enough := context.WithCancel(context.Background())
	kept := make(chan struct{})
	go func() { defer close(kept); r.keepLease(keeping) }()
	within := r.record.Timeout
	if s, ok := r.task.(interface{ slack() time.Duration }); ok { // ends it by itself
		within += s.slack()
	}
	late := time.AfterFunc(r.record.Began.Add(within).Sub(h.c.Now()), func() { r.late.Store(true); r.task.stop() })
	end, err := r.task.wait(h.life)
	late.Stop()
	enough()
	<-kept
	<-told
	switch {
	case errors.Is(err, errDetached):
		h.forgetRun(r)
	case err != nil:
		r.giveBack()
	default:
		r.finish(end)
	}
	h.leave(r.kind)
}

// keepLease extends the lease while the run goes on.
func (r *run) keepLease(ctx context.Context) {
	tick := time.NewTicker(r.h.c.Lease / 3)
	defer tick.Stop()
	for {
		r.task.follows(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if token := r.latest(); token != nil {
			one, cancel := context.WithTimeout(ctx, r.h.c.Lease/3)
			err := r.h.c.Reporter.Report(one, &event.Completion{Delivery: *token, Extend: r.h.c.Lease, Time: r.h.c.Now().UTC()})
			cancel()
			if err != nil && ctx.Err() == nil {
				r.h.c.Log.Warn("a lease could not be extended", "function", r.record.Function, "run", r.record.Run, "error", err)
			}
		}
	}
}

func (r *run) latest() *event.DeliveryToken {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return r.token
}

// giveBack reports a run that was ended with this process: no attempt is spent.
func (r *run) giveBack() {
	r.h.forgetRun(r)
	r.outcome = outcome{status: http.StatusServiceUnavailable, reason: errReturned.Error()}
	close(r.over)
	if token := r.latest(); token != nil {
		r.deliver(token, true)
	}
	r.task.forget(r.h.reporting)
}

// finish reports how the run ended, and tells it as an event before.
func (r *run) finish(end ending) {
	h := r.h
	r.outcome = r.record.judge(end, end.late || r.late.Load())
	if end.at.IsZero() {
		end.at = h.c.Now()
	}
	if !r.outcome.done() || r.latest() == nil {
		h.forgetRun(r) // the next attempt, or call, is another run
	}
	h.note(r.kind, &r.outcome, end.at)
	h.c.Log.Info("a run has ended", "function", r.record.Function, "run", r.record.Run, "status", r.outcome.status, "reason", r.outcome.reason)
	h.tell(h.reporting, r.record, r.outcome.kind(), func(report *Report) { r.outcome.fill(report, end.at.Sub(r.record.Began)) }, end.at)
	close(r.over)
	reported := true
	for token := r.latest(); token != nil && reported; {
		reported = r.deliver(token, false)
		h.mu.Lock()
		if r.token == token || !r.outcome.done() {
			token = nil
			if h.runs[r.key] == r {
				delete(h.runs, r.key)
			}
		} else {
			token = r.token // it came again meanwhile
		}
		h.mu.Unlock()
	}
	h.forgetRun(r)
	if reported {
		r.task.forget(h.reporting)
	}
}

// deliver reports the outcome until the report is in the log.
func (r *run) deliver(token *event.DeliveryToken, putOff bool) bool {
	c := &event.Completion{Delivery: *token, Status: r.outcome.status, PutOff: putOff, Reason: firstLine(r.outcome.reason), Body: r.outcome.reason, Replies: r.outcome.replies, Time: r.h.c.Now().UTC()}
	return r.h.insist(r.h.reporting, "report of run "+r.record.Run, func(ctx context.Context) error {
		err := r.h.c.Reporter.Report(ctx, c)
		if errors.Is(err, ErrGone) {
			r.h.c.Log.Info("nobody waits for a run any more", "run", r.record.Run, "cause", err)
			return nil
		}
		return err
	})
}

// forgetRun lets a delivery that comes again begin another run.
func (h *Host) forgetRun(r *run) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.runs[r.key] == r {
		delete(h.runs, r.key)
	}
}
