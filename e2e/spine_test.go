//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
)

// binaryHeader are the headers of an event in binary mode.
func binaryHeader(id, typ string) map[string]string {
	return map[string]string{"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "/e2e", "Ce-Type": typ, "Content-Type": "application/json"}
}

// emitID sends an event in binary mode and wants 202.
func (s *server) emitID(id, typ, data string) {
	s.t.Helper()
	if status, body := s.post("/events", binaryHeader(id, typ), data); status != http.StatusAccepted {
		s.t.Fatalf("POST /events answered %d: %s", status, body)
	}
}

// fence sends one more event that fn gets and waits for it: what was sent
// before to the same partition has been chosen for by then.
func (s *server) fence(fn *recorder, typ string) {
	s.t.Helper()
	id := "fence-" + unique(s.t)
	s.emitID(id, typ, "{}")
	await(s.t, "the fence event", func() error {
		if fn.count()[id] == 0 {
			return fmt.Errorf("not delivered yet")
		}
		return nil
	})
}

func TestEachModeOfAnEventIsDeliveredUnharmed(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*"))
		header := binaryHeader("binary", "com.example.a")
		header["Ce-Subject"] = "Euro%20%E2%82%AC%20%F0%9F%98%80"
		header["Ce-Tenant"] = "t1"
		status, body := s.post("/events", header, `{"n": 1}`)
		if status != http.StatusAccepted || strings.TrimSpace(body) != `{"accepted":1}` {
			t.Fatalf("binary: %d %s", status, body)
		}
		status, body = s.post("/events", map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"},
			`{"specversion":"1.0","id":"structured","source":"/e2e","type":"com.example.b","data":{"n":2},"tenant":"t2","subject":"Euro € 😀"}`)
		if status != http.StatusAccepted {
			t.Fatalf("structured: %d %s", status, body)
		}
		status, body = s.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"},
			`[{"specversion":"1.0","id":"batch-0","source":"/e2e","type":"com.example.c","datacontenttype":"text/plain","data":"hello"},
			  {"specversion":"1.0","id":"batch-1","source":"/e2e","type":"com.example.c","data_base64":"AAEC"}]`)
		if status != http.StatusAccepted || strings.TrimSpace(body) != `{"accepted":2}` {
			t.Fatalf("batch: %d %s", status, body)
		}
		got := map[string]call{}
		for _, c := range fn.awaitCalls(t, 4) {
			got[c.id()] = c
		}
		for id, want := range map[string][3]string{
			"binary":     {`{"n": 1}`, "application/json", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
			"structured": {`{"n":2}`, "application/json", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
			"batch-0":    {"hello", "text/plain", ""},
			"batch-1":    {"\x00\x01\x02", "", ""},
		} {
			c, ok := got[id]
			if !ok {
				t.Errorf("%s was not delivered", id)
				continue
			}
			if have := [3]string{c.body, c.header.Get("Content-Type"), c.header.Get("Ce-Subject")}; have != want {
				t.Errorf("%s: body, content type and subject are %q, want %q", id, have, want)
			}
		}
		if got["binary"].header.Get("Ce-Tenant") != "t1" || got["structured"].header.Get("Ce-Tenant") != "t2" {
			t.Error("an extension attribute was lost")
		}
	})
}

func TestAFunctionGetsTheHeadersOfTheContract(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.a"))
		s.emitID("1", "com.example.a", "{}")
		c := fn.awaitCalls(t, 1)[0]
		for header, want := range map[string]string{
			"Ce-Specversion": "1.0", "Ce-Source": "/e2e", "Ce-Type": "com.example.a", "Prefer": "reply",
			"Signalbox-Link": "sink", "Signalbox-Attempt": "1", "Signalbox-Max-Attempts": "8",
		} {
			if got := c.header.Get(header); got != want {
				t.Errorf("%s is %q, want %q", header, got, want)
			}
		}
		if c.header.Get("Idempotency-Key") == "" || c.header.Get("Traceparent") == "" {
			t.Errorf("Idempotency-Key %q, traceparent %q: want both", c.header.Get("Idempotency-Key"), c.header.Get("Traceparent"))
		}
	})
}

