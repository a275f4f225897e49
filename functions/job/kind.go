package job

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// kind is a version of a function. Host.mu guards its fields.
type kind struct {
	fn *resource.Function
	// running are its runs here.
	running int
	// freed, unless nil, is closed when one of them is over.
	freed chan struct{}
	// last is how the last run ended, and when.
	last   *outcome
	lastAt time.Time
}

// enter waits a little for room for another run, and no longer than half of the
// caller's patience: whom he gets no answer from has spent an attempt.
func (h *Host) enter(ctx context.Context, k *kind, patience time.Duration) *answer {
	wait := h.c.Hold
	if patience > 0 {
		wait = min(wait, patience/2)
	}
	hold := time.NewTimer(wait)
	defer hold.Stop()
	for {
		h.mu.Lock()
		most := 0
		if k.fn != nil {
			most = k.fn.Spec.Job.WithDefaults().Parallelism
		}
		if k.running < most {
			k.running++
			h.mu.Unlock()
			return nil
		}
		if k.freed == nil {
			k.freed = make(chan struct{})
		}
		freed := k.freed
		h.mu.Unlock()
		select {
		case <-freed:
		case <-hold.C:
			return &answer{status: http.StatusTooManyRequests, body: fmt.Sprintf("%d runs are under way, as many as may be here", most), after: time.Second}
		case <-ctx.Done():
			a := busy("the caller gave up")
			return &a
		}
	}
}

func (h *Host) leave(k *kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k.running--
	if k.freed != nil {
		close(k.freed)
		k.freed = nil
	}
}

// note keeps how a run ended.
func (h *Host) note(k *kind, o *outcome, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k.last, k.lastAt = o, at
}

// Status says how a job is: Replicas are the runs under way.
func (h *Host) Status(fn *resource.Function) (functions.Status, bool) {
	k := h.kind(nameOf(fn))
	if k == nil {
		return functions.Status{}, false
	}
	err := h.placeFor(fn).ready(fn)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := functions.Status{State: functions.StateIdle, Replicas: k.running, Ready: k.running}
	if k.running > 0 {
		s.State = functions.StateReady
	}
	if k.last != nil {
		s.Reason = "the last run succeeded at "
		if !k.last.done() {
			s.State, s.Reason = functions.StateFailing, "the last run failed ("+firstLine(k.last.reason)+") at "
		}
		s.Reason += k.lastAt.UTC().Format(time.RFC3339)
	}
	if err != nil {
		s.State, s.Reason = functions.StateStarting, err.Error()
	}
	return s, true
}
