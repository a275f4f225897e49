//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// fragile is a function that refuses everything until it is mended.
type fragile struct {
	*recorder
	mended atomic.Bool
}

func newFragile(t testing.TB) *fragile {
	f := &fragile{}
	f.recorder = newRecorder(t, func(w http.ResponseWriter, _ call) {
		if !f.mended.Load() {
			http.Error(w, "not today", http.StatusBadRequest)
		}
	})
	return f
}

// states counts the dead letters of a function by their state.
func (s *server) states(function string) (map[string]int, error) {
	letters, err := s.DeadLetters(s.t.Context(), client.Query{Function: function, Limit: 1000})
	n := map[string]int{}
	for _, raw := range letters {
		var l struct{ State string }
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, err
		}
		n[l.State]++
	}
	return n, err
}

func (s *server) awaitStates(function, want string) {
	s.t.Helper()
	await(s.t, "the dead letters to be "+want, func() error {
		n, err := s.states(function)
		if err == nil && fmt.Sprint(n) != want {
			err = fmt.Errorf("%v", n)
		}
		return err
	})
}

var redrive = client.LetterAction{Action: event.Redrive}

func TestDeadLettersAreRedrivenOnceAlsoAfterARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newFragile(t)
		s.apply(functionManifest("fragile", fn.URL, "com.example.a"))
		const n = 30
		s.emitSpread("order", "com.example.a", n)
		s.awaitStates("fragile", fmt.Sprintf("map[open:%d]", n))
		fn.mended.Store(true)
		if tally, err := s.DecideDeadLetters(t.Context(), client.Query{Where: "subject = '7'"}, false, client.LetterAction{Action: event.Drop}, nil); err != nil || tally.Dropped != 1 {
			t.Fatalf("drop of one: %+v, %v", tally, err)
		}
		if tally, err := s.DecideDeadLetters(t.Context(), client.Query{Function: "fragile"}, false, redrive, nil); err != nil || tally.Redriven != n-1 || tally.Already != 1 {
			t.Fatalf("redrive: %+v, %v", tally, err)
		}
		fn.awaitCalls(t, 2*n-1)
		s.stop()
		s.launch()
		s.awaitReady()
		s.awaitStates("fragile", fmt.Sprintf("map[dropped:1 redriven:%d]", n-1))
		if tally, err := s.DecideDeadLetters(t.Context(), client.Query{}, true, redrive, nil); err != nil || tally.Already != n {
			t.Errorf("after the restart: %+v, %v", tally, err)
		}
		s.emitSpread("marker", "com.example.a", 1)
		fn.awaitIDs(t, ids("marker", 1))
		once := map[string]bool{"order-7": true, "marker-0": true} // dropped; never dead
		for id, calls := range fn.count() {
			if once[id] && calls != 1 || !once[id] && calls != 2 {
				t.Errorf("%s: %d calls", id, calls)
			}
		}
	})
}

func TestTwoReplicasRedriveEachDeadLetterOnce(t *testing.T) {
	a, b := startReplicas(t, realArgs(t))
	fn := newFragile(t)
	a.applyTo(functionManifest("fragile", fn.URL, "com.example.a"), b)
	const n = 200
	a.emitSpread("order", "com.example.a", n)
	a.awaitStates("fragile", fmt.Sprintf("map[open:%d]", n))
	fn.mended.Store(true)
	var redriven atomic.Int64
	var both sync.WaitGroup
	for _, s := range []*server{a, b, a, b} {
		both.Go(func() {
			// Who is told for long enough that another one decides at the moment asks again.
			await(t, "all to be decided", func() error {
				tally, err := s.DecideDeadLetters(t.Context(), client.Query{Function: "fragile"}, false, redrive, nil)
				redriven.Add(int64(tally.Redriven))
				if err == nil && tally.Failed > 0 {
					err = fmt.Errorf("%+v", tally)
				}
				return err
			})
		})
	}
	both.Wait()
	if redriven.Load() != n {
		t.Errorf("%d redriven, want %d", redriven.Load(), n)
	}
	fn.awaitCalls(t, 2*n)
	b.awaitStates("fragile", fmt.Sprintf("map[redriven:%d]", n))
	for id, calls := range fn.count() {
		if calls != 2 {
			t.Errorf("%s: %d calls", id, calls)
		}
	}
}

func TestADeadLetterHoldsItsKeyOverARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newFragile(t)
		s.apply(functionManifest("fragile", fn.URL) + `---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: in-order}
spec: {function: fragile, types: [com.example.a], order: key, delivery: {afterDead: hold}}
`)
		emit := func(id, subject string) {
			header := binaryHeader(id, "com.example.a")
			header["Ce-Subject"] = subject
			if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
				t.Fatalf("POST /events answered %d: %s", status, body)
			}
		}
		emit("first", "k")
		s.awaitStates("fragile", "map[open:1]")
		fn.mended.Store(true)
		emit("second", "k")
		s.stop()
		s.launch()
		s.awaitReady()
		emit("other", "m")
		fn.awaitIDs(t, []string{"other"})
		if n := fn.count(); n["first"] != 1 || n["second"] != 0 {
			t.Fatalf("before the decision: %v", n)
		}
		if tally, err := s.DecideDeadLetters(t.Context(), client.Query{}, true, redrive, nil); err != nil || tally.Redriven != 1 {
			t.Fatalf("%+v, %v", tally, err)
		}
		fn.awaitIDs(t, []string{"second"})
		var order []string
		for _, c := range fn.all() {
			order = append(order, c.id())
		}
		if got := fmt.Sprint(order); got != "[first other first second]" {
			t.Errorf("called in the order %s", got)
		}
	})
}
