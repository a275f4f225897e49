//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// later calls a function through the log, and returns the call's id.
func (s *server) later(path, callback, contentType, body string) string {
	s.t.Helper()
	header := map[string]string{"Content-Type": contentType}
	if callback != "" {
		header["X-Callback-Url"] = callback
	}
	status, answer := s.post(path, header, body)
	var queued struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &queued); err != nil || status != http.StatusAccepted || queued.ID == "" {
		s.t.Fatalf("%s: %d %s", path, status, answer)
	}
	return queued.ID
}

func TestACallThroughTheLogIsAnsweredAtItsCallback(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		var tries atomic.Int32
		fn := newRecorder(t, func(w http.ResponseWriter, c call) {
			switch {
			case strings.Contains(c.body, "never"):
				http.Error(w, "I will not", http.StatusUnprocessableEntity)
			case tries.Add(1) == 1:
				w.WriteHeader(http.StatusInternalServerError)
			default:
				w.Header().Set("Content-Type", "text/plain")
				fmt.Fprintf(w, "you said %s", c.body)
			}
		})
		caller := newRecorder(t, nil)
		s.apply(functionManifest("echo", fn.URL, "com.test.none"))
		good := s.later("/async-function/echo/a/b?size=2", caller.URL+"/done?n=1", "text/plain", "hello")
		bad := s.later("/async-function/echo", caller.URL+"/done?n=2", "text/plain", "never")
		s.later("/async-function/echo", "", "text/plain", "nobody waits")
		got := map[string]call{}
		for _, c := range caller.awaitCalls(t, 2) {
			got[c.header.Get("X-Call-Id")] = c
		}
		if c := got[good]; c.body != "you said hello" || c.header.Get("X-Function-Status") != "200" || c.header.Get("X-Function-Name") != "echo" || c.header.Get("Ce-Type") != "signalbox.answer" {
			t.Errorf("the answer: %q %v", c.body, c.header)
		}
		if c := got[bad]; !strings.Contains(c.body, "I will not") || c.header.Get("X-Function-Status") != "422" {
			t.Errorf("the refusal: %q %v", c.body, c.header)
		}
		var called call
		for _, c := range fn.awaitCalls(t, 4) { // one of them was repeated
			if c.id() == good {
				called = c
			}
		}
		if called.header.Get("Ce-Type") != "signalbox.invoke" || called.header.Get("Content-Type") != "text/plain" || called.header.Get("Signalbox-Link") != "call:echo" || called.path != "/a/b" {
			t.Errorf("the call: %s %v", called.path, called.header)
		}
		if status, body := s.post("/async-function/nobody", nil, "x"); status != http.StatusNotFound {
			t.Errorf("no such function: %d %s", status, body)
		}
		if status, body := s.post("/async-function/echo", map[string]string{"X-Callback-Url": "http://169.254.169.254/latest"}, "x"); status != http.StatusBadRequest || !strings.Contains(body, "169.254.169.254") {
			t.Errorf("a callback to the cloud's metadata: %d %s", status, body)
		}
	})
}

func TestAnswersToCallersAreSigned(t *testing.T) {
	secrets := t.TempDir()
	key := []byte("a key that is long enough for HMAC")
	if err := os.WriteFile(filepath.Join(secrets, "callbacks"), []byte("whsec_"+base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets, "--callback-secrets", "callbacks")...)
	fn := newRecorder(t, func(w http.ResponseWriter, _ call) { fmt.Fprint(w, "done") })
	caller := newRecorder(t, nil)
	s.apply(functionManifest("work", fn.URL, "com.test.none"))
	s.later("/async-function/work", caller.URL, "text/plain", "x")
	c := caller.awaitCalls(t, 1)[0]
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", c.header.Get("Webhook-Id"), c.header.Get("Webhook-Timestamp"), c.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); c.header.Get("Webhook-Signature") != want {
		t.Errorf("signed %q: want %q", c.header.Get("Webhook-Signature"), want)
	}
	if calls := fn.awaitCalls(t, 1); calls[0].header.Get("Webhook-Signature") != "" {
		t.Error("calls of the function are signed, too")
	}
}

// A call is accepted like an event: killed between, the function is called and
// the answer comes all the same.
func TestACallThroughTheLogOutlivesAKill(t *testing.T) {
	s := start(t, realArgs(t)...)
	ready, answers := atomic.Bool{}, atomic.Bool{}
	fn := newRecorder(t, func(w http.ResponseWriter, _ call) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "done")
	})
	caller := newRecorder(t, func(w http.ResponseWriter, _ call) {
		if !answers.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s.apply(functionManifest("slow", fn.URL, "com.test.none"))
	id := s.later("/async-function/slow", caller.URL+"/done", "text/plain", "x")
	fn.awaitCalls(t, 1)
	s.kill()
	ready.Store(true)
	s.launch()
	caller.awaitCalls(t, 1)
	s.kill()
	answers.Store(true)
	before := len(caller.all())
	s.launch()
	for _, c := range caller.awaitCalls(t, before+1) {
		if c.header.Get("X-Call-Id") != id || c.body != "done" || c.id() != caller.all()[0].id() {
			t.Errorf("the answer: %q %v", c.body, c.header)
		}
	}
}
