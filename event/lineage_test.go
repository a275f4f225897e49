package event

import (
	"regexp"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC)

func TestDerive(t *testing.T) {
	cause := &Event{ID: "c1", Source: "/c", Type: "c", Extensions: []Attribute{{"other", "x"}}}
	reply := &Event{ID: "r1", Source: "/r", Type: "r", Data: []byte("d"), Extensions: []Attribute{
		{ExtCausationID, "forged"}, {ExtChainStart, "2099-01-01T00:00:00Z"}, {ExtCorrelationID, "forged"}, {"kept", "v"}, {ExtReplyID, "forged"}, {ExtHops, "0"}, {ExtTraceParent, "00-t"},
	}}
	reply.SetExtension("sorted", "")
	before := *reply.Clone()
	e := Derive(cause, reply, Hop{Link: "l", Version: "v1", Began: now.Add(-time.Hour), Now: now})
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"source": "/r", "type": "r", "time": "2026-01-31T12:00:00.000000005Z", ExtCausationID: "c1", ExtCorrelationID: "c1",
		ExtHops: "1", ExtReplyID: "r1", "kept": "v", ExtChainStart: "2026-01-31T11:00:00.000000005Z", ExtTraceParent: "00-t", "other": "",
	} {
		if got, _ := e.Attribute(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if reply.ID != before.ID || len(reply.Extensions) != 7 || reply.Extensions[0].Value != "forged" || reply.Time != "" {
		t.Errorf("the reply itself is changed: %+v", reply)
	}
	if !regexp.MustCompile(`^[a-z2-7]{32}$`).MatchString(e.ID) {
		t.Errorf("id %q: want 32 letters and digits", e.ID)
	}
	second := Derive(e, &Event{Type: "r2", Time: "2020-01-01T00:00:00Z", Extensions: []Attribute{{ExtChainStart, "forged"}}}, Hop{Link: "l", Now: now})
	for name, want := range map[string]string{
		ExtCausationID: e.ID, ExtCorrelationID: "c1", ExtHops: "2", ExtReplyID: "", "time": "2020-01-01T00:00:00Z", "source": "", ExtChainStart: "",
	} {
		if got, _ := second.Attribute(name); got != want {
			t.Errorf("second: %s = %q, want %q", name, got, want)
		}
	}
}

func TestDerivedIDIsStableAndTellsApart(t *testing.T) {
	type input struct {
		source, id, link, version string
		index                     int
		typ                       string
	}
	derive := func(in input, at time.Time) string {
		return Derive(&Event{Source: in.source, ID: in.id}, &Event{Type: in.typ, ID: at.String()}, Hop{Link: in.link, Version: in.version, Index: in.index, Now: at}).ID
	}
	base := input{"/s", "1", "l", "v", 0, "t"}
	seen := map[string]input{}
	for _, in := range []input{
		base, {"/x", "1", "l", "v", 0, "t"}, {"/s", "2", "l", "v", 0, "t"}, {"/s", "1", "m", "v", 0, "t"}, {"/s", "1", "l", "w", 0, "t"},
		{"/s", "1", "l", "v", 1, "t"}, {"/s", "1", "l", "v", 0, "u"}, {"/s1", "", "l", "v", 0, "t"}, {"/s", "1l", "", "v", 0, "t"}, {"/s", "1", "lv", "", 0, "t"},
	} {
		id := derive(in, now)
		if other, ok := seen[id]; ok {
			t.Errorf("%+v and %+v have one id", in, other)
		}
		seen[id] = in
		if derive(in, now.Add(time.Hour)) != id {
			t.Errorf("%+v: another id the second time", in)
		}
	}
	if got, want := derive(base, now), "75dqc5ddqgtpeozig5n7l76ee6rvqqk3"; got != want {
		t.Errorf("id = %s, want %s: ids must not change between versions, or a redelivery during an upgrade doubles replies", got, want)
	}
}

func TestHops(t *testing.T) {
	for value, want := range map[string]int{
		"": 0, "0": 0, "7": 7, "007": 7, "-1": 0, "+1": 0, "1.5": 0, "x": 0, "2147483647": 2147483647, "2147483648": 2147483647, "99999999999999999999999": 2147483647,
	} {
		e := &Event{Source: "/s", ID: "1"}
		e.SetExtension(ExtHops, value)
		if got := Hops(e); got != want {
			t.Errorf("Hops(%q) = %d, want %d", value, got, want)
		}
	}
	e := &Event{Source: "/s", ID: "1", Extensions: []Attribute{{ExtHops, "99999999999"}}}
	if got, _ := Derive(e, &Event{Type: "t"}, Hop{Link: "l", Now: now}).Extension(ExtHops); got != "2147483647" {
		t.Errorf("hops after the largest: %s", got)
	}
}

func TestASenderCanOnlyShortenHisChain(t *testing.T) {
	accepted := now.Truncate(time.Second)
	for value, want := range map[string]time.Time{
		"":                          accepted,
		"2099-01-01T00:00:00Z":      accepted,
		"soon":                      accepted,
		"2026-01-31T11:59:00Z":      accepted.Add(-time.Minute),
		"2026-01-31T13:00:00+02:00": accepted.Add(-time.Hour),
	} {
		e := &Event{Source: "/s", ID: "1"}
		e.SetExtension(ExtChainStart, value)
		if got := ChainStart(e, accepted); !got.Equal(want) {
			t.Errorf("ChainStart(%q) = %s, want %s", value, got, want)
		}
	}
}
