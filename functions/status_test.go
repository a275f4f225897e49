package functions

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestTheStatusOfAProgram(t *testing.T) {
	f := run(t, nil)
	good, bad := command("good", as("serve")...), command("bad", as("crash")...)
	f.reconcile(good, bad)
	url := f.ready("good")
	if s, ok := f.Status(good); !ok || s.State != StateReady || s.URL != url || s.Replicas != 1 || s.Ready != 1 {
		t.Errorf("one that serves: %+v", s)
	}
	f.until("bad", func(_ string, err error) bool { return strings.Contains(err.Error(), "exit status 3") })
	if s, ok := f.Status(bad); !ok || s.State != StateFailing || !strings.Contains(s.Reason, "exit status 3") || s.Ready != 0 {
		t.Errorf("one that ends: %+v", s)
	}
	other := command("other", as("serve")...)
	if s, ok := f.Status(other); !ok || s.State != StateIdle {
		t.Errorf("one that nobody asked for: %+v", s)
	}
	if _, ok := f.Status(&resource.Function{Spec: resource.FunctionSpec{URL: "http://x.example/"}}); ok {
		t.Error("one that somebody else runs has a status")
	}
	select {
	case which := <-f.wishes:
		t.Errorf("the question started %s", which)
	default:
	}
}
