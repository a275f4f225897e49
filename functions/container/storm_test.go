package container

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

// TestStormsHarmOnlyWhatTheyHit lets containers crash, changes come and the engine go
// away while calls are made: a call is answered, told to come back, or was in a
// container that crashed, and in the end all is as it should be.
func TestStormsHarmOnlyWhatTheyHit(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	images := map[string]http.HandlerFunc{}
	for i := range 3 {
		images[fmt.Sprintf("a:%d", i)] = ok
	}
	f := newFake(t, images)
	cfg := quick(f, t.TempDir())
	cfg.Hold = 2 * time.Second
	r, stop := run(t, cfg)
	spec := resource.Container{MaxReplicas: 3, Target: 2, IdleAfter: resource.Duration(50 * time.Millisecond)}
	use(r, function("a:0", spec))
	var load sync.WaitGroup
	var answered, later, broken atomic.Int64
	over := make(chan struct{})
	for range 8 {
		load.Go(func() {
			c := client()
			for {
				select {
				case <-over:
					return
				default:
				}
				switch o := post(t, c, r, function("a:0", spec)); {
				case o.err != nil && errors.Is(o.err, functions.ErrNotReady), o.status == 503:
					later.Add(1)
				case o.status == 200:
					answered.Add(1)
				case o.status == 502 && (strings.Contains(o.body, "exit code 1") || strings.Contains(o.body, "and the container with it")):
					broken.Add(1) // the engine may have gone before it said how the container ended
				default:
					t.Errorf("a call got %+v", o)
					return
				}
			}
		})
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var crashes int
	for range 300 {
		<-tick.C
		switch chance.IntN(8) {
		case 0, 1:
			if names := f.names(); len(names) > 0 {
				f.exit(names[chance.IntN(len(names))], engine.Exit{Code: 1})
				crashes++
			}
		case 2:
			use(r, function(fmt.Sprintf("a:%d", chance.IntN(3)), spec))
		case 3:
			f.set(func() { f.away = engine.ErrUnavailable })
		default:
			f.set(func() { f.away = nil })
		}
	}
	f.set(func() { f.away = nil })
	close(over)
	load.Wait()
	t.Logf("%d answered, %d later, %d broken by %d crashes", answered.Load(), later.Load(), broken.Load(), crashes)
	if answered.Load() == 0 {
		t.Error("nothing was answered")
	}
	if most := int64(crashes) * 8; broken.Load() > most {
		t.Errorf("%d calls broke: want at most the %d in flight at the crashes", broken.Load(), most)
	}
	await(t, "a function that answers", func() bool { return post(t, client(), r, function("a:0", spec)).status == 200 })
	await(t, "no container once it is idle", func() bool { r.soil(); return len(f.names()) == 0 })
	g := r.find("thumbs")
	g.mu.Lock()
	if g.calls != 0 || len(g.waiting) != 0 {
		t.Errorf("%d calls in flight and %d waiting", g.calls, len(g.waiting))
	}
	g.mu.Unlock()
	stop()
}
