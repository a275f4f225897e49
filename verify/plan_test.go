package verify

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

func samplePlan(change func(*Config)) *plan {
	cfg := DefaultConfig()
	cfg.Seed = 7
	if change != nil {
		change(&cfg)
	}
	return newPlan(&cfg, "run")
}

func TestThePlanFollowsFromTheSeed(t *testing.T) {
	draws := func(seed uint64) (all []string) {
		p := samplePlan(func(c *Config) { c.Seed, c.Fail = seed, 0.5 })
		for n := range 50 {
			all = append(all, string(p.fault(ref{link: p.link(n, 0), n: n}, 1)), string(p.data(n)))
		}
		return all
	}
	if !slices.Equal(draws(7), draws(7)) {
		t.Error("the same seed gives different plans")
	}
	if slices.Equal(draws(7), draws(8)) {
		t.Error("different seeds give the same plan")
	}
}

func TestSharesAreKeptTo(t *testing.T) {
	const n = 20000
	p := samplePlan(func(c *Config) { c.Fail, c.Replies, c.Poison, c.Keys = 0.1, 0.3, 0.05, 10 })
	faults, replies, poison, kinds, keys := 0, 0, 0, map[Fault]int{}, map[int]int{}
	for i := range n {
		r := ref{link: p.link(i, i%p.fanout), n: i}
		if f := p.fault(r, 1); f != "" {
			faults++
			kinds[f]++
		}
		if p.answers(r.link, i) {
			replies++
		}
		if p.poisoned(r) {
			poison++
		}
		keys[p.key(i)]++
	}
	near := func(what string, got int, share float64) {
		t.Helper()
		if math.Abs(float64(got)-share*n) > 0.15*share*n {
			t.Errorf("%s: %d of %d, want about %v", what, got, n, share*n)
		}
	}
	near("faults", faults, 0.1)
	near("replies", replies, 0.3*0.95)
	near("poison", poison, 0.05)
	for _, f := range Faults() {
		if kinds[f] < faults/len(Faults())/2 {
			t.Errorf("fault %s: %d of %d", f, kinds[f], faults)
		}
	}
	if len(keys) != 10 {
		t.Errorf("%d keys, want 10", len(keys))
	}
}

func TestADeliveryMeetsFewFaults(t *testing.T) {
	p := samplePlan(func(c *Config) { c.Fail = 1 })
	r := ref{link: 0, n: 0}
	for call := 1; call <= maxFaults; call++ {
		if p.fault(r, call) == "" {
			t.Errorf("call %d is left alone though all are to fail", call)
		}
	}
	if f := p.fault(r, maxFaults+1); f != "" {
		t.Errorf("call %d meets %s: the delivery could become a dead letter", maxFaults+1, f)
	}
}

func TestEveryEventGoesToAsManyLinksAsTheFanout(t *testing.T) {
	p := samplePlan(func(c *Config) { c.Functions, c.Fanout = 5, 3 })
	for n := range 10 {
		var links []int
		for link := range p.functions + 1 {
			if slices.Contains(p.types(link), p.typeOf(n)) {
				links = append(links, link)
			}
		}
		var want []int
		for k := range p.fanout {
			link := p.link(n, k)
			if got, ok := p.slot(n, link); !ok || got != k {
				t.Errorf("event %d: slot of link %d is %d, %v; want %d", n, link, got, ok, k)
			}
			want = append(want, link)
		}
		slices.Sort(want)
		if !slices.Equal(links, want) {
			t.Errorf("event %d: links %v have its type, want %v", n, links, want)
		}
	}
}

func TestEventsAreValidAndTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, size := range []int{32, 256, 1000} {
		p := samplePlan(func(c *Config) { c.Size = size })
		for n := range 20 {
			e := p.event(n)
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(e.Data) || len(e.Data) != size || seen[string(e.Data)] {
				t.Errorf("data %q (%d bytes): want a document of %d bytes that no other event has", e.Data, len(e.Data), size)
			}
			seen[string(e.Data)] = true
			r, intact, ours := p.identify(e, 4)
			if r != (ref{link: 4, n: n}) || !intact || !ours {
				t.Errorf("event %d is taken for %+v, intact %v, ours %v", n, r, intact, ours)
			}
		}
	}
}

