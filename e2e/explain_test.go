//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// linkNamed finds a link of an explanation.
func linkNamed(x *client.Explanation, name string) history.Link {
	for _, l := range x.Links {
		if l.Name == name {
			return l
		}
	}
	return history.Link{}
}

// TestExplainTellsOfThePast changes what an event was chosen by, kills the
// process, and still wants to be told why.
func TestExplainTellsOfThePast(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		sink := newRecorder(t, nil)
		thumbs := newRecorder(t, func(w http.ResponseWriter, c call) {
			for k, v := range binaryHeader("any", "com.example.thumbnail") {
				w.Header().Set(k, v)
			}
			fmt.Fprint(w, "{}")
		})
		s.apply(functionManifest("sink", sink.URL, "com.example.fence", "com.example.thumbnail"))
		s.apply(functionManifest("thumbs", thumbs.URL, "com.example.image"))
		s.apply(`{apiVersion: signalbox.dev/v1, kind: Link, metadata: {name: audit}, spec: {function: sink, types: [com.example.image]}}`)
		s.apply(`{apiVersion: signalbox.dev/v1, kind: Link, metadata: {name: acme}, spec: {function: sink, types: [com.example.image], filters: [{exact: {tenant: acme}}]}}`)
		s.apply("apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: freeze}\nspec:\n  rego: |\n    package signalbox.trigger\n    import rego.v1\n" +
			"    deny contains {\"link\": \"audit\", \"reason\": \"frozen\"} if input.event.freeze == true\n")
		s.apply("apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: emitters}\nspec:\n  rego: |\n    package signalbox.admission\n    import rego.v1\n" +
			"    deny contains \"not from here\" if input.event.type == \"com.example.order\"\n")

		header := binaryHeader("frozen", "com.example.image")
		header["Ce-Freeze"] = "true"
		for range 2 { // the second one is a copy
			if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
				t.Fatalf("%d %s", status, body)
			}
		}
		s.emitID("unmatched", "com.example.nothing", "{}")
		reply := sink.awaitCalls(t, 1)[0]
		if status, _ := s.post("/events", binaryHeader("refused", "com.example.order"), "{}"); status != http.StatusForbidden {
			t.Fatalf("the order was answered with %d", status)
		}
		await(t, "everything to be explained", func() error { return s.past(reply.id()) })

		for kind, name := range map[string]string{"links": "audit", "policies": "freeze"} {
			k, _ := resource.LookupKind(kind)
			if err := s.Delete(t.Context(), k, name); err != nil {
				t.Fatal(err)
			}
		}
		s.apply(functionManifest("thumbs", thumbs.URL, "com.example.elsewhere"))
		s.kill()
		s.launch()
		s.awaitReady()
		await(t, "everything to be explained after the changes and a kill", func() error { return s.past(reply.id()) })
	})
}

// past is nil when what became of the events of TestExplainTellsOfThePast is told.
func (s *server) past(reply string) error {
	ctx := s.t.Context()
	x, err := s.Explain(ctx, "/e2e", "frozen")
	if err != nil {
		return err
	}
	audit, acme, thumbs := linkNamed(&x, "audit"), linkNamed(&x, "acme"), linkNamed(&x, "thumbs")
	switch {
	case audit.Matched || !strings.HasPrefix(audit.Why, "denied by policy freeze:3: frozen") || audit.Outcome != "dropped":
		return fmt.Errorf("audit %+v", audit)
	case acme.Matched || !strings.Contains(acme.Why, "the event has no tenant"):
		return fmt.Errorf("acme %+v", acme)
	case !thumbs.Chosen || thumbs.Outcome != "delivered" || x.Links[0].Name != "thumbs":
		return fmt.Errorf("thumbs %+v", thumbs)
	case len(x.Dedup.Duplicates) != 1 || x.Dedup.First != x.Position.String() || x.State != "done" || x.Known != "run":
		return fmt.Errorf("%+v", x)
	case len(x.Chain.Effects) != 1 || x.Chain.Effects[0].ID != reply || x.Chain.Effects[0].Outcome != "1 delivered":
		return fmt.Errorf("chain %+v", x.Chain)
	case len(x.Differences) > 0:
		return fmt.Errorf("differences %q", x.Differences)
	}
	revision := x.Revision
	if x, err = s.Explain(ctx, "", reply); err != nil || len(x.Chain.Causes) != 1 || x.Chain.Causes[0].ID != "frozen" || x.Chain.Causes[0].Link != "thumbs" {
		return fmt.Errorf("the reply: %+v, %w", x.Chain, err)
	}
	if x, err = s.Explain(ctx, "/e2e", "unmatched"); err != nil || x.Revision != revision || x.Known != "note" || x.State != "done" || linkNamed(&x, "audit").Name == "" {
		return fmt.Errorf("the event that nothing matched: %+v, %w", x, err)
	}
	if _, err = s.Explain(ctx, "/e2e", "refused"); !client.IsNotFound(err) || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "not from here") {
		return fmt.Errorf("the refused event: %w", err)
	}
	return nil
}
