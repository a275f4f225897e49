package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// withLetters is a gateway with dead letters: d0 to d3 of function f, and raw,
// which was no event.
func withLetters(t *testing.T) *rig {
	t.Helper()
	r := start(t, func(_ *Config, d *Deps) {
		d.Filter = func(expression string) (func(*event.Event) bool, error) {
			subject, ok := strings.CutPrefix(expression, "subject=")
			if !ok {
				return nil, errors.New("no such expression")
			}
			return func(e *event.Event) bool { return e.Subject == subject }, nil
		}
	})
	for i := range 4 {
		e := &event.Event{ID: fmt.Sprint(i), Source: "/s", Type: "t", Subject: fmt.Sprint("s", i%2)}
		r.log.AddDeadLetter(event.DeadLetter{ID: fmt.Sprint("d", i), Event: e, Link: "l", Function: "f", Reason: "status 400", Time: time.Now()})
	}
	r.log.AddDeadLetter(event.DeadLetter{ID: "raw", Raw: event.Message{Value: []byte("junk")}, Reason: "not a CloudEvent", Time: time.Now()})
	return r
}

func (a answer) decided(t *testing.T) (d Decided) {
	t.Helper()
	if err := json.Unmarshal(a.body, &d); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s: want 200 and what was decided", a.StatusCode, a.body)
	}
	return d
}

func (a answer) tally(t *testing.T) (n Tally) {
	t.Helper()
	if err := json.Unmarshal(a.body, &n); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s: want 200 and a tally", a.StatusCode, a.body)
	}
	return n
}

func (r *rig) states() string {
	r.t.Helper()
	var all []string
	var p struct{ Items []struct{ ID, State string } }
	if err := json.Unmarshal(r.do("GET", "/api/v1/deadletters", "").body, &p); err != nil {
		r.t.Fatal(err)
	}
	for _, it := range p.Items {
		all = append(all, it.ID+" "+it.State)
	}
	return strings.Join(all, ", ")
}

func TestADecisionAboutADeadLetterIsMadeOnce(t *testing.T) {
	r := withLetters(t)
	if d := r.do("POST", "/api/v1/deadletters/d0/redrive?dryRun=true", "").decided(t); !d.DryRun || d.State != "redriven" {
		t.Errorf("dry run: %+v", d)
	}
	if d := r.do("POST", "/api/v1/deadletters/d0/redrive", "").decided(t); d.Already || d.ID != "d0" || d.State != "redriven" {
		t.Errorf("%+v", d)
	}
	if d := r.json("POST", "/api/v1/deadletters/d0/redrive", "{}").decided(t); !d.Already {
		t.Errorf("the second time: %+v", d)
	}
	p := r.do("POST", "/api/v1/deadletters/d0/drop", "").refused(t, 409, "already-decided")
	if p["detail"] != "dead letter d0 is redriven already" {
		t.Errorf("detail %v", p["detail"])
	}
	if d := r.do("POST", "/api/v1/deadletters/d1/drop", "").decided(t); d.State != "dropped" {
		t.Errorf("%+v", d)
	}
	if got := r.states(); got != "d0 redriven, d1 dropped, d2 open, d3 open, raw open" {
		t.Errorf("states: %s", got)
	}
	r.do("POST", "/api/v1/deadletters/none/redrive", "").refused(t, 404, "not-found")
	r.do("POST", "/api/v1/deadletters/raw/redrive", "").refused(t, 409, "not-redrivable")
}

