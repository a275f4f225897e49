package event

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func parkedSample() Parked {
	at := time.Date(2026, 11, 21, 7, 0, 0, 5e6, time.UTC)
	return Parked{
		Event: &Event{ID: "1", Source: "/s", Type: "t", Subject: "sub", DataContentType: "application/json", Data: []byte(`{"a":1}`)},
		Key:   []byte("k"), Link: "l", Function: "f", Version: "v2", Position: "3:17", Accepted: at, Revision: 9,
		Attempt: 3, Free: 1, Attempts: []Attempt{{Number: 1, Time: at, Status: 500, Body: "no"}, {Number: 2, Time: at, Error: "reset"}},
		NotBefore: at.Add(time.Minute), Reason: ParkRetry, Letter: "x", Redrive: 1, Replay: "r",
	}
}

func TestParkedComesBackAsItWas(t *testing.T) {
	want := parkedSample()
	got, err := ParseParked(want.Message())
	if err != nil {
		t.Fatal(err)
	}
	ev := got.Event
	got.Event = want.Event
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if ev.ID != "1" || ev.Subject != "sub" || string(ev.Data) != `{"a":1}` {
		t.Errorf("event %+v", ev)
	}
}

func TestParkedKeepsAStructuredEventAndNoKey(t *testing.T) {
	want := parkedSample()
	want.Key = nil
	want.Event.SetExtension("kind", " spaced ") // fits no header
	got, err := ParseParked(want.Message())
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := got.Event.Extension("kind"); x != " spaced " || got.Key != nil {
		t.Errorf("extension %q, key %q", x, got.Key)
	}
}

func TestParkedRefusesWhatIsNone(t *testing.T) {
	good := parkedSample()
	for name, c := range map[string]struct {
		change func(*Message)
		want   string
	}{
		"no header":   {func(m *Message) { m.Headers = m.Headers[:len(m.Headers)-1] }, "is missing"},
		"no JSON":     {func(m *Message) { m.Headers[len(m.Headers)-1].Value = []byte("{") }, "unexpected end"},
		"no link":     {func(m *Message) { m.Headers[len(m.Headers)-1].Value = []byte(`{"position":"1:1"}`) }, "link and function"},
		"no position": {func(m *Message) { m.Headers[len(m.Headers)-1].Value = []byte(`{"link":"l","function":"f"}`) }, "partition:offset"},
		"no event":    {func(m *Message) { m.Headers = m.Headers[len(m.Headers)-1:] }, "event at 3:17"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good.Message()
			c.change(&m)
			if _, err := ParseParked(m); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}
