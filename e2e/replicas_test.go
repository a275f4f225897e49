//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// emitSpread sends n events over all partitions, with ids that begin with a name.
func (s *server) emitSpread(name, typ string, n int) {
	s.t.Helper()
	for i := range n {
		header := binaryHeader(fmt.Sprint(name, "-", i), typ)
		header["Ce-Subject"] = fmt.Sprint(i)
		if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
			s.t.Fatalf("POST /events answered %d: %s", status, body)
		}
	}
}

// awaitIDs waits until each id was delivered once at least.
func (r *recorder) awaitIDs(t testing.TB, ids []string) {
	t.Helper()
	await(t, "every event to be delivered", func() error {
		got, missing := r.count(), 0
		for _, id := range ids {
			if got[id] == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d missing", missing, len(ids))
		}
		return nil
	})
}

// ids are what emitSpread sends.
func ids(name string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(name, "-", i)
	}
	return all
}

// partitions is how many partitions of the event topic a replica reads.
func (s *server) partitions() int {
	n := 0
	for p := range 10 {
		if s.metricAtLeast(fmt.Sprintf(`signalbox_consumer_lag_records{partition="%d"}`, p), 0) == nil {
			n++
		}
	}
	return n
}

// startReplicas starts two replicas of one system.
func startReplicas(t *testing.T, args []string) (a, b *server) {
	t.Helper()
	args = slices.Clip(args)
	a = start(t, args...)
	b = start(t, args...)
	return a, b
}

func TestALinkAddedOnOneReplicaIsInForceOnTheOtherWithinASecond(t *testing.T) {
	a, b := startReplicas(t, realArgs(t))
	fn := newRecorder(t, nil)
	a.apply(functionManifest("sink", fn.URL, "com.example.known"))
	kind, err := resource.LookupKind(resource.KindLink)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[*server]*server{a: b, b: a} {
		name, typ := "late-"+strings.ReplaceAll(from.addr, ":", "-"), "com.example."+from.addr
		name = strings.ReplaceAll(name, ".", "-")
		o, err := from.Put(t.Context(), kind, resource.Object{
			APIVersion: resource.APIVersion, Kind: resource.KindLink, Metadata: resource.Metadata{Name: name},
			Spec: fmt.Appendf(nil, `{"function": "sink", "types": [%q]}`, typ),
		})
		if err != nil {
			t.Fatal(err)
		}
		added := time.Now()
		await(t, "the other replica to know the link", func() error {
			return to.metricAtLeast("signalbox_resources_revision", float64(o.Metadata.Revision))
		})
		if took := time.Since(added); took > time.Second+slack {
			t.Errorf("in force after %s, want at most a second", took)
		}
		// Whichever replica has the partition, each event is delivered once.
		to.emitSpread(name, typ, 40)
		fn.awaitIDs(t, ids(name, 40))
	}
	for id, n := range fn.count() {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
}

func TestGatewayAndDispatcherCanBeProcessesOfTheirOwn(t *testing.T) {
	args := realArgs(t)
	gateway := start(t, append(slices.Clip(args), "--roles", "gateway")...)
	dispatcher := start(t, append(slices.Clip(args), "--roles", "dispatcher")...)
	second := newRecorder(t, nil)
	first := newRecorder(t, func(w http.ResponseWriter, c call) {
		for _, name := range []string{"Ce-Specversion", "Ce-Id", "Ce-Source"} {
			w.Header().Set(name, c.header.Get(name))
		}
		w.Header().Set("Ce-Type", "com.example.two")
	})
	gateway.applyTo(functionManifest("first", first.URL, "com.example.one")+functionManifest("second", second.URL, "com.example.two"), dispatcher)
	gateway.emitSpread("split", "com.example.one", 20)
	second.awaitCalls(t, 20)
	var steps []client.Step
	if err := gateway.FollowChain(t.Context(), "/e2e", "split-7", func(s client.Step) { steps = append(steps, s) }); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 || steps[1].Run.Function != "second" {
		t.Errorf("the gateway tells the chain as %+v", steps)
	}
	const chosen = "signalbox_deliveries_chosen_total"
	if err := dispatcher.metricAtLeast(chosen, 40); err != nil {
		t.Error(err)
	}
	if gateway.metricAtLeast(chosen, 1) == nil {
		t.Error("the gateway delivered something")
	}
}

func TestTheReplicaThatIsLeftDeliversEverything(t *testing.T) {
	a, b := startReplicas(t, realArgs(t))
	fn := newRecorder(t, nil)
	a.applyTo(functionManifest("sink", fn.URL, "com.example.crash"), b)
	await(t, "both replicas to have partitions", func() error {
		if x, y := a.partitions(), b.partitions(); x == 0 || y == 0 {
			return fmt.Errorf("they have %d and %d", x, y)
		}
		return nil
	})
	load := startLoad(t, b.addr, 2)
	for _, when := range []string{"before", "after"} {
		before := load.count()
		await(t, "events to be accepted "+when+" the end of one replica", func() error {
			if load.count() < before+200 {
				return fmt.Errorf("%d so far", load.count()-before)
			}
			return nil
		})
		if when == "before" {
			a.kill()
		}
	}
	var accepted []string
	for id := range load.stop() {
		accepted = append(accepted, id)
	}
	fn.awaitIDs(t, accepted)
	await(t, "the replica that is left to say that it has all partitions", func() error {
		if n := b.partitions(); n != 10 {
			return fmt.Errorf("it has %d, want 10", n)
		}
		return nil
	})
}
