package policies

import (
	"context"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// FuzzPayload: whatever a stranger sends as payload, policies that read it
// answer or fail with an error, and Explain agrees.
func FuzzPayload(f *testing.F) {
	e := newEngine(f, set([]*resource.Link{link("l", "a", "t")},
		trigger("p", `deny contains "no" if { some k, v in input.event; k == "data"; v.n > 5 }`),
		admission("q", `deny contains "no" if input.event.data.n > 5`)))
	f.Add([]byte(`{"n": 6}`), "application/json", "true")
	f.Add([]byte(`{"n": 1e999999999}`), "", "x")
	f.Add([]byte(`[[[[`), "application/x+json; a=b", "")
	f.Add([]byte("\"\xff\""), "text/plain", "false")
	f.Fuzz(func(t *testing.T, data []byte, contentType, tenant string) {
		x := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: contentType, Data: data}
		x.SetExtension("tenant", tenant)
		c, err := e.Choose(context.Background(), x, string(x.Key()), nil)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, e, x, c)
		if v := e.Admit(context.Background(), Admission{Event: x}); v.Err != nil || v.Allowed != (len(c.Denied) == 0) {
			t.Fatalf("%+v, chosen %s", v, describe(c))
		}
	})
}
