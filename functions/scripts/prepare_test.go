package scripts

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func TestAVirtualEnvironmentThatIsMadeKeepsNobodyElseWaiting(t *testing.T) {
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(index.Close)
	t.Cleanup(func() { close(answer) })
	r := newRig(t)
	r.write("requirements.txt", "--index-url "+index.URL+"/\nnone\n")
	slow := *r.function("python", func(s *resource.Scripts) { s.Requirements = "requirements.txt" }, "pass\n")
	quick := slow
	quick.Metadata.Name, quick.Spec.Scripts = "quick", &resource.Scripts{Runtime: "python", Files: slow.Spec.Scripts.Files}
	r.host.Reconcile([]*resource.Function{&slow, &quick}, nil)
	<-asked // pip waits

	if got := r.run(&quick, "1", "{}"); got.status != http.StatusNoContent {
		t.Errorf("another function: %d %s", got.status, got.body)
	}
	r.write("s0.py", "pass # changed\n") // needs a new worker
	if got := r.run(&quick, "2", "{}"); got.status != http.StatusNoContent {
		t.Errorf("another function, changed: %d %s", got.status, got.body)
	}
	got := r.run(&slow, "3", "{}", "Signalbox-Timeout", "200")
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "virtual environment") {
		t.Errorf("the function itself: %d %s", got.status, got.body)
	}
	if s, _ := r.host.Status(&slow); s.State != resource.StateStarting {
		t.Errorf("the function itself: %+v", s)
	}
}
