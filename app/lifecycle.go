package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// component is a part with a blocking run, which ends soon after its context does.
type component struct {
	name string
	run  func(context.Context) error
	// grace is how long a stop waits for it.
	grace time.Duration
}

// running is a component that was started.
type running struct {
	component
	cancel context.CancelFunc
	done   chan error
}

// errEnded is a component that ended without being told to.
var errEnded = errors.New("ended unexpectedly")

// runAll starts the components in order and keeps them running until ctx ends
// or one of them does. Then it stops them one by one in the reverse order,
// waiting for each at most its grace, and names the one it gave up on.
func runAll(ctx context.Context, log *slog.Logger, components []component) error {
	base := context.WithoutCancel(ctx)
	failed := make(chan error, len(components))
	started := make([]*running, 0, len(components))
	for _, c := range components {
		r := &running{component: c, done: make(chan error, 1)}
		var cctx context.Context
		cctx, r.cancel = context.WithCancel(base)
		go func() {
			err := r.run(cctx)
			if cctx.Err() == nil { // nobody told it to end
				failed <- fmt.Errorf("%s: %w", r.name, cmpError(err, errEnded))
			}
			r.done <- err
		}()
		started = append(started, r)
	}
	var first error
	select {
	case <-ctx.Done():
	case first = <-failed:
	}
	return errors.Join(first, stopAll(log, started))
}

// stopAll stops in the reverse order of starting.
func stopAll(log *slog.Logger, started []*running) error {
	var faults []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		begin := time.Now()
		r.cancel()
		late := time.NewTimer(r.grace)
		select {
		case err := <-r.done:
			if err != nil && !errors.Is(err, context.Canceled) {
				faults = append(faults, fmt.Errorf("stopping %s: %w", r.name, err))
			}
		case <-late.C:
			faults = append(faults, fmt.Errorf("stopping %s: still busy after %s", r.name, r.grace))
		}
		late.Stop()
		log.Debug("stopped", "component", r.name, "after", time.Since(begin))
	}
	return errors.Join(faults...)
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
