//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
)

func TestFunctionsAreCalledSynchronously(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	fn := newRecorder(t, func(w http.ResponseWriter, c call) {
		w.Header().Set("X-Mine", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "you said %s", c.body)
	})
	dir := writeFiles(t, map[string]string{"work.py": "from signalbox import context\ncontext.events.send('com.test.sent', {'got': context.event.data})\n"})
	sink := newRecorder(t, nil)
	s.apply(functionManifest("echo", fn.URL, "com.test.never") + scriptsManifest("work", dir, "python", "work.py", "com.test.never", "") + functionManifest("sink", sink.URL, "com.test.sent"))
	if status, body := s.post("/function/echo/deeper?a=1", map[string]string{"Content-Type": "text/plain"}, "hello"); status != http.StatusCreated || body != "you said hello" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := s.post("/function/work", map[string]string{"Content-Type": "application/json"}, `{"a":1}`); status != http.StatusNoContent {
		t.Errorf("a script: %d %s", status, body)
	}
	if got := sink.awaitCalls(t, 1)[0]; !strings.Contains(got.body, `"a"`) || got.header.Get("Ce-Causationid") == "" {
		t.Errorf("%v %s", got.header, got.body)
	}
	if status, _ := s.post("/function/nobody", nil, ""); status != http.StatusNotFound {
		t.Errorf("no such function: %d", status)
	}
	await(t, "two run records", func() error {
		runs, err := s.Runs(t.Context(), client.Query{Limit: 100})
		n := 0
		for _, r := range runs {
			if strings.HasPrefix(r.Link, "invoke:") {
				n++
			}
		}
		if err == nil && n != 2 {
			err = fmt.Errorf("%d", n)
		}
		return err
	})
}
