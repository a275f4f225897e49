package app

import (
	"errors"
	"reflect"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestShadowDifferencesAsDecisions(t *testing.T) {
	ev := &event.Event{Source: "/s", ID: "1", Type: "t", Data: []byte("xx")}
	about := &event.DecidedEvent{Source: "/s", ID: "1", Type: "t", Size: 2}
	who := map[string]any{"name": "eve", "attributes": map[string]any{"email": "e@x"}}
	shown := map[string]any{"name": "eve"}
	for name, c := range map[string]struct {
		ev   *event.Event
		d    policies.ShadowDifference
		want event.Decision
	}{
		"links": {ev, policies.ShadowDifference{Policies: []string{"a", "b"}, Newly: []string{"x"}, Stops: []string{"y"}, Revision: 4},
			event.Decision{Policy: "a, b", Newly: []string{"x"}, Stops: []string{"y"}, Revision: 4, Event: about}},
		"a failure": {ev, policies.ShadowDifference{Policies: []string{"a"}, Err: errors.New("no")}, event.Decision{Policy: "a", Reason: "would fail: no", Event: about}},
		"a refusal": {ev, policies.ShadowDifference{Policies: []string{"a"}, Verdict: &policies.Verdict{Reason: "no"}, Admission: &policies.Admission{Identity: who, Route: "/events", Method: "POST"}},
			event.Decision{Policy: "a", Reason: "would be refused: no", Event: about, Identity: shown, Route: "/events", Method: "POST"}},
		"a permission": {nil, policies.ShadowDifference{Policies: []string{"a"}, Verdict: &policies.Verdict{Allowed: true}, Management: &policies.Management{Identity: shown, Route: "/r", Method: "PUT", Resource: &resource.Object{Kind: "Function", Metadata: resource.Metadata{Name: "f"}}}},
			event.Decision{Policy: "a", Reason: "would be allowed", Identity: shown, Route: "/r", Method: "PUT", Resource: "Function/f"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Kind = event.DecidedShadow
			if got := shadowDecision(c.ev, c.d); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
	if who["attributes"] == nil {
		t.Error("the identity that was asked with changed")
	}
}
