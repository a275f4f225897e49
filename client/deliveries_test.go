package client

import (
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

func TestReportsOfDeliveries(t *testing.T) {
	c, asked := parts(t, `{}`, `{}`, `{}`, `{"delivery":"f~l~0~1~1","until":"2026-01-31T12:01:00Z"}`)
	const token = "f~l~0~1~1"
	if err := c.CompleteDelivery(t.Context(), token); err != nil {
		t.Error(err)
	}
	if err := c.CompleteDelivery(t.Context(), token, &event.Event{ID: "1", Source: "/f", Type: "t"}); err != nil {
		t.Error(err)
	}
	if err := c.FailDelivery(t.Context(), token, 500, "no disk"); err != nil {
		t.Error(err)
	}
	until, err := c.ExtendLease(t.Context(), token, time.Minute)
	if err != nil || !until.Equal(time.Date(2026, 1, 31, 12, 1, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", until, err)
	}
	if err := c.CompleteDelivery(t.Context(), token); err == nil {
		t.Error("a log that is away takes a report")
	}
	want := []string{
		"POST /api/v1/deliveries/f~l~0~1~1/complete ",
		`POST /api/v1/deliveries/f~l~0~1~1/complete [{"specversion":"1.0","id":"1","source":"/f","type":"t"}]`,
		"POST /api/v1/deliveries/f~l~0~1~1/complete?status=500 no disk",
		"POST /api/v1/deliveries/f~l~0~1~1/lease?lease=1m0s ",
		"POST /api/v1/deliveries/f~l~0~1~1/complete ",
	}
	if !slices.Equal(*asked, want) {
		t.Errorf("asked %q\nwant  %q", *asked, want)
	}
}
