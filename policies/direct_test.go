package policies

import (
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestAnEventForOneFunctionNeedsNoLink(t *testing.T) {
	objects := []resource.Object{
		{Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "f"}, Spec: []byte(`{"url":"http://f/","version":"v2"}`)},
		{Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "f@v1"}, Spec: []byte(`{"url":"http://f/","version":"v1"}`)},
		{Kind: resource.KindLink, Metadata: resource.Metadata{Name: "all"}, Spec: []byte(`{"function":"f","types":["signalbox.*"]}`)},
	}
	deny := func(text string) resource.Object {
		return resource.Object{Kind: resource.KindPolicy, Metadata: resource.Metadata{Name: "p"}, Spec: []byte(`{"rego":"package signalbox.trigger\nimport rego.v1\ndeny contains ` + text + `"}`)}
	}
	for name, c := range map[string]struct {
		typ, subject string
		policy       []resource.Object
		want, why    string
		// ext is an extension and its value.
		ext [2]string
	}{
		"manual":             {event.TypeManual, "f", nil, "all v2, manual:f v2", "its subject names", [2]string{}},
		"schedule":           {event.TypeSchedule, "f@v1", nil, "all v2, schedule:f@v1 v1", "its subject names", [2]string{}},
		"no such function":   {event.TypeManual, "g", nil, "all v2", "function g does not exist", [2]string{}},
		"no such version":    {event.TypeManual, "f@v9", nil, "all v2", "has no version v9", [2]string{}},
		"nobody":             {event.TypeManual, "", nil, "all v2", "", [2]string{}},
		"another type":       {"signalbox.other", "f", nil, "all v2", "", [2]string{}},
		"denied":             {event.TypeManual, "f", []resource.Object{deny(`{\"link\":\"manual:f\",\"reason\":\"frozen\"}`)}, "all v2", "frozen", [2]string{}},
		"everything denied":  {event.TypeManual, "f", []resource.Object{deny(`\"frozen\"`)}, "", "frozen", [2]string{}},
		"a call":             {event.TypeInvoke, "s", nil, "call:f@v1 v1", "is a call of this function", [2]string{event.ExtCallTarget, "f@v1"}},
		"a call of nobody":   {event.TypeInvoke, "s", nil, "", "function g does not exist", [2]string{event.ExtCallTarget, "g"}},
		"a call denied":      {event.TypeInvoke, "s", []resource.Object{deny(`{\"link\":\"call:f\",\"reason\":\"frozen\"}`)}, "", "frozen", [2]string{event.ExtCallTarget, "f"}},
		"an answer":          {event.TypeAnswer, "f", nil, "all v2, callback:shop.example https/shop.example", "wants the answer", [2]string{event.ExtCallbackURL, "https://shop.example/done"}},
		"a bad callback":     {event.TypeAnswer, "f", nil, "all v2", "want an absolute", [2]string{event.ExtCallbackURL, "shop"}},
		"denied for another": {event.TypeManual, "f", []resource.Object{deny(`{\"link\":\"all\",\"reason\":\"frozen\"}`)}, "manual:f v2", "its subject names", [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			set, faults := resource.NewSet(1, append(c.policy, objects...))
			s, more := Compile(set, DefaultConfig())
			if len(faults)+len(more) > 0 {
				t.Fatal(faults, more)
			}
			ev := &event.Event{ID: "1", Source: "/s", Type: c.typ, Subject: c.subject}
			ev.SetExtension(c.ext[0], c.ext[1])
			choice, err := s.Choose(t.Context(), ev, "", time.Time{}, nil)
			var got []string
			for _, target := range choice.Targets {
				got = append(got, target.Link.Metadata.Name+" "+target.Function.Spec.Version)
			}
			if err != nil || strings.Join(got, ", ") != c.want {
				t.Errorf("%v %v, want %s", got, err, c.want)
			}
			x, err := s.Explain(t.Context(), ev, "", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			chosen, why := map[string]bool{}, ""
			for _, l := range x.Links {
				if l.Chosen {
					chosen[l.Name] = true
				}
				if l.Name != "all" {
					why = l.Why
				}
			}
			if len(chosen) != len(got) || !strings.Contains(why, c.why) {
				t.Errorf("the explanation has %v: %q", chosen, why)
			}
		})
	}
}
