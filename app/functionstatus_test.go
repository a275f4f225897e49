package app

import (
	"testing"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestTheStatusOfAFunctionIsComputedAndNotKept(t *testing.T) {
	s := openShop(t)
	s.running = func(name string) (resource.FunctionStatus, bool) {
		return resource.FunctionStatus{State: resource.StateFailing, Reason: "no such program", Replicas: 1}, name == "f"
	}
	for _, name := range []string{"f", "g"} {
		fn := fnObject("", "")
		fn.Metadata.Name = name
		if _, _, err := s.Put(t.Context(), fn, gateway.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"state":"failing","reason":"no such program","replicas":1,"ready":0}`
	one, err := s.Get(t.Context(), resource.KindFunction, "f")
	if err != nil || string(one.Status) != want {
		t.Errorf("%s, error %v", one.Status, err)
	}
	all, err := s.List(t.Context(), resource.KindFunction)
	if err != nil || len(all) != 2 || string(all[0].Status) != want || all[1].Status != nil {
		t.Errorf("%+v, error %v", all, err)
	}
	again, _, err := s.Put(t.Context(), one, gateway.Condition{})
	if err != nil || again.Metadata.Revision != one.Metadata.Revision {
		t.Errorf("written back: revision %d after %d, error %v", again.Metadata.Revision, one.Metadata.Revision, err)
	}
	if kept, err := s.ledger.Get(t.Context(), resource.KindFunction, "f"); err != nil || len(kept.Status) > 0 {
		t.Errorf("kept: %s, error %v", kept.Status, err)
	}
}
