package app

import (
	"context"
	"testing"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// TestWhatIsDeletedIsOutOfForceWhenThatIsAnswered: the next event is not
// chosen for by it.
func TestWhatIsDeletedIsOutOfForceWhenThatIsAnswered(t *testing.T) {
	s := openShop(t)
	for _, o := range []resource.Object{fnObject("v1", ""), linkTo("l", "f")} {
		if _, _, err := s.Put(t.Context(), o, gateway.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	var awaited uint64
	s.await = func(_ context.Context, revision uint64) { awaited = revision }
	for _, x := range []struct{ kind, name string }{{resource.KindLink, "l"}, {resource.KindFunction, "f"}} {
		awaited = 0
		if err := s.Delete(t.Context(), x.kind, x.name, 0); err != nil {
			t.Fatal(err)
		}
		if now, err := s.ledger.Revision(t.Context()); err != nil || awaited != now {
			t.Errorf("%s: waited for revision %d, and it is %d, error %v", x.kind, awaited, now, err)
		}
	}
}
