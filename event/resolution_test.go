package event

import (
	"testing"
	"time"
)

func TestResolutionComesBackAsItWas(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, want := range map[string]Resolution{
		"drop":                   {Letter: "1-2-ab", Action: Drop, Time: at},
		"redrive of a new event": {Letter: "1-2-ab", Action: Redrive, Version: "v2", Time: at, Event: &Event{ID: "1", Source: "/s", Type: "t", Data: []byte("x"), DataContentType: "text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok, err := ParseResolution(want.Message())
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			if got.Letter != want.Letter || got.Action != want.Action || got.Version != want.Version || !got.Time.Equal(at) || (got.Event == nil) != (want.Event == nil) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if want.Event != nil && (got.Event.ID != "1" || string(got.Event.Data) != "x") {
				t.Errorf("event %+v", got.Event)
			}
		})
	}
}

func TestADeadLetterIsNoResolution(t *testing.T) {
	d := DeadLetter{ID: "x", Event: &Event{ID: "1", Source: "/s", Type: "t"}}
	if _, ok, err := ParseResolution(d.Message()); ok || err != nil {
		t.Errorf("ok %v, error %v", ok, err)
	}
}

func TestAResolutionWithoutAnActionIsRefused(t *testing.T) {
	r := Resolution{Letter: "x", Action: "burn"}
	if _, ok, err := ParseResolution(r.Message()); !ok || err == nil {
		t.Errorf("ok %v, error %v", ok, err)
	}
}
