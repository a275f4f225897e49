package event

import (
	"slices"
	"testing"
)

func TestOnlyTheGatewaySaysWhoSentAnEvent(t *testing.T) {
	e := &Event{Extensions: []Attribute{{"authid", "root"}, {"authz", "mine"}, {"causeauthid", "root"}, {"tenant", "a"}}}
	StripReserved(e)
	if want := []Attribute{{"authz", "mine"}, {"tenant", "a"}}; !slices.Equal(e.Extensions, want) {
		t.Errorf("%v, want %v", e.Extensions, want)
	}
}

func TestAReplyHasTheSenderAsItsCause(t *testing.T) {
	first := &Event{ID: "1", Source: "/s", Type: "t", Extensions: []Attribute{{ExtAuthID, "webhook:w"}, {ExtAuthScheme, "github"}, {ExtAuthType, "service_account"}}}
	forged := &Event{ID: "2", Source: "/f", Type: "u", Extensions: []Attribute{{ExtAuthID, "root"}, {ExtCauseAuthID, "root"}}}
	reply := Derive(first, forged, Hop{Link: "l"})
	again := Derive(reply, &Event{Source: "/g", Type: "v"}, Hop{Link: "m"})
	for name, e := range map[string]*Event{"reply": reply, "reply to it": again} {
		id, _ := e.Extension(ExtCauseAuthID)
		typ, _ := e.Extension(ExtCauseAuthType)
		if id != "webhook:w" || typ != "service_account" {
			t.Errorf("%s: cause %q of type %q", name, id, typ)
		}
		if id, ok := e.Extension(ExtAuthID); ok {
			t.Errorf("%s: is sent by %s", name, id)
		}
	}
	if v, ok := Derive(&Event{ID: "1"}, forged, Hop{}).Extension(ExtCauseAuthID); ok {
		t.Errorf("a cause without sender: %q", v)
	}
}

func TestStrippingAnOrdinaryEventCostsNothing(t *testing.T) {
	e := full()
	if n := testing.AllocsPerRun(100, func() { StripReserved(e) }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}
