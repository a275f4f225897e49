package event

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func fullRun() *Run {
	return &Run{
		ID: "0-1-ab-2", Link: "l", Function: "f", Version: "v1", EventSource: "/s \"x\"", EventID: "1", EventType: "t", Position: "0:1", Attempt: 2,
		Outcome: Dead, Reason: "answer 500: \u0001<é>", Status: 500, Time: now, DurationMS: 1.234567, TraceID: "0af7", Revision: math.MaxUint64,
		Replies: []ReplyRef{{"/r", "1", "t"}, {"/r", "2", "t"}},
	}
}

func TestRunMessage(t *testing.T) {
	for name, r := range map[string]*Run{"whole": fullRun(), "empty": {ID: "x"}} {
		t.Run(name, func(t *testing.T) {
			m := r.Message()
			if got, want := string(m.Key), r.EventSource+"\x00"+r.EventID; got != want {
				t.Errorf("key %q, want %q", got, want)
			}
			e, err := FromMessage(m)
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != r.ID || e.Source != "/signalbox/runs" || e.Type != "signalbox.run" || e.Subject != r.Function || !e.Timestamp().Equal(r.Time) {
				t.Errorf("the event is %+v", e)
			}
			got, err := ParseRun(m)
			if err != nil || !reflect.DeepEqual(&got, r) {
				t.Errorf("got %+v, %v, want %+v", got, err, r)
			}
			want, _ := json.Marshal(r)
			var a, b any
			if json.Unmarshal(m.Value, &a) != nil || json.Unmarshal(want, &b) != nil || !reflect.DeepEqual(a, b) {
				t.Errorf("JSON %s, want that of encoding/json: %s", m.Value, want)
			}
		})
	}
}

func TestRunAppendsItsMessage(t *testing.T) {
	m, buf := Message{Key: []byte("old"), Headers: append(make([]Header, 0, 20), Header{"first", []byte("kept")}), Value: []byte("old")}, []byte("used ")
	for _, r := range []*Run{fullRun(), {ID: "x"}} {
		want := r.Message()
		buf = r.AppendMessage(&m, buf)
		if !bytes.HasPrefix(buf, []byte("used ")) || string(m.Headers[0].Value) != "kept" {
			t.Errorf("what was there is gone: %q, %v", buf, m.Headers[0])
		}
		if m.Headers = m.Headers[1:]; !reflect.DeepEqual(m, want) {
			t.Errorf("got %v, want %v", m, want)
		}
		m.Headers, buf = m.Headers[:0], buf[:len("used ")]
		m.Headers = append(m.Headers, Header{"first", []byte("kept")})
	}
}

