//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/graph"
)

// replying answers every event with one of a type.
func replying(t testing.TB, typ string) *recorder {
	return newRecorder(t, func(w http.ResponseWriter, _ call) {
		for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "any", "ce-source": "/fn", "ce-type": typ} {
			w.Header().Set(name, value)
		}
		fmt.Fprint(w, `{"n":"reply"}`)
	})
}

// awaitType waits until a type is as it shall be.
func (s *server) awaitType(name string, is func(catalogue.Type) bool) catalogue.Type {
	s.t.Helper()
	var t catalogue.Type
	await(s.t, "type "+name, func() (err error) {
		if t, err = s.Type(s.t.Context(), name); err == nil && !is(t) {
			err = fmt.Errorf("%+v", t)
		}
		return err
	})
	return t
}

func TestTheCatalogueSeesWhatReplicasDeliver(t *testing.T) {
	args := realArgs(t)
	a, b := startReplicas(t, args)
	fn := replying(t, "com.example.thumb")
	a.applyTo(functionManifest("thumbs", fn.URL, "com.example.up")+"\n---\n"+
		"apiVersion: signalbox.dev/v1\nkind: Schema\nmetadata: {name: up}\nspec: {types: [com.example.up], schema: {type: object}}\n", b)
	a.emitSpread("x", "com.example.up", 60)
	for _, s := range []*server{a, b} { // either has what both delivered
		up := s.awaitType("com.example.up", func(t catalogue.Type) bool { return t.Count >= 60 })
		if up.Count != 60 || fmt.Sprint(up.Sources, up.Schemas, up.Listeners) != "[/e2e] [up] [{thumbs thumbs}]" || !strings.Contains(string(up.Sample), `"type":"com.example.up"`) || up.Rate1h < 59.0/3600 {
			t.Errorf("%+v", up)
		}
		s.awaitType("com.example.thumb", func(t catalogue.Type) bool { return t.Count >= 60 && fmt.Sprint(t.EmittedBy) == "[thumbs]" })
	}
	g, err := b.Graph(t.Context(), "thumbs", "")
	if err != nil {
		t.Fatal(err)
	}
	edges := map[string]graph.Edge{}
	for _, e := range g.Edges {
		edges[e.From+" "+e.To] = e
	}
	if e := edges["function:thumbs type:com.example.thumb"]; !e.Observed || e.Declared {
		t.Errorf("%+v", g.Edges)
	}
	if len(g.Findings) != 1 || g.Findings[0].Kind != graph.Unheard {
		t.Errorf("%+v", g.Findings)
	}
}

func TestTheCatalogueOutlivesANewStart(t *testing.T) {
	for _, env := range []environment{{"embedded", embeddedArgs}, {"real", realArgs}} {
		t.Run(env.name, func(t *testing.T) {
			args := env.args(t)
			s := start(t, args...)
			fn := replying(t, "com.example.thumb")
			s.apply(functionManifest("thumbs", fn.URL, "com.example.up"))
			s.emitSpread("x", "com.example.up", 20)
			s.awaitType("com.example.thumb", func(t catalogue.Type) bool { return t.Count == 20 })
			s.stop()
			again := start(t, args...)
			for _, name := range []string{"com.example.up", "com.example.thumb"} {
				if x := again.awaitType(name, func(t catalogue.Type) bool { return t.Count >= 20 }); x.Count != 20 {
					t.Errorf("%+v", x)
				}
			}
			again.awaitType("com.example.thumb", func(t catalogue.Type) bool { return fmt.Sprint(t.EmittedBy) == "[thumbs]" })
			again.emitSpread("y", "com.example.up", 5)
			if x := again.awaitType("com.example.up", func(t catalogue.Type) bool { return t.Count >= 25 }); x.Count != 25 {
				t.Errorf("%+v", x)
			}
		})
	}
}

func TestWhatAPolicyDoesIsInTheGraph(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("a", fn.URL, "com.example.a") + functionManifest("b", fn.URL) +
		"---\napiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: night}\nspec:\n  rego: |\n    package signalbox.trigger\n    import rego.v1\n" +
		"    deny contains {\"link\": \"a\", \"reason\": \"asleep\"} if input.event.subject == \"no\"\n    target contains {\"function\": \"b\"} if input.event.subject == \"yes\"\n")
	for _, subject := range []string{"no", "yes"} {
		header := binaryHeader(subject, "com.example.a")
		header["Ce-Subject"] = subject
		if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, body)
		}
	}
	await(t, "the policy in the graph", func() error {
		g, err := s.Graph(t.Context(), "", "")
		if err != nil {
			return err
		}
		var got []string
		for _, e := range g.Edges {
			if strings.HasPrefix(e.From, "policy:") {
				got = append(got, fmt.Sprint(e.From, " ", e.Kind, " ", e.To))
			}
		}
		if want := "policy:night adds function:b, policy:night denies link:a"; strings.Join(got, ", ") != want {
			return fmt.Errorf("%q, want %q", got, want)
		}
		for _, f := range g.Findings {
			if f.Kind == graph.Unreachable {
				return fmt.Errorf("%+v", f)
			}
		}
		return nil
	})
}
