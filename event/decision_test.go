package event

import (
	"reflect"
	"testing"
)

func TestDecisionMessage(t *testing.T) {
	d := Decision{
		Kind: DecidedShadow, Time: now, Revision: 7, Position: "0:1", Event: &DecidedEvent{Source: "/s", ID: "1", Type: "t", Size: 3},
		Identity: map[string]any{"name": "me"}, Route: "/events", Method: "POST", Resource: "Link/l", Policy: "p", Reason: "r",
		Newly: []string{"a"}, Stops: []string{"b"}, Before: []byte(`{"a":1}`), After: []byte(`{}`), Changed: []string{"a"},
	}
	m := d.Message("x")
	got, err := ParseDecision(m)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, %v", got, err)
	}
	if e, err := FromMessage(m); err != nil || e.ID != "x" || e.Type != DecisionType || e.Subject != "shadow" || !e.Timestamp().Equal(now) {
		t.Errorf("the event is %+v, %v", e, err)
	}
	d.Before = []byte("{")
	if got, err := ParseDecision(d.Message("x")); err != nil || got.Policy != "p" || got.Before != nil {
		t.Errorf("with what is no JSON: %+v, %v", got, err)
	}
	if _, err := ParseDecision(full().Message()); err == nil {
		t.Error("want an error for another event")
	}
}
