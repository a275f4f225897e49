package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/gatewaytest"
)

const completeURL, leaseURL = "/api/v1/deliveries/f~l~0~1~2/complete", "/api/v1/deliveries/f~l~0~1~2/lease"

// last is what was reported last.
func last(t *testing.T, l *gatewaytest.Log, n int) event.Completion {
	t.Helper()
	all := l.Reports()
	if len(all) != n {
		t.Fatalf("%d reports, want %d", len(all), n)
	}
	return all[n-1]
}

func TestAReportCarriesWhatAnAnswerWould(t *testing.T) {
	r := start(t, nil)
	want := event.DeliveryToken{Function: "f", Link: "l", Position: event.Position{Offset: 1}, Attempt: 2}
	for i, x := range []struct {
		name, body string
		headers    []string
		status     int
		replies    []string
		kept       string
	}{
		{"nothing", "", nil, 200, nil, ""},
		{"a body that is no event", "done", []string{"Content-Type", "text/plain"}, 200, nil, ""},
		{"structured", structured, []string{"Content-Type", event.ContentTypeJSON}, 200, []string{"1"}, ""},
		{"batched", "[" + structured + "," + structured + "]", []string{"Content-Type", event.ContentTypeBatch}, 200, []string{"1", "1"}, ""},
		{"binary", "x", []string{"Content-Type", "text/plain", "Ce-Id", "b", "Ce-Source", "/f", "Ce-Type", "t", "Ce-Specversion", "1.0"}, 200, []string{"b"}, ""},
		{"failed", "no disk", []string{"Signalbox-Status", "503"}, 503, nil, "no disk"},
		{"done otherwise", "", []string{"Signalbox-Status", "204"}, 204, nil, ""},
	} {
		a := r.do("POST", completeURL, x.body, x.headers...)
		if a.StatusCode != 202 {
			t.Fatalf("%s: %d %s", x.name, a.StatusCode, a.body)
		}
		c := last(t, r.log, i+1)
		var ids []string
		for _, e := range c.Replies {
			ids = append(ids, e.ID)
		}
		if c.Delivery != want || c.Status != x.status || c.Extend != 0 || c.Body != x.kept || fmt.Sprint(ids) != fmt.Sprint(x.replies) {
			t.Errorf("%s: %+v with events %v", x.name, c, ids)
		}
	}
}

func TestALeaseIsExtendedFromNowOn(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	r := start(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	for i, a := range []answer{r.do("POST", leaseURL, "", "Signalbox-Lease", "90"), r.do("POST", leaseURL+"?lease=1m30s", "")} {
		var out struct {
			Delivery string
			Until    time.Time
		}
		if err := json.Unmarshal(a.body, &out); err != nil || a.StatusCode != 202 || out.Delivery != "f~l~0~1~2" || !out.Until.Equal(now.Add(90*time.Second)) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if c := r.log.Reports()[i]; c.Extend != 90*time.Second || c.Status != 0 || !c.Time.Equal(now) {
			t.Errorf("%+v", c)
		}
	}
}

func TestAReportThatCannotBeTaken(t *testing.T) {
	var away error
	r := start(t, nil)
	r.log.Append = func(context.Context) error { return away }
	r.do("POST", "/api/v1/deliveries/x/complete", "").refused(t, 404, "not-found")
	r.do("POST", "/api/v1/deliveries/f~l~0~1~0/lease?lease=1m", "").refused(t, 404, "not-found")
	r.do("POST", leaseURL+"?lease=25h", "").refused(t, 400, "invalid-request")
	r.do("POST", completeURL+"?status=99", "").refused(t, 400, "invalid-request")
	r.do("POST", completeURL+"?state=1", "").refused(t, 400, "invalid-query")
	r.do("POST", completeURL, "{", "Content-Type", event.ContentTypeJSON).refused(t, 400, "invalid-event")
	for kind, err := range map[string]error{"backlog": ErrBacklog, "unavailable": ErrUnavailable, "too-large": ErrTooLarge} {
		away = errors.Join(err)
		status := map[string]int{"backlog": 429, "unavailable": 503, "too-large": 413}[kind]
		r.do("POST", completeURL, "").refused(t, status, kind)
	}
	if n := len(r.log.Reports()); n != 0 {
		t.Errorf("%d reports", n)
	}
}