func TestRunMessageOfHostileValuesIsStillJSON(t *testing.T) {
	r := &Run{ID: "x", Reason: "a\xffb\x00", DurationMS: math.Inf(1), EventSource: strings.Repeat("\x01", 5000), Time: now.In(time.FixedZone("", 3600))}
	got, err := ParseRun(r.Message())
	if err != nil || got.Reason != "a\ufffdb\x00" || got.DurationMS != 0 || got.EventSource != r.EventSource || !got.Time.Equal(now) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseRunRefuses(t *testing.T) {
	for name, m := range map[string]Message{
		"another event": full().Message(),
		"nothing":       {},
		"no JSON":       {Headers: headers("ce_type", RunType), Value: []byte("x")},
	} {
		if _, err := ParseRun(m); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func TestRecordIDs(t *testing.T) {
	pos, safe := Position{2, 1 << 40}, regexp.MustCompile(`^[0-9][0-9a-z-]{0,63}$`)
	ids := map[string]bool{}
	for _, id := range []string{
		RunID(pos, "l", 1), RunID(pos, "l", 2), RunID(pos, "m", 1), RunID(Position{2, 1}, "l", 1), RunID(pos, "", 1),
		DeadLetterID(pos, "l", 0), DeadLetterID(pos, "policy:x/y?z "+strings.Repeat("l", 300), 0), DeadLetterID(Position{1, 1 << 40}, "l", 0), DeadLetterID(pos, "", 0), DeadLetterID(pos, "l", 1),
	} {
		if ids[id] || !safe.MatchString(id) {
			t.Errorf("id %q stands twice or is not safe in a path", id)
		}
		ids[id] = true
	}
	if RunID(pos, "l", 1) != "2-1099511627776-af63e14c8601f50b-1" || DeadLetterID(pos, "", 0) != "2-1099511627776" {
		t.Errorf("ids have changed: %s, %s", RunID(pos, "l", 1), DeadLetterID(pos, "", 0))
	}
}

func letter() *DeadLetter {
	return &DeadLetter{
		ID: "d", Event: full(), Link: "l", Function: "f", Version: "v", Reason: "answer 500", Revision: 7, Position: "0:1", Time: now, TraceID: "t", TraceParent: "00-t", TraceState: "a=1",
		Attempts: []Attempt{{Number: 1, Time: now, DurationMS: 0.5, Class: "timeout", Error: "e"}, {Number: 2, Time: now, Status: 500, Body: strings.Repeat("b", 1024)}},
	}
}

func TestDeadLetterMessage(t *testing.T) {
	d := letter()
	m := d.Message()
	if string(m.Key) != "k" || string(m.Value) != `{"a":1}` {
		t.Errorf("key %q, value %q: want the event's", m.Key, m.Value)
	}
	if code, _ := m.Header("ce_knativeerrorcode"); string(code) != "500" {
		t.Errorf("knativeerrorcode %q", code)
	}
	if data, _ := m.Header("ce_knativeerrordata"); len(data) != 1024 || !strings.HasPrefix(string(data), "YmJi") {
		t.Errorf("knativeerrordata %q", data)
	}
	if e, err := FromMessage(m); err != nil || e.ID != "1" {
		t.Errorf("the record is no event: %v", err)
	}
	got, err := ParseDeadLetter(m)
	if err != nil || !reflect.DeepEqual(&got, d) {
		t.Errorf("got %+v, %v, want %+v", got, err, d)
	}
}

func TestDeadLetterKeepsTheEventsOwnErrorExtensions(t *testing.T) {
	d := letter()
	d.Event.SetExtension("knativeerrorcode", "404")
	m := d.Message()
	if code, _ := m.Header("ce_knativeerrorcode"); string(code) != "404" {
		t.Errorf("knativeerrorcode %q, want the event's own", code)
	}
	got, err := ParseDeadLetter(m)
	if err != nil || !reflect.DeepEqual(&got, d) {
		t.Errorf("got %+v, %v, want %+v", got, err, d)
	}
}

func TestDeadLetterWithoutAnAnswerHasNoErrorHeaders(t *testing.T) {
	d := letter()
	d.Attempts[1].Status, d.Attempts[1].Body = 0, ""
	for _, attempts := range [][]Attempt{d.Attempts, nil} {
		d.Attempts = attempts
		m := d.Message()
		if _, ok := m.Header("ce_knativeerrorcode"); ok {
			t.Error("knativeerrorcode without an answer")
		}
		if got, err := ParseDeadLetter(m); err != nil || !reflect.DeepEqual(got.Event, d.Event) || len(got.Attempts) != len(attempts) || got.Attempts == nil {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestDeadLetterOfARecordThatIsNoEvent(t *testing.T) {
	raw := Message{Key: []byte("k"), Headers: headers("ce_id", "broken", DeadLetterHeader, "forged", "x", "y"), Value: []byte("v")}
	d := &DeadLetter{ID: "d", Raw: raw, Reason: "no event", Attempts: []Attempt{}, Position: "0:1", Time: now}
	d.Raw.Headers = slices.Grow(raw.Headers, 1)
	m := d.Message()
	if spare := d.Raw.Headers[:4][3]; spare.Key != "" {
		t.Errorf("the record's own headers are written to: %v", spare)
	}
	if len(raw.Headers) != 3 || len(m.Headers) != 4 || string(m.Value) != "v" || string(m.Key) != "k" {
		t.Errorf("the record is %q", m)
	}
	got, err := ParseDeadLetter(m)
	if err != nil || !reflect.DeepEqual(&got, d) {
		t.Errorf("got %+v, %v, want %+v", got, err, d)
	}
}

func TestDeadLetterIsWrittenWhateverItsTimes(t *testing.T) {
	d := letter()
	d.Attempts[0].DurationMS = math.NaN()
	if got, err := ParseDeadLetter(d.Message()); err != nil || got.Reason != d.Reason || got.ID != d.ID {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseDeadLetterRefuses(t *testing.T) {
	good := letter().Message()
	for name, m := range map[string]Message{
		"no header":  full().Message(),
		"no JSON":    {Headers: headers(DeadLetterHeader, "x")},
		"no event":   {Headers: good.Headers[len(good.Headers)-1:]},
		"null":       {Headers: headers(DeadLetterHeader, "null")},
		"a bad type": {Headers: append(slices.Clone(good.Headers[:4]), headers(DeadLetterHeader, `{"attempts":1}`)...)},
	} {
		if _, err := ParseDeadLetter(m); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func TestMessageNeverSharesItsHeadersWithTheNext(t *testing.T) {
	e := full()
	a, b := e.Message(), e.Message()
	a.Headers = append(a.Headers, Header{"traceparent", nil})
	b.Headers = append(b.Headers, Header{"other", nil})
	if a.Headers[len(a.Headers)-1].Key != "traceparent" {
		t.Error("two messages of one event share headers")
	}
}
