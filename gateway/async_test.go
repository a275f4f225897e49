package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

// laterRig is a gateway that takes calls for later, with what it appended.
func laterRig(t *testing.T) *rig {
	r, _ := callable(t, func(http.ResponseWriter, *http.Request) { t.Error("the function was called at once") }, func(_ *Config, d *Deps) {
		d.Callbacks = func(url string) error {
			if !strings.HasPrefix(url, "https://shop.example/") {
				return errors.New("not allowed")
			}
			return nil
		}
	})
	return r
}

func TestACallForLaterIsAnEventForOneFunction(t *testing.T) {
	r := laterRig(t)
	a := r.do("POST", "/async-function/f@v2", "the body", "Content-Type", "text/plain", "X-Callback-Url", "https://shop.example/done", "X-Call-Id", "call-1")
	if a.StatusCode != 202 || a.Header.Get("X-Call-Id") != "call-1" || string(a.body) != `{"accepted":1,"id":"call-1","source":"/function/f"}` {
		t.Fatalf("%d %s %v", a.StatusCode, a.body, a.Header)
	}
	all := r.log.Records()
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	e := all[0].Event
	if link, fn := event.Direct(e); link != "call:f@v2" || fn != "f@v2" || !event.WantsAnswer(e) || e.Type != event.TypeInvoke || e.DataContentType != "text/plain" || string(e.Data) != "the body" {
		t.Errorf("%+v", e)
	}
}

func TestACallForLaterKeepsItsPath(t *testing.T) {
	r := laterRig(t)
	for path, want := range map[string]string{"": "", "/": "", "?size=2&q=%20": "?size=2&q=%20", "/a%20b//c?x=1": "/a%20b//c?x=1", "/a/": "/a/", "/a/?x": "/a/?x", "//": "//"} {
		a := r.do("POST", "/async-function/f@v2"+path, "")
		all := r.log.Records()
		if got := event.CallPath(all[len(all)-1].Event); a.StatusCode != 202 || got != want {
			t.Errorf("%s: %d, %q: want %q", path, a.StatusCode, got, want)
		}
	}
	r.do("POST", "/async-function/f", "", "ce-specversion", "1.0", "ce-id", "mine", "ce-source", "/me", "ce-type", "t", "ce-callpath", "/admin")
	all := r.log.Records()
	if got := event.CallPath(all[len(all)-1].Event); got != "" {
		t.Errorf("an event says its path itself: %q", got)
	}
}

func TestACallForLaterThatIsAnEventStaysOne(t *testing.T) {
	for name, headers := range map[string][]string{
		"binary":     {"ce-specversion", "1.0", "ce-id", "mine", "ce-source", "/me", "ce-type", "com.example.t", "ce-authid", "root", "ce-calltarget", "g"},
		"structured": {"Content-Type", "application/cloudevents+json"},
	} {
		t.Run(name, func(t *testing.T) {
			r := laterRig(t)
			a := r.do("POST", "/async-function/f", `{"specversion":"1.0","id":"mine","source":"/me","type":"com.example.t","authid":"root","calltarget":"g"}`, headers...)
			all := r.log.Records()
			if a.StatusCode != 202 || len(all) != 1 {
				t.Fatalf("%d %s, %d events", a.StatusCode, a.body, len(all))
			}
			if e := all[0].Event; e.ID != "mine" || e.Type != "com.example.t" || event.CallTarget(e) != "f" || event.WantsAnswer(e) {
				t.Errorf("%+v", e)
			}
			if id, _ := all[0].Event.Extension(event.ExtAuthID); id == "root" {
				t.Error("the caller says who it is")
			}
		})
	}
}

func TestACallForLaterWaitsForAFunctionThatStarts(t *testing.T) {
	r := laterRig(t)
	if a := r.do("POST", "/async-function/starting", ""); a.StatusCode != 202 || a.Header.Get("X-Call-Id") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestCallsForLaterThatAreRefused(t *testing.T) {
	r := laterRig(t)
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
		text    string
	}{
		"no such function":   {"none", nil, 404, "function none"},
		"no such version":    {"f@v9", nil, 404, "not-found"},
		"a bad callback":     {"f", []string{"X-Callback-Url", "http://169.254.169.254/"}, 400, "X-Callback-Url: not allowed"},
		"two callbacks":      {"f", []string{"X-Callback-Url", "https://shop.example/a", "X-Callback-Url", "https://shop.example/b"}, 400, "want one"},
		"it climbs":          {"f/%2e%2e/admin", nil, 400, "leads out"},
		"a bad id":           {"f", []string{"X-Call-Id", "a b"}, 400, "X-Call-Id"},
		"an event that none": {"f", []string{"ce-id", "1"}, 400, "specversion"},
		"a batch":            {"f", []string{"Content-Type", "application/cloudevents-batch+json"}, 400, ""},
		"a coding":           {"f", []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do("POST", "/async-function/"+c.path, "[]", c.headers...)
			if a.StatusCode != c.status || !strings.Contains(string(a.body), c.text) {
				t.Errorf("%d %s: want %d with %q", a.StatusCode, a.body, c.status, c.text)
			}
		})
	}
	if a := r.do("GET", "/async-function/f", ""); a.StatusCode != 405 || !strings.Contains(a.Header.Get("Allow"), "POST") {
		t.Errorf("GET: %d, Allow %s", a.StatusCode, a.Header.Get("Allow"))
	}
	if n := len(r.log.Records()); n != 0 {
		t.Errorf("%d events were appended", n)
	}
}
