package event

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestDeliveryTokensReadBack(t *testing.T) {
	for text, token := range map[string]DeliveryToken{
		"thumbs~resize~3~17~1":           {Function: "thumbs", Link: "resize", Position: Position{3, 17}, Attempt: 1},
		"thumbs~manual:thumbs~3~17~1":    {Function: "thumbs", Link: "manual:thumbs", Position: Position{3, 17}, Attempt: 1},
		"thumbs~call:thumbs@V2_x~0~0~1":  {Function: "thumbs", Link: "call:thumbs@V2_x", Attempt: 1},
		"a.b~l-1~0~0~12~2~":              {Function: "a.b", Link: "l-1", Attempt: 12, Redrive: 2},
		"thumbs~resize~3~17~1~0~january": {Function: "thumbs", Link: "resize", Position: Position{3, 17}, Attempt: 1, Replay: "january"},
	} {
		if got := token.String(); got != text {
			t.Errorf("%+v is %q, want %q", token, got, text)
		}
		if got, err := ParseDeliveryToken(text); err != nil || got != token {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoDeliveryTokenIsRefused(t *testing.T) {
	for _, s := range []string{
		"", "x", "f~l~1~2", "f~l~1~2~0", "f~l~1~2~-1", "f~l~1~2~x", "f~l~-1~2~1", "f~l~1~-2~1", "f~l~1~2~1~0", "f~l~1~2~1~0~",
		"F~l~1~2~1", "f/../g~l~1~2~1", "~l~1~2~1", "f~~1~2~1", "f~l~01~2~1", "f~l~99999999999~2~1", "f~l~1~2~1~-1~r", "f.Leases~l~1~2~1",
		"f~other:f~1~2~1", "f~manual:~1~2~1", "f~manual:f@~1~2~1", "f~manual:F~1~2~1", "f~manual:f/..~1~2~1",
	} {
		if got, err := ParseDeliveryToken(s); !errors.Is(err, ErrNotToken) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

func FuzzParseDeliveryToken(f *testing.F) {
	f.Add("thumbs~resize~3~17~1~2~january")
	f.Add("thumbs~schedule:thumbs@v2~3~17~1")
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := ParseDeliveryToken(s); err == nil && token.String() != s {
			t.Errorf("%q reads as %q", s, token)
		}
	})
}

func TestCompletionsReadBack(t *testing.T) {
	token := DeliveryToken{Function: "f", Link: "l", Position: Position{1, 2}, Attempt: 3}
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]Completion{
		"done":         {Delivery: token, Status: 200, Time: at},
		"with replies": {Delivery: token, Status: 200, Time: at, Replies: []*Event{{ID: "1", Source: "/f", Type: "t", Data: []byte(`{"a":1}`), DataContentType: "application/json"}}},
		"failed":       {Delivery: token, Status: 503, Body: "no disk", Time: at},
		"extended":     {Delivery: token, Extend: time.Minute, Time: at},
	} {
		got, ok, err := ParseCompletion(c.Message(), 1)
		if err != nil || !ok || len(got.Replies) != len(c.Replies) {
			t.Errorf("%s: %+v, %v, %v", name, got, ok, err)
			continue
		}
		if len(c.Replies) > 0 && string(got.Replies[0].AppendJSON(nil)) != string(c.Replies[0].AppendJSON(nil)) {
			t.Errorf("%s: reply %s", name, got.Replies[0].AppendJSON(nil))
		}
		got.Replies, c.Replies = nil, nil
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v, want %+v", name, got, c)
		}
	}
}

func TestACompletionThatMakesNoSenseIsRefused(t *testing.T) {
	for name, head := range map[string]string{
		"no JSON": "x", "no delivery": `{"status":200}`, "a bad token": `{"delivery":"x","status":200}`,
		"neither status nor extension": `{"delivery":"f~l~1~2~3"}`, "both": `{"delivery":"f~l~1~2~3","status":200,"extendNs":1}`,
	} {
		m := Message{Headers: []Header{{CompletionHeader, []byte(head)}}}
		if _, ok, err := ParseCompletion(m, 1); !ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if _, ok, err := ParseCompletion(Message{}, 1); ok || err != nil {
		t.Errorf("another record: %v, %v", ok, err)
	}
}

func TestALeaseIsADurationOrSeconds(t *testing.T) {
	for v, want := range map[string]time.Duration{"60s": time.Minute, "60": time.Minute, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour, "1": time.Second} {
		if got, err := ParseLease(v); err != nil || got != want {
			t.Errorf("%q: %s, %v", v, got, err)
		}
	}
	for _, v := range []string{"", "soon", "0", "999ms", "-1m", "25h", "86401", "99999999999999999999"} {
		if got, err := ParseLease(v); err == nil {
			t.Errorf("%q: %s", v, got)
		}
	}
}
