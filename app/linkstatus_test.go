package app

import (
	"testing"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// TestTheStatusOfALinkIsComputedAndNotKept: what somebody writes back with it
// is no change.
func TestTheStatusOfALinkIsComputedAndNotKept(t *testing.T) {
	s := openShop(t)
	s.access = func(link string) string { return "way to " + link }
	l := linkTo("l", "f")
	l.Status = []byte(`{"access":"old"}`)
	stored, _, err := s.Put(t.Context(), l, gateway.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), resource.KindLink, "l")
	if err != nil || string(got.Status) != `{"access":"way to l"}` {
		t.Errorf("%s, error %v", got.Status, err)
	}
	kept, err := s.ledger.Get(t.Context(), resource.KindLink, "l")
	if err != nil || len(kept.Status) > 0 {
		t.Errorf("kept: %s, error %v", kept.Status, err)
	}
	if again, _, err := s.Put(t.Context(), got, gateway.Condition{}); err != nil || again.Metadata.Revision != stored.Metadata.Revision {
		t.Errorf("written back: revision %d after %d, error %v", again.Metadata.Revision, stored.Metadata.Revision, err)
	}
}
