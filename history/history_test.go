package history

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

func TestMatchType(t *testing.T) {
	for _, c := range []struct {
		pattern, typ string
		want         bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.bc", false}, {"a.*", "a.b", true}, {"a.*", "a", false}, {"*", "", true}, {"A.b", "a.b", false},
	} {
		if got := MatchType(c.pattern, c.typ); got != c.want {
			t.Errorf("%s on %s: %t", c.pattern, c.typ, got)
		}
	}
}

func TestSinceIsIncludedAndUntilIsNot(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := &event.Record{Event: &event.Event{ID: "1", Source: "/s", Type: "t"}, Timestamp: at}
	for name, c := range map[string]struct {
		q    Query
		want bool
	}{
		"since then": {Query{Since: at}, true}, "since later": {Query{Since: at.Add(1)}, false},
		"until then": {Query{Until: at}, false}, "until later": {Query{Until: at.Add(1)}, true},
	} {
		if got := c.q.MatchEvent(r); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if (&Query{}).MatchEvent(&event.Record{Timestamp: at}) {
		t.Error("a record that is no event matches")
	}
}

func TestEventJSONHidesNoAttribute(t *testing.T) {
	r := &event.Record{
		Position:  event.Position{Partition: 3, Offset: 4},
		Event:     &event.Event{ID: "1", Source: "/s", Type: "t", Extensions: []event.Attribute{{Name: "position", Value: "mine"}}},
		Timestamp: time.Unix(0, 0),
	}
	var got map[string]any
	if err := json.Unmarshal(EventJSON(r), &got); err != nil || got["position"] != "mine" || got["logtime"] != "1970-01-01T00:00:00Z" {
		t.Errorf("%v %v", got, err)
	}
	r.Event.Extensions = nil
	if err := json.Unmarshal(EventJSON(r), &got); err != nil || got["position"] != "3:4" {
		t.Errorf("%v %v", got, err)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	x := Explanation{
		Event:    &event.Event{ID: "1", Source: "/s", Type: "t", Data: []byte(`{"a":1}`), DataContentType: "application/json"},
		Position: event.Position{Partition: 3, Offset: 17}, Accepted: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), State: StateOpen, Known: KnownByRun,
		Links: []Link{{Name: "l", Waiting: &Waiting{Where: "parked"}}}, Letters: []LetterRef{{ID: "d", State: LetterOpen}}, Chain: Chain{Cut: "more"},
	}
	l := Line{Log: event.Log{Function: "f", Line: "hello", Run: "r"}, Position: event.Position{Partition: 1, Offset: 2}}
	again[Explanation](t, x)
	again[Explanation](t, Explanation{})
	again[Line](t, l)
	for _, broken := range []string{`{"position":"1"}`, `{"event":{"id":""},"position":"0:1"}`, `{"links":1}`} {
		if err := json.Unmarshal([]byte(broken), new(Explanation)); err == nil {
			t.Errorf("%s is read", broken)
		}
	}
	if json.Unmarshal([]byte(`{"line":"x"}`), new(Line)) == nil {
		t.Error("a line without a place is read")
	}
}

// again reads what v is written as, and writes it again.
func again[T any](t *testing.T, v T) {
	t.Helper()
	first, err := json.Marshal(v)
	var read T
	if err == nil {
		err = json.Unmarshal(first, &read)
	}
	second, err2 := json.Marshal(read)
	if err != nil || err2 != nil || string(first) != string(second) {
		t.Errorf("%s\n%s\n%v %v", first, second, err, err2)
	}
}
