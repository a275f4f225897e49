//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// policyOf is a policy with more fields of its spec, each a line.
func policyOf(name, rego string, fields ...string) string {
	m := fmt.Sprintf("apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: %s}\nspec:\n", name)
	for _, f := range fields {
		m += "  " + f + "\n"
	}
	if rego != "" {
		m += "  rego: |\n    " + strings.ReplaceAll(rego, "\n", "\n    ") + "\n"
	}
	return m + "---\n"
}

// hangs takes longer than any timeout for events with the extension hang.
const hangs = `package signalbox.trigger
import rego.v1
deny contains "x" if {
  input.event.hang == true
  some i in numbers.range(1, 100000)
  some j in numbers.range(1, 100000)
  i * j == -1
}`

// emitWith sends an event with extensions.
func (s *server) emitWith(id, typ string, extensions ...string) {
	s.t.Helper()
	header := binaryHeader(id, typ)
	header["Ce-Partitionkey"] = "one" // all in one partition
	for i := 0; i < len(extensions); i += 2 {
		header["Ce-"+extensions[i]] = extensions[i+1]
	}
	if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
		s.t.Fatalf("POST /events answered %d: %s", status, body)
	}
}

func (s *server) deletePolicy(name string) {
	s.t.Helper()
	kind, err := resource.LookupKind("policy")
	if err == nil {
		err = s.Delete(context.Background(), kind, name)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// metric is the value of a series; 0 when it is not there.
func (s *server) metric(series string) float64 {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			var n float64
			fmt.Sscan(v, &n)
			return n
		}
	}
	return 0
}

func TestAPolicyThatHangsHoldsUpNoPartition(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*") + "---\n" + policyOf("hangs", hangs))
		start := time.Now()
		for i := range 30 {
			s.emitWith(fmt.Sprintf("hang-%d", i), "com.example.a", "hang", "true")
		}
		await(t, "30 dead letters", func() error {
			raw, err := s.DeadLetters(context.Background(), client.Query{})
			if err != nil || len(raw) != 30 {
				return fmt.Errorf("%d dead letters, error %v", len(raw), err)
			}
			for _, r := range raw {
				var dl event.DeadLetter
				if err := json.Unmarshal(r, &dl); err != nil || !strings.Contains(dl.Reason, "trigger policy hangs failed: ") {
					t.Fatalf("reason %q, error %v", dl.Reason, err)
				}
			}
			return nil
		})
		if took := time.Since(start); took > 15*time.Second { // 30 times four tries were more than 6 s of evaluation and 15 s of pauses
			t.Errorf("30 events took %s", took)
		}
		if n := s.metric(`signalbox_policy_failures_total{class="breaker",policy="hangs"}`); n < 10 {
			t.Errorf("skipped for %v events", n)
		}
		s.deletePolicy("hangs")
		s.fence(fn, "com.example.a")
	})
}

func TestAPolicyThatFailsOpenIsLeftOut(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*") + "---\n" + policyOf("hangs", hangs, "onError: open") +
			policyOf("frozen", "package signalbox.trigger\nimport data.acme.lists\nimport rego.v1\ndeny contains \"frozen\" if input.event.tenant in lists.frozen") +
			policyOf("lists", "", `data: {acme: {lists: {frozen: [initech]}}}`))
		s.emitWith("left-out", "com.example.a", "hang", "true")
		s.emitWith("denied", "com.example.a", "hang", "true", "tenant", "initech")
		s.fence(fn, "com.example.a")
		await(t, "the event", func() error {
			if n := fn.count(); n["left-out"] != 1 || n["denied"] != 0 {
				return fmt.Errorf("called for %v", n)
			}
			return nil
		})
		s.apply(policyOf("lists", "", `data: {acme: {lists: {frozen: []}}}`))
		s.emitWith("allowed", "com.example.a", "tenant", "initech")
		await(t, "the event after the list changed", func() error {
			if fn.count()["allowed"] != 1 {
				return fmt.Errorf("called for %v", fn.count())
			}
			return nil
		})
	})
}

func TestAShadowPolicyTellsWhatItWouldChange(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*") + "---\n" +
			policyOf("next", "package signalbox.trigger\nimport rego.v1\ndeny contains \"no guests\" if not input.event.user", "mode: shadow") +
			policyOf("nobody", "package signalbox.admission\nimport rego.v1\nallow := false", "mode: shadow"))
		s.emitWith("guest", "com.example.a")
		fn.awaitCalls(t, 1)
		await(t, "both differences", func() error {
			list, err := s.Decisions(context.Background(), client.Query{Kind: string(event.DecidedShadow)})
			if err != nil {
				return err
			}
			var stops, refused bool
			for _, d := range list {
				if d.Event == nil || d.Event.ID != "guest" {
					return fmt.Errorf("a decision about %+v", d.Event)
				}
				stops = stops || d.Policy == "next" && len(d.Stops) == 1 && d.Stops[0] == "sink"
				refused = refused || d.Policy == "nobody" && strings.Contains(d.Reason, "no admission policy allows it")
			}
			if !stops || !refused {
				return fmt.Errorf("%+v", list)
			}
			return nil
		})
		if n := s.metric(`signalbox_policy_shadow_total{difference="stops",policy="next"}`); n != 1 {
			t.Errorf("counted %v", n)
		}
	})
}
