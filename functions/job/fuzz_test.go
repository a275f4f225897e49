package job

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/event"
)

func FuzzArguments(f *testing.F) {
	f.Add("x{id}", "{data.a.0}", "a b", `{"a":["--help"]}`)
	f.Add("{data}{subject}", "", "-rf", "")
	f.Add("{{{subject}}}", "{data}", "-rf", `"$(id)"`)
	f.Fuzz(func(t *testing.T, one, two, subject, data string) {
		in := &input{args: []string{one, two}, data: []byte(data), source: &event.Event{ID: "1", Source: "/s", Type: "t", Subject: subject, Data: []byte(data)}}
		args, err := in.arguments(paths{event: "/e", data: "/d", replies: "/r"})
		if err != nil {
			if !errors.Is(err, errRefused) {
				t.Errorf("%v: want it to be refused for good", err)
			}
			return
		}
		if len(args) != 2 {
			t.Fatalf("%d arguments: %q", len(args), args)
		}
		for i, template := range in.args {
			if strings.HasPrefix(args[i], "-") && !strings.HasPrefix(template, "-") {
				t.Errorf("%q became the option %q", template, args[i])
			}
			if strings.ContainsRune(args[i], 0) && !strings.ContainsRune(template, 0) || utf8.ValidString(template) && !utf8.ValidString(args[i]) {
				t.Errorf("%q became %q, which is no text", template, args[i])
			}
		}
	})
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(`{"type":"t"}` + "\n" + `{"type":"u","data":{"a":1}}`))
	f.Add([]byte(`[{"type":"t","id":"1","source":"/s","specversion":"1.0"}]`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		replies, err := parseReplies(b, &record{Run: "1-2-3", Function: "f"})
		if err == nil && len(replies) > maxReplies {
			t.Errorf("%d replies", len(replies))
		}
		c := event.Completion{Delivery: aDelivery, Status: 200, Replies: replies}
		if err != nil {
			return
		}
		if got, ok, err := event.ParseCompletion(c.Message(), maxReplies); err != nil || !ok || len(got.Replies) != len(replies) {
			t.Errorf("%d replies read back as %d: %v", len(replies), len(got.Replies), err)
		}
	})
}

var aDelivery = event.DeliveryToken{Function: "f", Link: "l", Attempt: 1}
