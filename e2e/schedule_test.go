//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A real minute: three processes with the same schedule, on real parts.
func TestAScheduleFiresOnceOverThreeReplicas(t *testing.T) {
	args := realArgs(t)
	fn := newRecorder(t, nil)
	var s *server
	for range 3 {
		s = start(t, slices.Clone(args)...)
	}
	s.apply(fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: digest}\nspec: {url: %q, schedule: [{cron: \"* * * * *\", data: {scope: all}}]}\n", fn.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(fn.all()) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the schedule did not fire within two minutes")
		}
	}
	late := time.Since(time.Now().Truncate(time.Minute))
	// All replicas are through with this time once each has passed its part of the spread.
	settled := time.After(3 * time.Second)
	<-settled
	calls := fn.all()
	if len(calls) != 1 {
		t.Fatalf("%d calls, want 1", len(calls))
	}
	c := calls[0]
	if c.header.Get("Ce-Type") != "signalbox.schedule" || c.header.Get("Ce-Subject") != "digest" || c.body != `{"scope":"all"}` || c.header.Get("Signalbox-Link") != "schedule:digest" {
		t.Errorf("%v %s", c.header, c.body)
	}
	if !strings.HasPrefix(c.id(), time.Now().UTC().Format("2006-01-02T15:04")) {
		t.Errorf("id %s", c.id())
	}
	t.Logf("called %s after its time", late)
}
