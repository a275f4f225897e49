package policies

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestMemo(t *testing.T) {
	links := []*resource.Link{link("one", "a", "t", "u"), link("two", "b", "u")}
	deny := func(cond string) *resource.Policy { return trigger("p", "deny contains \"no\" if "+cond) }
	for name, c := range map[string]struct {
		policy       *resource.Policy
		events       []*event.Event
		hits, misses uint64
		off          string
	}{
		"same attributes hit":          {deny(`input.event.tenant == "x"`), []*event.Event{ev("t", "tenant", "x", "a", "1"), ev("u", "tenant", "x", "a", "2")}, 1, 1, ""},
		"other attributes miss":        {deny(`input.event.tenant == "x"`), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y"), ev("t")}, 0, 3, ""},
		"other candidates miss":        {deny(`count(input.links) > 5`), []*event.Event{ev("t"), ev("u"), ev("t")}, 1, 2, ""},
		"helpers count":                {trigger("p", "deny contains \"no\" if h\nh if input.event.tenant == \"x\""), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"else counts":                  {trigger("p", "deny contains \"no\" if f(1) == 2\nf(x) := 1 if x > 1 else := 2 if input.event.tenant == \"x\""), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"dynamic references count":     {trigger("p", "deny contains \"no\" if { some n in [\"one\"]; hs[n] }\nhs.one if input.event.tenant == \"x\""), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"helpers of else count":        {trigger("p", "deny contains \"no\" if f(1) == 2\nf(x) := 1 if x > 1 else := 2 if h\nh if input.event.tenant == \"x\""), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"keys of rules count":          {trigger("p", "deny contains \"no\" if hs[input.event.tenant]\nhs.x := true\nhs.z := true if input.event.tenant2"), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"a reason is read":             {trigger("p", `deny contains input.event.tenant`), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"brackets are read":            {deny(`["a", "b"][_] == {"k": input.event["tenant"]}.k`), []*event.Event{ev("t", "tenant", "x"), ev("t", "tenant", "y")}, 0, 2, ""},
		"off for the whole event":      {deny(`object.get(input.event, "tenant", "") == "x"`), []*event.Event{ev("t"), ev("t")}, 0, 0, "whole input.event"},
		"off for a dynamic key":        {deny(`{ some k in ["tenant"]; input.event[k] == "x" }`), []*event.Event{ev("t")}, 0, 0, "whole input.event"},
		"off for the whole input":      {deny(`count(input) == 0`), []*event.Event{ev("t")}, 0, 0, "whole input"},
		"off for with input":           {trigger("p", "deny contains \"no\" if h with input as {\"event\": {\"a\": \"b\"}}\nh if input.event.a == \"x\""), []*event.Event{ev("t")}, 0, 0, "whole input"},
		"off for data":                 {deny(`input.event.data.x == 1`), []*event.Event{ev("t")}, 0, 0, "input.event.data"},
		"off for the time":             {deny(`input.time == "x"`), []*event.Event{ev("t")}, 0, 0, "input.time"},
		"off for ids":                  {deny(`input.event.id == "x"`), []*event.Event{ev("t")}, 0, 0, "input.event.id"},
		"off for the clock":            {deny(`time.now_ns() < 5`), []*event.Event{ev("t")}, 0, 0, "time.now_ns"},
		"off for chance in a helper":   {trigger("p", "deny contains \"no\" if h\nh if rand.intn(\"x\", 2) == 5"), []*event.Event{ev("t")}, 0, 0, "rand.intn"},
		"an unused helper may be idle": {trigger("p", "deny contains \"no\" if input.event.tenant == \"x\"\nh if time.now_ns() == 5"), []*event.Event{ev("t"), ev("t")}, 1, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, set(links, c.policy))
			fresh := newEngine(t, set(links, c.policy))
			for _, x := range c.events {
				fresh.Load(set(links, c.policy)) // an empty memo
				if got, want := chosen(t, e, x), chosen(t, fresh, x); got != want {
					t.Errorf("%s, without memory %s", got, want)
				}
			}
			st := e.Stats()
			if st.MemoHits != c.hits || st.MemoMisses != c.misses || !strings.Contains(st.MemoOff, c.off) || (c.off == "") != (st.MemoOff == "") {
				t.Errorf("hits %d misses %d off %q, want %d %d %q", st.MemoHits, st.MemoMisses, st.MemoOff, c.hits, c.misses, c.off)
			}
		})
	}
}

func TestMemoIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	e := newEngine(t, set([]*resource.Link{link("l", "a", "t")}, trigger("p", `deny contains "x" if input.event.tenant == "none"`)))
	e.cfg.MemoSize = 100
	e.Load(set([]*resource.Link{link("l", "a", "t")}, trigger("p", `deny contains "x" if input.event.tenant == "none"`)))
	for i := range 1000 {
		chosen(t, e, ev("t", "tenant", fmt.Sprint(i)))
		chosen(t, e, ev("t", "tenant", "often"))
	}
	st := e.Stats()
	if st.MemoEntries > 100 || st.MemoMisses != 1001 || st.MemoHits != 999 {
		t.Errorf("%+v", st)
	}
}
