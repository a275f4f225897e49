package scripts

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestTheStatusOfScripts(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", nil, "pass\n")
	r.run(fn, "1", "{}")
	if s, ok := r.host.Status(fn); !ok || s.State != resource.StateReady || s.Replicas == 0 || s.Ready != s.Replicas || s.URL == "" {
		t.Errorf("after a run: %+v", s)
	}
	other := *fn
	other.Metadata.Name = "other"
	if s, ok := r.host.Status(&other); !ok || s.State != resource.StateIdle {
		t.Errorf("of one that is not run: %+v", s)
	}
}

func TestTheStatusOfScriptsThatCannotBePrepared(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", func(s *resource.Scripts) { s.Requirements = "none.txt" }, "pass\n")
	r.run(fn, "1", "{}")
	if s, _ := r.host.Status(fn); s.State != resource.StateFailing || s.Reason == "" {
		t.Errorf("%+v", s)
	}
}

func TestTheStatusOfScriptsWhoseWorkerDoesNotStart(t *testing.T) {
	r := newRig(t)
	fn := *r.function("node", nil, "1\n")
	fn.Metadata.Name = "other"
	fn.Spec.Env = []resource.EnvVar{{Name: "NODE_OPTIONS", Value: "--no-such-option"}}
	r.host.Reconcile([]*resource.Function{&fn}, nil)
	if got := r.run(&fn, "1", "{}"); got.status != http.StatusServiceUnavailable {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if s, _ := r.host.Status(&fn); s.State != resource.StateFailing || !strings.Contains(s.Reason, "no-such-option") || s.Replicas != 0 {
		t.Errorf("%+v", s)
	}
}
