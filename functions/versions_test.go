//go:build unix

package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// version is a program of function f: a role, with more of its spec.
func version(t *testing.T, name, v, more string, args ...string) resource.Object {
	t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: name},
		Spec: []byte(fmt.Sprintf(`{"version":%q,"command":%s%s}`, v, b, more)),
	}
}

// use reconciles with a set of resources, and returns it.
func (f *fixture) use(objects ...resource.Object) resource.Set {
	f.t.Helper()
	set := setOf(f.t, objects...)
	if err := f.Reconcile(f.t.Context(), set); err != nil {
		f.t.Fatal(err)
	}
	return set
}

// runs lists the versions that have a program, whether it is ready or not.
func (f *fixture) runs(names ...string) {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		changed, got := f.changed, map[string]bool{}
		for which := range f.supervisors {
			got[which.String()] = true
		}
		f.mu.Unlock()
		all := len(got) == len(names)
		for _, n := range names {
			all = all && got[n]
		}
		if all {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			f.t.Fatalf("%v run, want %v", got, names)
		}
	}
}

// at waits until a version is ready, and asks for it again and again as a
// dispatcher does: one that nobody asks for is dismissed, also while it starts.
func (f *fixture) at(set resource.Set, v string) string {
	f.t.Helper()
	fn := set.Function("f", v)
	for deadline := time.Now().Add(time.Minute); ; {
		_, _ = f.URL(fn)
		ctx, stop := context.WithTimeout(f.t.Context(), 10*time.Millisecond)
		url, err := f.WaitReady(ctx, "f", fn.Spec.Version)
		stop()
		if err == nil {
			return url
		}
		if time.Now().After(deadline) {
			f.t.Fatal(err)
		}
	}
}

func quickly(c *Config) { c.Linger = 40 * time.Millisecond }

func TestVersionsInUseRunSideBySide(t *testing.T) {
	f := run(t, quickly)
	split := `,"traffic":[{"version":"v1","weight":1},{"version":"v2","weight":1},{"version":"v3","weight":0}]`
	objects := []resource.Object{
		version(t, "f@v1", "v1", "", as("serve")...), version(t, "f@v2", "v2", "", as("serve")...),
		version(t, "f@v3", "v3", "", as("serve")...), version(t, "f", "v4", split, as("serve")...),
		{APIVersion: resource.APIVersion, Kind: resource.KindLink, Metadata: resource.Metadata{Name: "l"}, Spec: []byte(`{"function":"f@v4","types":["t"]}`)},
	}
	set := f.use(objects...)
	pids := map[string]bool{}
	for _, v := range []string{"v1", "v2", "v4"} {
		url := f.at(set, v)
		pids[f.get(url+"pid")] = true
		if env := f.get(url + "env"); !strings.Contains(env, fmt.Sprintf(`"version":%q`, v)) || !strings.Contains(env, `"function":"f"`) {
			t.Errorf("%s finds %s", v, env)
		}
	}
	if len(pids) != 3 {
		t.Errorf("%d programs run, want 3", len(pids))
	}
	f.runs("f@v1", "f@v2", "f@v4")
	f.use(version(t, "f", "v4", "", as("serve")...), objects[0], objects[1], objects[2])
	f.runs("f@v4")
	f.use()
	f.runs()
}

// byHand is a fleet that nobody but the test looks after, and its clock.
func byHand(t *testing.T) (f *fixture, fl *fleet, pass func(time.Duration)) {
	t.Helper()
	var now atomic.Int64
	c := DefaultConfig()
	c.Linger, c.Log = time.Minute, slog.New(slog.DiscardHandler)
	c.Now = func() time.Time { return time.Unix(0, now.Load()) }
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var keeping sync.WaitGroup
	keeping.Go(r.keeper.Run)
	ctx, stop := context.WithCancel(context.Background())
	fl = &fleet{r: r, ctx: ctx}
	t.Cleanup(func() { stop(); fl.running.Wait(); r.keeper.Close(); keeping.Wait() })
	return &fixture{Registry: r, t: t}, fl, func(d time.Duration) { now.Add(int64(d)); fl.dismiss() }
}

func setOf(t *testing.T, objects ...resource.Object) resource.Set {
	t.Helper()
	set, faults := resource.NewSet(1, objects)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return set
}

func TestTheOldVersionGoesOnUntilTheNewOneIsReadyAndNobodyAsksForIt(t *testing.T) {
	f, fl, pass := byHand(t)
	v1, k1 := version(t, "f", "v1", "", as("serve")...), version(t, "f@v1", "v1", "", as("serve")...)
	set := setOf(t, v1)
	fl.use(set)
	f.at(set, "v1")
	fl.use(setOf(t, version(t, "f", "v2", "", as("deaf")...), k1))
	for range 5 {
		pass(time.Hour) // the new one is not ready
	}
	f.runs("f@v1", "f@v2")
	set = setOf(t, version(t, "f", "v2", "", as("serve")...), k1)
	fl.use(set)
	f.at(set, "v2")
	pass(time.Second) // the first look at which it is not needed
	for range 5 {
		if _, err := f.URL(set.Function("f", "v1")); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour) // somebody asked for it
	}
	pass(59 * time.Second)
	f.runs("f@v1", "f@v2")
	pass(time.Second)
	f.runs("f@v2")
	if _, err := f.URL(set.Function("f", "v1")); !errors.Is(err, ErrNotReady) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAVersionComesBackWhileItLingers(t *testing.T) {
	f := run(t, func(c *Config) { c.Linger = time.Hour })
	v1, v2 := version(t, "f", "v1", "", as("serve")...), version(t, "f", "v2", "", as("serve")...)
	k1, k2 := v1, v2
	k1.Metadata.Name, k2.Metadata.Name = "f@v1", "f@v2"
	first := f.at(f.use(v1), "v1")
	pid := f.get(first + "pid")
	f.at(f.use(v2, k1), "v2")
	if back := f.at(f.use(v1, k2), "v1"); back != first || f.get(back+"pid") != pid {
		t.Error("rolling back started the old version anew, which still ran")
	}
}

func TestAVersionThatGetsNoEventsIsStartedWhenItIsAskedFor(t *testing.T) {
	f := run(t, quickly)
	set := f.use(version(t, "f", "v2", "", as("serve")...), version(t, "f@v1", "v1", "", as("serve")...))
	f.at(set, "v2")
	f.runs("f@v2")
	if _, err := f.URL(set.Function("f", "v1")); !errors.Is(err, ErrNotReady) {
		t.Errorf("at first: %v", err)
	}
	f.at(set, "v1")
	f.runs("f@v2")
	gone := &resource.Function{Metadata: resource.Metadata{Name: "f"}, Spec: resource.FunctionSpec{Version: "v9", Command: as("serve")}}
	if _, err := f.URL(gone); !errors.Is(err, ErrNotReady) {
		t.Errorf("a version that is not there: %v", err)
	}
	f.runs("f@v2")
}
