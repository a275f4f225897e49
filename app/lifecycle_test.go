package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes the order in which components end.
type recorder struct {
	mu    sync.Mutex
	ended []string
}

func (r *recorder) component(name string) component {
	return component{name: name, grace: time.Second, run: func(ctx context.Context) error {
		<-ctx.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, name)
		return ctx.Err()
	}}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestComponentsStopInTheReverseOrderOfStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			result <- runAll(ctx, quiet(), []component{r.component("log"), r.component("dispatcher"), r.component("gateway")})
		}()
		synctest.Wait()
		cancel()
		if err := <-result; err != nil {
			t.Errorf("a clean stop failed: %v", err)
		}
		if want := []string{"gateway", "dispatcher", "log"}; !slices.Equal(r.ended, want) {
			t.Errorf("ended in the order %v, want %v", r.ended, want)
		}
	})
}

func TestAComponentThatFailsStopsTheOthersAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		broken := component{name: "broken", grace: time.Second, run: func(context.Context) error { return errors.New("no luck") }}
		err := runAll(t.Context(), quiet(), []component{r.component("log"), broken})
		if err == nil || !strings.Contains(err.Error(), "broken: no luck") {
			t.Errorf("got %v, want it to name the broken component", err)
		}
		if !slices.Equal(r.ended, []string{"log"}) {
			t.Errorf("ended %v, want the other one stopped", r.ended)
		}
	})
}

func TestAStopNamesTheComponentItGaveUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever)
		stuck := component{name: "stuck", grace: time.Second, run: func(context.Context) error { <-forever; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := runAll(ctx, quiet(), []component{stuck})
		if err == nil || !strings.Contains(err.Error(), "stopping stuck: still busy after 1s") {
			t.Errorf("got %v", err)
		}
	})
}
