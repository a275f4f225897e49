// Command dummy-service is a function to try a deployment with: it answers that it is
// there, and delays, fails, hangs, ends and multiplies as its configuration says, or
// the data of the event. README.md has the fields.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/functions/sdk/go/function"
)

// orders say what to do; those of an event go over those of the configuration.
type orders struct {
	// Delay, and up to Jitter more, pass before the answer; CPU is worked through.
	Delay, Jitter, CPU duration
	// Fail is how: error, permanent, retry, hang or exit; FailRate how often (0 to 1),
	// and FailAttempts makes the first so many attempts fail. Neither: always.
	Fail         string
	FailRate     float64
	FailAttempts int
	RetryAfter   duration
	// Fan is how many events of type com.example.dummy.load it answers with, at most 100.
	Fan int
	// Bytes fills the answer up to so many.
	Bytes int
	// Quiet answers without an event.
	Quiet bool
}

// duration is one as in 1.5s.
type duration struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(b))
	return err
}

func main() { log.Fatal(function.Serve(obey)) }

func obey(ctx context.Context, e function.Event) ([]function.Event, error) {
	var o orders
	if err := function.Config(&o); err != nil {
		return nil, err
	}
	if len(e.Data()) > 0 && strings.Contains(e.DataContentType(), "json") {
		if err := json.Unmarshal(e.Data(), &o); err != nil {
			return nil, function.Permanent(fmt.Errorf("orders: %w", err))
		}
	}
	run := function.RunOf(ctx)
	function.Log(ctx).Info("event", "type", e.Type(), "attempt", run.Attempt, "bytes", len(e.Data()))
	if err := o.wait(ctx); err != nil {
		return nil, err
	}
	if o.fails(run.Attempt) {
		return nil, o.fail(ctx)
	}
	if o.Quiet || e.Type() == "com.example.dummy.load" {
		return nil, nil
	}
	return o.answer(e, run)
}

// wait passes the time.
func (o *orders) wait(ctx context.Context) error {
	for end := time.Now().Add(o.CPU.Duration); time.Now().Before(end); {
	}
	pause := o.Delay.Duration
	if o.Jitter.Duration > 0 {
		pause += rand.N(o.Jitter.Duration)
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *orders) fails(attempt int) bool {
	switch {
	case o.Fail == "":
		return false
	case o.FailAttempts > 0:
		return attempt <= o.FailAttempts
	case o.FailRate > 0:
		return rand.Float64() < o.FailRate
	}
	return true
}

func (o *orders) fail(ctx context.Context) error {
	switch o.Fail {
	case "permanent":
		return function.Permanent(errors.New("as ordered: permanent"))
	case "retry":
		return function.Retry(errors.New("as ordered: retry"), cmp.Or(o.RetryAfter.Duration, time.Second))
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "exit":
		os.Exit(3)
	}
	return errors.New("as ordered: error")
}

func (o *orders) answer(e function.Event, run function.Run) ([]function.Event, error) {
	host, _ := os.Hostname()
	done, err := function.Reply("com.example.dummy.done", map[string]any{
		"function": run.Function, "version": run.Version, "attempt": run.Attempt, "host": host, "pid": os.Getpid(),
		"received": len(e.Data()), "padding": strings.Repeat("x", max(0, o.Bytes)),
	})
	for range min(o.Fan, 99) {
		load, failed := function.Reply("com.example.dummy.load", nil)
		done, err = append(done, load...), errors.Join(err, failed)
	}
	return done, err
}