func TestWhatIsRefusedReachesNoFunction(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*"))
		noType := binaryHeader("x", "com.example.a")
		delete(noType, "Ce-Type")
		for name, tt := range map[string]struct {
			header map[string]string
			body   string
			status int
			says   string
		}{
			"no event at all":        {map[string]string{"Content-Type": "application/json"}, "{}", 400, ""},
			"no type":                {noType, "{}", 400, "type"},
			"a bad item in a batch":  {map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[{"specversion":"1.0","id":"ok","source":"/e2e","type":"com.example.a"},{"specversion":"1.0","id":"bad","source":"/e2e"}]`, 400, `"index":1`},
			"an unknown format":      {map[string]string{"Content-Type": "application/cloudevents+avro"}, "x", 415, ""},
			"a body that is too big": {binaryHeader("big", "com.example.a"), strings.Repeat("x", 1<<20+1), 413, ""},
		} {
			status, body := s.post("/events", tt.header, tt.body)
			if status != tt.status || !strings.Contains(strings.ReplaceAll(body, " ", ""), tt.says) {
				t.Errorf("%s: answered %d %s, want %d with %q", name, status, body, tt.status, tt.says)
			}
		}
		s.fence(fn, "com.example.fence")
		for _, c := range fn.all() {
			if !strings.HasPrefix(c.id(), "fence-") {
				t.Errorf("refused, but delivered: %s", c.id())
			}
		}
	})
}

func TestADuplicateIsDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.*"))
		header := binaryHeader("twice", "com.example.a")
		header["Ce-Subject"] = "one" // same key, same partition: the order is that of sending
		for range 2 {
			if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
				t.Fatalf("%d %s", status, body)
			}
		}
		header["Ce-Id"] = "after"
		s.post("/events", header, "{}")
		await(t, "the event after the duplicate", func() error {
			if fn.count()["after"] == 0 {
				return fmt.Errorf("not delivered")
			}
			return nil
		})
		if n := fn.count()["twice"]; n != 1 {
			t.Errorf("delivered %d times, want once", n)
		}
	})
}

func TestALinkIsInForceWithinASecondAndExplainSaysWhy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.known"))
		s.emitID("early", "com.example.late", "{}")
		s.apply("apiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: late}\nspec: {function: sink, types: [com.example.late], filters: [{prefix: {subject: images/}}]}\n")
		changed := time.Now()
		deadline := changed.Add(time.Second + slack)
		for i := 0; len(fn.all()) == 0; i++ {
			if time.Now().After(deadline) {
				t.Fatal("the link was not in force after a second")
			}
			header := binaryHeader(fmt.Sprintf("late-%d", i), "com.example.late")
			header["Ce-Subject"] = "images/1"
			s.post("/events", header, "{}")
		}
		s.emitID("unfiltered", "com.example.late", "{}")
		await(t, "the explanation", func() error {
			ex, err := s.Explain(t.Context(), "/e2e", "unfiltered")
			if err != nil {
				return err
			}
			for _, l := range ex.Links {
				if l.Matched {
					t.Errorf("link %s matched", l.Name)
				}
				if l.Name == "late" && !strings.Contains(l.Why, "subject") {
					t.Errorf("link late: why is %q, want it to name the filter", l.Why)
				}
			}
			if len(ex.Links) != 2 {
				return fmt.Errorf("%d links explained, want 2", len(ex.Links))
			}
			return nil
		})
		if fn.count()["early"]+fn.count()["unfiltered"] != 0 {
			t.Error("an event was delivered that the link did not match")
		}
	})
}

const replyOnce = "com.example.reply"

func TestAReplyIsAnEventAgainWithLineage(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		first := newRecorder(t, func(w http.ResponseWriter, c call) {
			w.Header().Set("Ce-Specversion", "1.0")
			w.Header().Set("Ce-Id", "anything")
			w.Header().Set("Ce-Source", "/first")
			w.Header().Set("Ce-Type", replyOnce)
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, "reply to "+c.id())
		})
		second := newRecorder(t, nil)
		s.apply(functionManifest("first", first.URL, "com.example.start") + functionManifest("second", second.URL, replyOnce))
		s.emitID("cause", "com.example.start", "{}")
		c := second.awaitCalls(t, 1)[0]
		if c.body != "reply to cause" || c.header.Get("Ce-Causationid") != "cause" || c.header.Get("Ce-Correlationid") != "cause" {
			t.Errorf("body %q, causationid %q, correlationid %q", c.body, c.header.Get("Ce-Causationid"), c.header.Get("Ce-Correlationid"))
		}
		var steps []client.Step
		if err := s.FollowChain(t.Context(), "/e2e", "cause", func(x client.Step) { steps = append(steps, x) }); err != nil {
			t.Fatal(err)
		}
		if len(steps) != 2 || steps[0].Run.Function != "first" || steps[1].Run.Function != "second" || steps[1].Depth != 1 {
			t.Errorf("the chain is %+v", steps)
		}
	})
}

func TestALoopEndsAtTheHopLimitInADeadLetter(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		loop := newRecorder(t, func(w http.ResponseWriter, c call) {
			for _, h := range []string{"Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type"} {
				w.Header().Set(h, c.header.Get(h))
			}
		})
		s.apply(functionManifest("loop", loop.URL, "com.example.loop"))
		s.emitID("round", "com.example.loop", "")
		await(t, "the dead letter", func() error {
			letters, err := s.DeadLetters(t.Context(), client.Query{Since: time.Now().Add(-time.Hour)})
			if err == nil && len(letters) != 1 {
				err = fmt.Errorf("%d dead letters after %d calls", len(letters), len(loop.all()))
			}
			return err
		})
	})
}

func TestAFailingFunctionIsRetriedAndThenDeadWithEveryAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, func(w http.ResponseWriter, c call) { http.Error(w, "out of order", http.StatusInternalServerError) })
		s.apply(functionManifest("broken", fn.URL) + `---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-broken}
spec: {function: broken, types: [com.example.a], delivery: {attempts: 3, backoff: {initial: 10ms, max: 20ms}}}
`)
		s.emitID("1", "com.example.a", "{}")
		await(t, "the dead letter", func() error {
			letters, err := s.DeadLetters(t.Context(), client.Query{Function: "broken", Since: time.Now().Add(-time.Hour)})
			if err != nil {
				return err
			}
			if len(letters) == 0 {
				return fmt.Errorf("none yet")
			}
			for _, want := range []string{`"out of order`, `"status":500`, `"link":"to-broken"`, `"id":"1"`} {
				if !strings.Contains(strings.ReplaceAll(string(letters[0]), `": `, `":`), want) {
					t.Errorf("the dead letter lacks %s: %s", want, letters[0])
				}
			}
			return nil
		})
		calls := fn.all()
		if len(calls) != 3 || calls[2].header.Get("Signalbox-Attempt") != "3" || calls[0].header.Get("Idempotency-Key") != calls[2].header.Get("Idempotency-Key") {
			t.Errorf("%d calls, the last is attempt %s", len(calls), calls[len(calls)-1].header.Get("Signalbox-Attempt"))
		}
	})
}