func TestWhatIsRedrivenMayBeEditedOrGoToAnotherVersion(t *testing.T) {
	r := withLetters(t)
	r.json("POST", "/api/v1/deadletters/d0/redrive", `{"version":"v2","event":`+structured+`}`).decided(t)
	var l struct {
		State      string
		Resolution struct {
			Action, Version string
			Time            time.Time
			Event           map[string]any
		}
	}
	_ = json.Unmarshal(r.do("GET", "/api/v1/deadletters/d0", "").body, &l)
	if res := l.Resolution; l.State != "redriven" || res.Action != "redrive" || res.Version != "v2" || res.Event["specversion"] != "1.0" || res.Time.IsZero() {
		t.Errorf("%+v", l)
	}
	for body, slug := range map[string]string{
		`{"event":{"id":"1"}}`: "invalid-event", `{"event":7}`: "invalid-event", `{"evnt":{}}`: "invalid-request",
		`{"version":7}`: "invalid-request", `[]`: "invalid-request", `{} {}`: "invalid-request", `{`: "invalid-request",
	} {
		r.json("POST", "/api/v1/deadletters/d1/redrive", body).refused(t, 400, slug)
	}
	r.json("POST", "/api/v1/deadletters/d1/drop", `{"version":"v2"}`).refused(t, 400, "invalid-request")
	r.do("POST", "/api/v1/deadletters/d1/redrive", "{}", "Content-Type", "text/plain").refused(t, 415, "unsupported-media-type")
	r.do("POST", "/api/v1/deadletters/d1/redrive?dryRun=perhaps", "").refused(t, 400, "invalid-query")
	r.do("POST", "/api/v1/deadletters/d1/redrive?function=f", "").refused(t, 400, "invalid-query")
	if got := r.states(); !strings.Contains(got, "d1 open") {
		t.Errorf("what was refused was done: %s", got)
	}
}

func TestManyAreDecidedAboutAPartAtATime(t *testing.T) {
	r := withLetters(t)
	if n := r.do("POST", "/api/v1/deadletters/redrive?where=subject%3Ds0&dryRun=true", "").tally(t); n.Redriven != 2 || !n.DryRun {
		t.Errorf("dry run: %+v", n)
	}
	if n := r.do("POST", "/api/v1/deadletters/redrive?where=subject%3Ds0", "").tally(t); n.Redriven != 2 || n.Scanned != 2 || n.Next != "" {
		t.Errorf("by an expression: %+v", n)
	}
	n := r.do("POST", "/api/v1/deadletters/redrive?all=true&limit=3", "").tally(t)
	if n.Redriven != 1 || n.Already != 2 || n.Next == "" {
		t.Errorf("the first part: %+v", n)
	}
	n = r.do("POST", "/api/v1/deadletters/redrive?all=true&limit=3&cursor="+n.Next, "").tally(t)
	if n.Redriven != 1 || n.Failed != 1 || len(n.Failures) != 1 || n.Failures[0].ID != "raw" || n.Next != "" {
		t.Errorf("the second part: %+v", n)
	}
	if n := r.do("POST", "/api/v1/deadletters/drop?function=f&reason=400&since=1h", "").tally(t); n.Dropped != 0 || n.Already != 4 {
		t.Errorf("drop of what was redriven: %+v", n)
	}
	if n := len(r.do("GET", "/api/v1/deadletters?state=redriven&where=subject%3Ds1", "").page(t).Items); n != 2 {
		t.Errorf("%d redriven ones listed, want 2", n)
	}
}

func TestManyMustBeMeant(t *testing.T) {
	r := withLetters(t)
	for _, path := range []string{"redrive", "drop", "redrive?all=false", "drop?limit=1", "drop?dryRun=true", "drop?function="} {
		p := r.do("POST", "/api/v1/deadletters/"+path, "").refused(t, 400, "invalid-query")
		if !strings.Contains(fmt.Sprint(p["detail"]), "function, link, reason, since, until, where, or all=true") {
			t.Errorf("%s: detail %v", path, p["detail"])
		}
	}
	for _, query := range []string{"all=yes", "state=open&all=true", "where=nonsense", "since=yesterday", "limit=0&all=true", "all=true&cursor=x"} {
		r.do("POST", "/api/v1/deadletters/redrive?"+query, "").refused(t, 400, "invalid-query")
	}
	p := r.do("GET", "/api/v1/deadletters?state=gone", "").refused(t, 400, "invalid-query")
	if p["detail"] != `state "gone": want one of open, redriven, dropped` {
		t.Errorf("detail %v", p["detail"])
	}
	r.json("POST", "/api/v1/deadletters/redrive?all=true", `{"event":`+structured+`}`).refused(t, 400, "invalid-request")
	if got := r.states(); strings.Contains(got, "redriven") || strings.Contains(got, "dropped") {
		t.Errorf("what was refused was done: %s", got)
	}
}
