package container

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

// heard is what an Observer was told.
type heard struct {
	mu     sync.Mutex
	ready  int
	causes []Cause
}

func (h *heard) observer() Observer {
	return Observer{
		Ready: func(_ string, took time.Duration) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if took > 0 {
				h.ready++
			}
		},
		Failed: func(_ string, cause Cause) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.causes = append(h.causes, cause)
		},
	}
}

func (h *heard) soFar() (ready int, causes []Cause) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready, slices.Clone(h.causes)
}

func TestEveryEndThatNobodyWantedHasItsCause(t *testing.T) {
	exits := func(exit engine.Exit) func(*fakeEngine) {
		return func(f *fakeEngine) { f.exit(f.names()[0], exit) }
	}
	for name, test := range map[string]struct {
		image string
		// before is done before there is a container, after once one is ready.
		before, after func(*fakeEngine)
		want          Cause
	}{
		"no image":                         {image: "none:1", want: CauseImage},
		"no engine":                        {before: func(f *fakeEngine) { f.away = fmt.Errorf("%w: nowhere", engine.ErrUnavailable) }, want: CauseEngine},
		"it does not start":                {before: func(f *fakeEngine) { f.refuse = fmt.Errorf("no such program") }, want: CauseStart},
		"it does not answer":               {image: "sick:1", want: CauseUnready},
		"it ends":                          {after: exits(engine.Exit{Code: 1}), want: CauseExit},
		"it is killed":                     {after: exits(engine.Exit{Code: engine.Killed}), want: CauseKilled},
		"it needs more memory than it has": {after: exits(engine.Exit{Code: engine.Killed, OOM: true}), want: CauseMemory},
		"somebody removes it": {after: func(f *fakeEngine) {
			f.set(func() { f.lost = true })
			f.exit(f.names()[0], engine.Exit{})
		}, want: CauseRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, map[string]http.HandlerFunc{"a:1": ok, "sick:1": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }})
			if test.before != nil {
				test.before(f)
			}
			var h heard
			c := quick(f, t.TempDir())
			c.Observe, c.RestartInitial, c.RestartMax = h.observer(), time.Hour, time.Hour
			if test.want == CauseUnready {
				c.ReadyTimeout = 50 * time.Millisecond
			}
			r, stop := run(t, c)
			if test.image == "" {
				test.image = "a:1"
			}
			use(r, function(test.image, resource.Container{MinReplicas: 1, Health: "/healthz"}))
			if test.after != nil {
				await(t, "a container", func() bool { n, _ := h.soFar(); return n == 1 })
				test.after(f)
			}
			await(t, "a failure", func() bool { _, causes := h.soFar(); return len(causes) > 0 })
			f.set(func() { f.away = nil }) // a stop asks the engine what is left
			stop()
			if _, causes := h.soFar(); len(causes) != 1 || causes[0] != test.want {
				t.Errorf("told %v: want %s once", causes, test.want)
			}
		})
	}
}

func TestLoadsSayWhatRunsAndWaitsForAFunction(t *testing.T) {
	f := newFake(t, map[string]http.HandlerFunc{"a:1": ok})
	f.held = make(chan struct{})
	var h heard
	c := quick(f, t.TempDir())
	c.Observe = h.observer()
	r, stop := run(t, c)
	fn := function("a:1", resource.Container{})
	old := function("a:1", resource.Container{MinReplicas: 1})
	old.Spec.Version = "v1"
	use(r, fn, old)
	answer := make(chan outcome, 1)
	go func() { answer <- post(t, client(), r, fn) }()
	await(t, "two that start, and a call that waits", func() bool {
		return slices.Equal(r.Loads(), []Load{{Function: "thumbs", Starting: 2, Waiting: 1}})
	})
	close(f.held)
	<-answer
	await(t, "two that are ready", func() bool { return slices.Equal(r.Loads(), []Load{{Function: "thumbs", Ready: 2}}) })
	stop()
	if ready, causes := h.soFar(); ready != 2 || len(causes) != 0 {
		t.Errorf("told of %d starts, and of %v: want 2 and none, since a stop is wanted", ready, causes)
	}
}

func TestARuntimeThatIsStoppedAtOnceEnds(t *testing.T) {
	for range 100 {
		_, stop := run(t, quick(newFake(t, nil), t.TempDir()))
		stop()
	}
}