func TestPoliciesDenyAndTargetAndChangeWithoutARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		open, batch := newRecorder(t, nil), newRecorder(t, nil)
		s.apply(functionManifest("open", open.URL, "com.example.a") + functionManifest("batch", batch.URL) + policyManifest("guard", `
    deny contains {"link": link.name, "reason": "frozen"} if {
      some link in input.links
      input.event.freeze == true
    }
    target contains {"function": "batch"} if input.event.type == "com.example.b"`))
		s.emitID("plain", "com.example.a", "{}")
		open.awaitCalls(t, 1)
		frozen := binaryHeader("frozen", "com.example.a")
		frozen["Ce-Freeze"] = "true"
		s.post("/events", frozen, "{}")
		s.emitID("targeted", "com.example.b", "{}")
		if c := batch.awaitCalls(t, 1)[0]; c.id() != "targeted" {
			t.Errorf("batch got %s", c.id())
		}
		await(t, "the denial in explain", func() error {
			ex, err := s.Explain(t.Context(), "/e2e", "frozen")
			if err != nil {
				return err
			}
			for _, l := range ex.Links {
				if l.Name == "open" && (l.Matched || !strings.Contains(l.Why, "frozen")) {
					return fmt.Errorf("matched %v: %s", l.Matched, l.Why)
				}
			}
			return nil
		})
		if n := open.count()["frozen"]; n != 0 {
			t.Errorf("a denied event was delivered %d times", n)
		}
		s.apply(policyManifest("guard", `
    deny contains {"link": link.name, "reason": "closed"} if some link in input.links`))
		await(t, "the changed policy", func() error {
			id := unique(t)
			s.emitID(id, "com.example.a", "{}")
			ex, err := s.Explain(t.Context(), "/e2e", id)
			if err != nil {
				return err
			}
			for _, l := range ex.Links {
				if l.Name == "open" && strings.Contains(l.Why, "closed") && open.count()[id] == 0 {
					return nil
				}
			}
			return fmt.Errorf("not in force yet: %+v", ex.Links)
		})
	})
}

func TestABrokenPolicyIsRefusedAndTheOldOneStays(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		s.apply(policyManifest("guard", `
    deny contains {"link": "none", "reason": "no"} if false`))
		status, body := s.post("/api/v1/apply", map[string]string{"Content-Type": "application/yaml"}, policyManifest("guard", `
    deny contains x if { nonsense(`))
		if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
			t.Errorf("answered %d %s", status, body)
		}
		if !strings.Contains(body, "spec.rego") || !strings.Contains(body, "guard") {
			t.Errorf("the answer does not say where the fault is: %s", body)
		}
		_, body = s.post("/api/v1/apply?dryRun=true", map[string]string{"Content-Type": "application/yaml"}, policyManifest("guard", "\n    deny contains {\"link\": \"none\", \"reason\": \"no\"} if false"))
		if strings.Contains(body, "faults") {
			t.Errorf("the good policy is refused: %s", body)
		}
	})
}

// policyManifest is a trigger policy with the rules given, indented by four.
func policyManifest(name, rules string) string {
	return "---\napiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: " + name + "}\nspec:\n  rego: |\n    package signalbox.trigger\n    import rego.v1\n" + strings.TrimPrefix(rules, "\n") + "\n"
}

func TestAStopUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, func(http.ResponseWriter, call) { time.Sleep(5 * time.Millisecond) })
		s.apply(functionManifest("sink", fn.URL, "com.example.a"))
		const n = 300
		for i := range n {
			s.emitID(fmt.Sprint(i), "com.example.a", "{}")
		}
		s.stop()
		s.launch()
		s.awaitReady()
		await(t, "every event", func() error {
			if got := len(fn.count()); got < n {
				return fmt.Errorf("%d of %d", got, n)
			}
			return nil
		})
		for id, times := range fn.count() {
			if times != 1 {
				t.Errorf("event %s was delivered %d times", id, times)
			}
		}
	})
}