func TestChangedEventsAreRecognised(t *testing.T) {
	p := samplePlan(nil)
	changes := map[string]func(*event.Event){
		"data":         func(e *event.Event) { e.Data = bytes.ToUpper(e.Data) },
		"no data":      func(e *event.Event) { e.Data = nil },
		"type":         func(e *event.Event) { e.Type = p.typeOf(4) },
		"subject":      func(e *event.Event) { e.Subject = "" },
		"content type": func(e *event.Event) { e.DataContentType = "text/plain" },
	}
	for name, change := range changes {
		e := p.event(3).Clone()
		change(e)
		if r, intact, ours := p.identify(e, 3); intact || !ours || r.n != 3 {
			t.Errorf("%s changed: %+v, intact %v, ours %v", name, r, intact, ours)
		}
	}
}

func TestRepliesAreRecognisedByTheirCause(t *testing.T) {
	p := samplePlan(nil)
	derived := event.Derive(p.event(12), p.reply(2, 12), event.Hop{Link: "link"})
	r, intact, ours := p.identify(derived, p.replyLink())
	if want := (ref{link: p.replyLink(), n: 12, cause: 2}); r != want || !intact || !ours {
		t.Errorf("%+v, intact %v, ours %v; want %+v", r, intact, ours, want)
	}
	derived.SetExtension(event.ExtCausationID, "another")
	if _, intact, _ := p.identify(derived, p.replyLink()); intact {
		t.Error("a reply with another cause is taken as intact")
	}
}

func TestEventsOfOthersAreNotOurs(t *testing.T) {
	p := samplePlan(nil)
	for _, e := range []*event.Event{
		nil,
		{ID: "1", Source: "/elsewhere", Type: "t"},
		{ID: "other-1", Source: p.source(), Type: "t"},
		{ID: "run--1", Source: p.source(), Type: "t"},
		{ID: "1", Source: p.replySource(), Type: p.replyType(), Data: []byte("{")},
		{ID: "1", Source: p.replySource(), Type: p.replyType(), Data: []byte(`{"event":-1}`)},
	} {
		if _, _, ours := p.identify(e, 0); ours {
			t.Errorf("%+v is taken for ours", e)
		}
	}
}

func TestTheConfigurationIsChecked(t *testing.T) {
	valid := DefaultConfig()
	valid.Server = "http://127.0.0.1:8080"
	if err := valid.validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"server":            {func(c *Config) { c.Server = "nowhere" }, "Server nowhere: want a URL"},
		"name":              {func(c *Config) { c.Name = "Big" }, "Name Big"},
		"listen":            {func(c *Config) { c.Listen = "9000" }, "Listen 9000: want host:port"},
		"every address":     {func(c *Config) { c.Listen = ":9000" }, "CallbackURL"},
		"unspecified":       {func(c *Config) { c.Listen = "0.0.0.0:9000" }, "CallbackURL"},
		"callback":          {func(c *Config) { c.CallbackURL = "verify:9000" }, "CallbackURL verify:9000"},
		"no end":            {func(c *Config) { c.Events = 0 }, "Events 0"},
		"rate":              {func(c *Config) { c.Rate = 0 }, "Rate 0: want 0.1 to 1e+06"},
		"rate is no number": {func(c *Config) { c.Rate = math.NaN() }, "Rate NaN"},
		"fanout":            {func(c *Config) { c.Fanout = 6 }, "Fanout 6: want 1 to 5"},
		"order":             {func(c *Config) { c.Order = "time" }, "Order time: want none or key"},
		"order without key": {func(c *Config) { c.Order, c.Keys = "key", 0 }, "Keys 0: want at least 1 with order key"},
		"fail":              {func(c *Config) { c.Fail = 1.5 }, "Fail 1.5: want 0 to 1"},
		"fault":             {func(c *Config) { c.Faults = []Fault{"fire"} }, "Faults fire: want some of reset"},
		"no faults":         {func(c *Config) { c.Faults = nil }, "Faults none"},
		"call timeout":      {func(c *Config) { c.CallTimeout = 1 }, "CallTimeout 1ns: want 100ms to 10m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := valid
			tt.change(&c)
			if err := c.validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
		})
	}
	many := valid
	many.Rate, many.Fail, many.Keys = -1, -1, -1
	if err := many.validate(); strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want all three faults, got %v", err)
	}
	for _, c := range []Config{{Server: valid.Server, Listen: ":9000", CallbackURL: "https://verify.example"}} {
		good := valid
		good.Listen, good.CallbackURL = c.Listen, c.CallbackURL
		if err := good.validate(); err != nil {
			t.Errorf("every address with a callback URL: %v", err)
		}
	}
}
