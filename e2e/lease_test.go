//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// newLender is a function that takes everything under a lease; work, unless
// nil, is called with each token.
func newLender(t testing.TB, lease string, work func(id, token string)) *recorder {
	return newRecorder(t, func(w http.ResponseWriter, c call) {
		w.Header().Set("Signalbox-Lease", lease)
		if work != nil {
			work(c.id(), c.header.Get("Signalbox-Delivery"))
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

func made(id string) *event.Event {
	return &event.Event{ID: id, Source: "/worker", Type: "com.example.made", Subject: id}
}

// subjects are the ids of what a function got, by subject. After a crash an
// event may come again, but it is the same one.
func (r *recorder) subjects() map[string]map[string]bool {
	ids := map[string]map[string]bool{}
	for _, c := range r.all() {
		of := c.header.Get("Ce-Subject")
		if ids[of] == nil {
			ids[of] = map[string]bool{}
		}
		ids[of][c.id()] = true
	}
	return ids
}

// awaitSubjects waits until the function got something of n subjects, and fails
// when it got two events of one.
func (r *recorder) awaitSubjects(t testing.TB, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d events made", n), func() error {
		if got := len(r.subjects()); got < n {
			return fmt.Errorf("got %d", got)
		}
		return nil
	})
	for subject, ids := range r.subjects() {
		if len(ids) != 1 {
			t.Errorf("made of %s: %v", subject, ids)
		}
	}
}

// awaitDelivered waits until n deliveries of a function are done.
func (s *server) awaitDelivered(function string, n int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d deliveries of %s", n, function), func() error {
		runs, err := s.Runs(s.t.Context(), client.Query{Function: function, Since: time.Now().Add(-time.Hour)})
		done := map[string]bool{}
		for _, r := range runs {
			if r.Outcome == event.Delivered {
				done[r.ID] = true
			}
		}
		if err == nil && len(done) != n {
			err = fmt.Errorf("%d", len(done))
		}
		return err
	})
}

func TestWorkUnderALeaseIsReportedAlsoAfterARestart(t *testing.T) {
	for _, order := range []string{"none", "key"} {
		t.Run("order "+order, func(t *testing.T) {
			everywhere(t, func(t *testing.T, s *server) {
				fn, sink := newLender(t, "10m", nil), newRecorder(t, nil)
				s.apply(functionManifest("worker", fn.URL) + functionManifest("sink", sink.URL, "com.example.made") + `---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: work}
spec: {function: worker, types: [com.example.long], order: ` + order + `}
`)
				s.emitSpread("long", "com.example.long", 4)
				calls := fn.awaitCalls(t, 4)
				s.awaitWaiting("worker", 4)
				s.stop()
				s.launch()
				s.awaitReady()
				for i, c := range calls {
					token := c.header.Get("Signalbox-Delivery")
					if _, err := s.ExtendLease(t.Context(), token, time.Hour); err != nil {
						t.Fatal(err)
					}
					if i == 2 {
						s.kill()
						s.launch()
						s.awaitReady()
					}
					if err := s.CompleteDelivery(t.Context(), token, made(c.id())); err != nil {
						t.Fatal(err)
					}
					if err := s.CompleteDelivery(t.Context(), token, made(c.id())); err != nil { // once more does no harm
						t.Fatal(err)
					}
				}
				sink.awaitSubjects(t, 4)
				s.awaitDelivered("worker", 4)
				for id, n := range fn.count() {
					if n != 1 {
						t.Errorf("%s was called for %d times", id, n)
					}
				}
			})
		})
	}
}

// awaitWaiting waits until n deliveries of a function are known to be under leases.
func (s *server) awaitWaiting(function string, n int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d leases of %s", n, function), func() error {
		runs, err := s.Runs(s.t.Context(), client.Query{Function: function})
		leased := 0
		for _, r := range runs {
			if r.Outcome == event.Waiting && strings.HasPrefix(r.Reason, "leased until ") {
				leased++
			}
		}
		if err == nil && leased != n {
			err = fmt.Errorf("%d", leased)
		}
		return err
	})
}

func TestALeaseThatEndsIsAFailedAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, func(w http.ResponseWriter, c call) {
			if c.header.Get("Signalbox-Attempt") == "1" {
				w.Header().Set("Signalbox-Lease", "1")
				w.WriteHeader(http.StatusAccepted)
			}
		})
		s.apply(functionManifest("worker", fn.URL, "com.example.long"))
		s.emitSpread("long", "com.example.long", 1)
		fn.awaitCalls(t, 2)
		s.awaitDelivered("worker", 1)
	})
}

func TestManyLeasesAreReportedToAnyReplica(t *testing.T) {
	a, b := startReplicas(t, realArgs(t))
	const n = 1000
	var work sync.WaitGroup
	var mu sync.Mutex
	stuck := map[string]string{} // a few are reported at the end only
	busy := make(chan struct{}, 16)
	fn := newLender(t, "10m", func(id, token string) {
		mu.Lock()
		defer mu.Unlock()
		if len(stuck) < 5 {
			stuck[id] = token
			return
		}
		to := []*server{a, b}[len(token)%2]
		work.Go(func() {
			busy <- struct{}{}
			defer func() { <-busy }()
			if err := to.CompleteDelivery(context.WithoutCancel(t.Context()), token, made(id)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	})
	sink := newRecorder(t, nil)
	a.applyTo(functionManifest("worker", fn.URL, "com.example.long")+functionManifest("sink", sink.URL, "com.example.made"), b)
	a.emitSpread("long", "com.example.long", n)
	sink.awaitSubjects(t, n-5)
	work.Wait()
	for id, token := range stuck {
		if err := b.CompleteDelivery(t.Context(), token, made(id)); err != nil {
			t.Fatal(err)
		}
	}
	sink.awaitSubjects(t, n)
	a.awaitDelivered("worker", n)
	if got := len(fn.all()); got != n {
		t.Errorf("%d calls, want %d", got, n)
	}
}

func TestAReportOfNoDeliveryIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		for _, token := range []string{"nonsense", "nobody~link~0~1~1"} {
			if err := s.CompleteDelivery(t.Context(), token); !client.IsNotFound(err) {
				t.Errorf("%s: %v", token, err)
			}
		}
	})
}

func TestTheKeyOfALeaseWaitsOverRestarts(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newLender(t, "10m", nil)
		s.apply(functionManifest("worker", fn.URL) + `---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: in-order}
spec: {function: worker, types: [com.example.long], order: key}
`)
		const n = 4
		for i := range n {
			header := binaryHeader(fmt.Sprint("long-", i), "com.example.long")
			header["Ce-Subject"] = "same"
			if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
				t.Fatalf("POST /events answered %d: %s", status, body)
			}
		}
		for i := range n {
			calls := fn.awaitCalls(t, i+1)
			s.awaitWaiting("worker", i+1)
			s.stop()
			s.launch()
			s.awaitReady()
			if got := calls[i].id(); got != fmt.Sprint("long-", i) || len(calls) != i+1 {
				t.Fatalf("call %d of %d was for %s", i, len(calls), got)
			}
			if err := s.CompleteDelivery(t.Context(), calls[i].header.Get("Signalbox-Delivery")); err != nil {
				t.Fatal(err)
			}
		}
		s.awaitDelivered("worker", n)
		if got := len(fn.all()); got != n {
			t.Errorf("%d calls, want %d", got, n)
		}
	})
}
