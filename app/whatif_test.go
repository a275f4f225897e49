package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	logbroker "github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// heldResources is the resources of a what-if.
type heldResources struct {
	revision uint64
	objects  []resource.Object
}

func (s *heldResources) Snapshot(context.Context) (uint64, []resource.Object, error) {
	return s.revision, slices.Clone(s.objects), nil
}

func newWhatIfOf(log *eventlog.Log, s *heldResources, perRequest time.Duration) *whatIfs {
	w := &whatIfs{log: log, resources: s, cfg: whatIfConfig(time.Second), now: time.Now, turn: make(chan struct{}, 1), time: perRequest}
	w.turn <- struct{}{}
	return w
}

func objectOf(t testing.TB, kind, name string, spec any) resource.Object {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	o := resource.Object{APIVersion: resource.APIVersion, Kind: kind, Metadata: resource.Metadata{Name: name}, Spec: b}
	if err := o.Validate().Err(); err != nil {
		t.Fatal(err)
	}
	return o
}

func functionObject(t testing.TB, name string, more map[string]any) resource.Object {
	spec := map[string]any{"url": "http://127.0.0.1:9/"}
	for k, v := range more {
		spec[k] = v
	}
	return objectOf(t, resource.KindFunction, name, spec)
}

func linkObject(t testing.TB, name, function, pattern string, more map[string]any) resource.Object {
	spec := map[string]any{"function": function, "types": []string{pattern}}
	for k, v := range more {
		spec[k] = v
	}
	return objectOf(t, resource.KindLink, name, spec)
}

func policyOf(t testing.TB, name, rego string) resource.Object {
	return objectOf(t, resource.KindPolicy, name, map[string]any{"rego": "package signalbox.trigger\n" + rego})
}

// askAll follows the cursor and adds up, as a client does.
func askAll(t testing.TB, w *whatIfs, q gateway.WhatIf) (sum gateway.WhatIfAnswer, requests int) {
	t.Helper()
	functions, links, versions := map[string]gateway.Difference{}, map[string]gateway.Difference{}, map[string]gateway.Difference{}
	add := func(to map[string]gateway.Difference, more []gateway.Difference) {
		for _, d := range more {
			s := to[d.Name]
			s.Name = d.Name
			s.Before += d.Before
			s.After += d.After
			s.Newly += d.Newly
			s.Stops += d.Stops
			s.Examples = append(s.Examples, d.Examples...)
			to[d.Name] = s
		}
	}
	for {
		part, err := w.WhatIf(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		requests++
		sum.Revision = part.Revision
		sum.Events += part.Events
		sum.Changed += part.Changed
		sum.FailedBefore += part.FailedBefore
		sum.FailedAfter += part.FailedAfter
		sum.Failures = append(sum.Failures, part.Failures...)
		add(functions, part.Functions)
		add(links, part.Links)
		add(versions, part.Versions)
		if q.Cursor = part.Next; q.Cursor == "" {
			break
		}
	}
	sum.Functions, sum.Links, sum.Versions = ordered(functions), ordered(links), ordered(versions)
	return sum, requests
}

func ordered(m map[string]gateway.Difference) []gateway.Difference {
	var out []gateway.Difference
	for _, d := range m {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b gateway.Difference) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// bruteForce computes the same by looking at every link of both sets for every
// event, without index and memo, and by counting in the plainest way.
func bruteForce(t testing.TB, log *eventlog.Log, before, after []resource.Object, asked func(*event.Record) bool) gateway.WhatIfAnswer {
	t.Helper()
	fires := func(s *policies.Snapshot, set *resource.Set, rec *event.Record) (links, functions, versions map[string]bool, failed bool) {
		key := string(rec.Message.Key)
		x, err := s.Explain(context.Background(), rec.Event, key, rec.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		links, functions, versions = map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, l := range x.Links {
			if !l.Chosen {
				continue
			}
			spec := resource.LinkSpec{Function: l.Function}
			name, version := spec.FunctionName()
			links[l.Name], functions[name] = true, true
			fn := set.Function(name, version)
			if version == "" {
				fn = set.Route(name).Pick(key, rec.Event.Source, rec.Event.ID)
			}
			versions[name+"@"+fn.Spec.Version] = true
		}
		return links, functions, versions, x.Error != ""
	}
	compiled := func(objects []resource.Object) (*policies.Snapshot, *resource.Set) {
		set, faults := resource.NewSet(1, objects)
		s, more := policies.Compile(set, whatIfConfig(time.Second))
		if err := append(faults, more...).Err(); err != nil {
			t.Fatal(err)
		}
		return s, &set
	}
	old, oldSet := compiled(before)
	young, youngSet := compiled(after)
	var out gateway.WhatIfAnswer
	rows := [3]map[string]gateway.Difference{{}, {}, {}}
	err := log.Read(context.Background(), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(rec event.Record) error {
		if rec.Event == nil || !asked(&rec) {
			return nil
		}
		out.Events++
		var a, b [3]map[string]bool
		var failedA, failedB bool
		a[0], a[1], a[2], failedA = fires(old, oldSet, &rec)
		b[0], b[1], b[2], failedB = fires(young, youngSet, &rec)
		if failedA {
			out.FailedBefore++
		}
		if failedB {
			out.FailedAfter++
		}
		differs := false
		for i := range rows {
			for _, both := range []map[string]bool{a[i], b[i]} {
				for name := range both {
					if _, ok := rows[i][name]; !ok {
						rows[i][name] = gateway.Difference{Name: name}
					}
				}
			}
			for name, d := range rows[i] {
				was, is := a[i][name], b[i][name]
				if was {
					d.Before++
				}
				if is {
					d.After++
				}
				if is && !was {
					d.Newly++
				}
				if was && !is {
					d.Stops++
				}
				differs = differs || was != is
				rows[i][name] = d
			}
		}
		if differs {
			out.Changed++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out.Links, out.Functions, out.Versions = ordered(rows[0]), ordered(rows[1]), ordered(rows[2])
	return out
}

// sameFigures compares everything but examples and failures.
func sameFigures(t *testing.T, got, want gateway.WhatIfAnswer) {
	t.Helper()
	if got.Events != want.Events || got.Changed != want.Changed || got.FailedBefore != want.FailedBefore || got.FailedAfter != want.FailedAfter {
		t.Errorf("%d events, %d changed, %d and %d failed; want %d, %d, %d and %d", got.Events, got.Changed, got.FailedBefore, got.FailedAfter, want.Events, want.Changed, want.FailedBefore, want.FailedAfter)
	}
	for i, both := range [][2][]gateway.Difference{{got.Links, want.Links}, {got.Functions, want.Functions}, {got.Versions, want.Versions}} {
		if len(both[0]) != len(both[1]) {
			t.Errorf("table %d has %d rows, want %d", i, len(both[0]), len(both[1]))
			continue
		}
		for j, d := range both[0] {
			w := both[1][j]
			d.Examples = nil
			if d.Name != w.Name || d.Before != w.Before || d.After != w.After || d.Newly != w.Newly || d.Stops != w.Stops {
				t.Errorf("%+v, want %+v", d, w)
			}
		}
	}
}

// randomWorld makes resources; change makes others of them.
type randomWorld struct {
	t testing.TB
	r *rand.Rand
}

func (w *randomWorld) pick(of ...string) string { return of[w.r.IntN(len(of))] }

func (w *randomWorld) link(i int) resource.Object {
	more := map[string]any{}
	if w.r.IntN(3) == 0 {
		more["filters"] = []any{map[string]any{"exact": map[string]any{"tenant": w.pick("a", "b", "c")}}}
	}
	if w.r.IntN(4) == 0 {
		more["filters"] = []any{map[string]any{"sql": w.pick("size > 5", "subject LIKE 's%'", "size = 3 OR tenant = 'a'")}}
	}
	if w.r.IntN(8) == 0 {
		more["paused"] = true
	}
	fn := fmt.Sprintf("f%d", w.r.IntN(6))
	if w.r.IntN(8) == 0 {
		fn = "f0@v1"
	}
	return linkObject(w.t, fmt.Sprintf("l%02d", i), fn, w.pick("t.a", "t.b", "t.*", "u.*", "u.c", "*"), more)
}

func (w *randomWorld) policies() []resource.Object {
	var out []resource.Object
	for i, rego := range []string{
		`deny contains {"link": l.name, "reason": "tenant"} if { some l in input.links; input.event.tenant == "b"; endswith(l.name, "3") }`,
		`match contains l.name if { some l in input.links; not startswith(l.name, "l1") }`,
		`target contains "f5" if input.event.data.n > 7`,
		`deny contains {"reason": "all of it"} if input.event.type == "u.c"`,
		`target contains {"function": "f4@"} if input.event.data.n == 1`,
		`deny contains {"link": 7} if input.event.data.n == 9`,
		`deny contains {"link": "l04", "reason": "odd second"} if time.clock(time.parse_rfc3339_ns(input.time))[2] % 2 == 1`,
	} {
		if w.r.IntN(3) == 0 {
			out = append(out, policyOf(w.t, fmt.Sprintf("p%d", i), "\n"+rego))
		}
	}
	return out
}

func (w *randomWorld) objects() []resource.Object {
	out := []resource.Object{
		functionObject(w.t, "f0", map[string]any{"version": "v2", "traffic": []any{map[string]any{"version": "v1", "weight": 30}, map[string]any{"version": "v2", "weight": 70}}}),
	}
	kept := functionObject(w.t, "f0", map[string]any{"version": "v1"})
	kept.Metadata.Name = resource.VersionName("f0", "v1")
	out = append(out, kept)
	for i := 1; i < 6; i++ {
		out = append(out, functionObject(w.t, fmt.Sprintf("f%d", i), nil))
	}
	for i := range 15 {
		out = append(out, w.link(i))
	}
	return append(out, w.policies()...)
}

func (w *randomWorld) events(log *eventlog.Log, n, padding int) {
	messages := make([]event.Message, 0, n)
	for i := range n {
		e := &event.Event{
			ID: fmt.Sprint(i), Source: "/s" + w.pick("1", "2"), Type: w.pick("t.a", "t.b", "t.c", "u.c", "u.d", "v"),
			DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n": %d, "text": "%s"}`, w.r.IntN(10), strings.Repeat("x", padding)),
		}
		if w.r.IntN(2) == 0 {
			e.Subject = w.pick("s1", "s2", "x")
		}
		if w.r.IntN(2) == 0 {
			e.SetExtension("tenant", w.pick("a", "b", "c"))
		}
		if w.r.IntN(2) == 0 {
			e.SetExtension("size", fmt.Sprint(w.r.IntN(10)))
		}
		messages = append(messages, e.Message())
	}
	messages = append(messages, event.Message{Value: []byte("no event")})
	if _, err := log.Append(context.Background(), eventlog.Events, messages); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatIfIsWhatBruteForceFinds(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &randomWorld{t: t, r: rand.New(rand.NewPCG(seed, 0))}
	w.events(log, 300, 0)
	for round := range 4 {
		before := w.objects()
		q := gateway.WhatIf{Examples: 2}
		after := slices.Clone(before)
		for range 3 {
			i := w.r.IntN(15)
			o := w.link(i)
			if slices.ContainsFunc(q.Objects, func(x resource.Object) bool { return x.Metadata.Name == o.Metadata.Name }) {
				continue
			}
			q.Objects = append(q.Objects, o)
			after = append(others(after, []resource.Object{o}), o)
		}
		gone := before[7+w.r.IntN(15)]
		if !slices.ContainsFunc(q.Objects, func(x resource.Object) bool { return x.Metadata.Name == gone.Metadata.Name }) {
			q.Remove = append(q.Remove, history.ResourceName{Kind: gone.Kind, Name: gone.Metadata.Name})
			after = others(after, []resource.Object{gone})
		}
		for _, p := range w.policies() {
			q.Objects = append(q.Objects, p)
			after = append(others(after, []resource.Object{p}), p)
		}
		perRequest := time.Minute
		if round%2 == 1 {
			perRequest = time.Nanosecond // a few events each
		}
		got, requests := askAll(t, newWhatIfOf(log, &heldResources{7, before}, perRequest), q)
		want := bruteForce(t, log, before, after, func(*event.Record) bool { return true })
		sameFigures(t, got, want)
		if perRequest == time.Minute && requests != 1 || got.Revision != 7 || got.Events != 300 {
			t.Errorf("%d requests, revision %d, %d events", requests, got.Revision, got.Events)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

func TestWhatIfSaysWhy(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	for i := range 5 {
		write(t, log, eventlog.Events, (&event.Event{ID: fmt.Sprint(i), Source: "/s", Type: "t"}).Message())
	}
	before := []resource.Object{functionObject(t, "f", nil), functionObject(t, "g", nil), linkObject(t, "old", "f", "t", nil), linkObject(t, "both", "f", "t", nil)}
	w := newWhatIfOf(log, &heldResources{1, before}, time.Minute)
	got, _ := askAll(t, w, gateway.WhatIf{
		Objects: []resource.Object{
			linkObject(t, "new", "g", "t", nil),
			policyOf(t, "p", `deny contains {"link": "both", "reason": "because"}`),
		},
		Remove: []history.ResourceName{{Kind: "Link", Name: "old"}}, Examples: 2,
	})
	if got.Events != 5 || got.Changed != 5 || len(got.Functions) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []struct {
		d           gateway.Difference
		link        string
		was, is     string
		differences []gateway.Difference
	}{
		{gateway.Difference{Name: "f", Before: 5, Stops: 5}, "both", "type t", "denied by policy p:2: because", got.Functions},
		{gateway.Difference{Name: "g", After: 5, Newly: 5}, "new", "there is no such link", "type t", got.Functions},
		{gateway.Difference{Name: "both", Before: 5, Stops: 5}, "both", "type t", "denied by policy p:2: because", got.Links},
		{gateway.Difference{Name: "new", After: 5, Newly: 5}, "new", "there is no such link", "type t", got.Links},
		{gateway.Difference{Name: "old", Before: 5, Stops: 5}, "old", "type t", "there is no such link", got.Links},
	} {
		at := slices.IndexFunc(want.differences, func(d gateway.Difference) bool { return d.Name == want.d.Name })
		if at < 0 {
			t.Errorf("%d: %s is missing", i, want.d.Name)
			continue
		}
		d := want.differences[at]
		if d.Before != want.d.Before || d.After != want.d.After || d.Newly != want.d.Newly || d.Stops != want.d.Stops || len(d.Examples) != 2 {
			t.Errorf("%d: %+v", i, d)
			continue
		}
		if x := d.Examples[0]; x.Link != want.link || x.Before != want.was || x.After != want.is || x.Source != "/s" || x.Type != "t" || x.Position == "" {
			t.Errorf("%d: %+v", i, x)
		}
	}
}

func TestWhatIfLooksAtWhatIsAskedFor(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	for i := range 20 {
		write(t, log, eventlog.Events, (&event.Event{ID: fmt.Sprint(i), Source: "/s", Type: fmt.Sprintf("t%d", i%2)}).Message())
	}
	var times []time.Time
	err := log.Read(t.Context(), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
		times = append(times, r.Timestamp)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(times, time.Time.Compare)
	since, until := times[3], times[15]
	between := 0
	for _, at := range times {
		if !at.Before(since) && at.Before(until) {
			between++
		}
	}
	w := newWhatIfOf(log, &heldResources{1, []resource.Object{functionObject(t, "f", nil)}}, time.Minute)
	change := []resource.Object{linkObject(t, "l", "f", "*", nil)}
	for name, tt := range map[string]struct {
		q    gateway.WhatIf
		want int64
	}{
		"everything":   {gateway.WhatIf{}, 20},
		"where":        {gateway.WhatIf{Where: "type = 't1'"}, 10},
		"a time range": {gateway.WhatIf{Since: since, Until: until}, int64(between)},
		"the future":   {gateway.WhatIf{Since: time.Now().Add(time.Hour)}, 0},
	} {
		tt.q.Objects = change
		got, _ := askAll(t, w, tt.q)
		if got.Events != tt.want || got.Changed != tt.want {
			t.Errorf("%s: %d events, %d changed, want %d", name, got.Events, got.Changed, tt.want)
		}
	}
	got, err := w.WhatIf(t.Context(), gateway.WhatIf{Objects: change, Limit: 7})
	if err != nil || got.Events != 7 || got.Next == "" {
		t.Errorf("limit: %d events, next %q, %v", got.Events, got.Next, err)
	}
	if rest, _ := askAll(t, w, gateway.WhatIf{Objects: change, Cursor: got.Next}); rest.Events != 13 {
		t.Errorf("after the limit: %d events", rest.Events)
	}
}

func TestWhatIfRefusesWhatMakesNoSense(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	s := &heldResources{5, []resource.Object{functionObject(t, "f", nil)}}
	w := newWhatIfOf(log, s, time.Minute)
	good := linkObject(t, "l", "f", "*", nil)
	for name, tt := range map[string]struct {
		q    gateway.WhatIf
		kind error
		want string
	}{
		"a link's filter":        {gateway.WhatIf{Objects: []resource.Object{linkObject(t, "l", "f", "*", map[string]any{"filters": []any{map[string]any{"sql": "a ="}}})}}, nil, "Link/l: spec.filters[0]"},
		"a policy":               {gateway.WhatIf{Objects: []resource.Object{policyOf(t, "p", "x")}}, nil, "Policy/p"},
		"nothing to remove":      {gateway.WhatIf{Remove: []history.ResourceName{{Kind: "Link", Name: "x"}}}, nil, "Link/x: is not there"},
		"where":                  {gateway.WhatIf{Objects: []resource.Object{good}, Where: "a ="}, gateway.ErrQuery, "where:"},
		"a cursor":               {gateway.WhatIf{Objects: []resource.Object{good}, Cursor: "5/x/y"}, gateway.ErrQuery, "cursor"},
		"a cursor of 4 parts":    {gateway.WhatIf{Objects: []resource.Object{good}, Cursor: "5/x/y/z"}, gateway.ErrQuery, "cursor"},
		"resources that changed": {gateway.WhatIf{Objects: []resource.Object{good}, Cursor: "4//2026-01-01T00:00:00Z/0:0"}, gateway.ErrConflict, "revision 5 now"},
	} {
		_, err := w.WhatIf(t.Context(), tt.q)
		var faults resource.Faults
		if err == nil || !strings.Contains(err.Error(), tt.want) || tt.kind == nil && !errors.As(err, &faults) || tt.kind != nil && !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	<-w.turn // somebody else's request
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.WhatIf(ctx, gateway.WhatIf{Objects: []resource.Object{good}}); !errors.Is(err, context.Canceled) {
		t.Errorf("while another is worked on: %v", err)
	}
}

// TestWhatIfOfManyEvents is the check of a million events (make whatif); by
// itself it takes as many as a test may take time for. SIGNALBOX_WHATIF_EVENTS
// says how many.
func TestWhatIfOfManyEvents(t *testing.T) {
	n := 500
	if s := os.Getenv("SIGNALBOX_WHATIF_EVENTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	log, stop := openLargeLog(t, t.TempDir())
	defer stop()
	w := &randomWorld{t: t, r: rand.New(rand.NewPCG(1, 0))}
	for left := n; left > 0; left -= 5000 {
		w.events(log, min(left, 5000), 600)
	}
	before := w.objects()[:7]
	for i := range 200 { // links of which an event matches a few
		before = append(before, linkObject(t, fmt.Sprintf("m%03d", i), fmt.Sprintf("f%d", i%6), fmt.Sprintf("t.%c", 'a'+i%20),
			map[string]any{"filters": []any{map[string]any{"exact": map[string]any{"tenant": w.pick("a", "b", "c"), "size": fmt.Sprint(i % 10)}}}}))
	}
	for i := range 15 {
		before = append(before, w.link(i))
	}
	before = append(before, policyOf(t, "now", "\ndeny contains {\"link\": \"l03\", \"reason\": \"tenant\"} if input.event.tenant == \"b\""))
	for name, q := range map[string]gateway.WhatIf{
		"links":                       {Objects: []resource.Object{linkObject(t, "l02", "f1", "t.*", nil), linkObject(t, "l90", "f2", "u.*", nil)}, Remove: []history.ResourceName{{Kind: "Link", Name: "l05"}}},
		"a policy that is remembered": {Objects: []resource.Object{policyOf(t, "then", "\ndeny contains {\"reason\": \"x\"} if input.event.subject == \"x\"")}},
		"a policy that reads data":    {Objects: []resource.Object{policyOf(t, "then", "\ntarget contains \"f5\" if input.event.data.n > 7")}},
	} {
		q.Examples = 3
		began, cpu := time.Now(), cpuTime()
		got, requests := askAll(t, newWhatIfOf(log, &heldResources{1, before}, whatIfTime), q)
		t.Logf("%s: %d events in %.1f s (%.1f s of processor, broker included), %d requests; %d changed", name, got.Events, time.Since(began).Seconds(), (cpuTime() - cpu).Seconds(), requests, got.Changed)
		after, err := candidate(before, &q)
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		sameFigures(t, got, bruteForce(t, log, before, after, func(*event.Record) bool { return true }))
		t.Logf("%s: brute force in %.1f s", name, time.Since(began).Seconds())
		if got.Events != int64(n) {
			t.Errorf("%d events, want %d", got.Events, n)
		}
	}
}

// openLargeLog keeps everything.
func openLargeLog(t *testing.T, dir string) (log *eventlog.Log, stop func()) {
	t.Helper()
	broker, err := logbroker.Start(logbroker.Config{DataDir: dir, Listen: "127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.Partitions, cfg.RetentionBytes = []string{broker.Addr()}, true, 10, 8<<30
	if log, err = eventlog.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return log, func() {
		log.Close(context.Background())
		if err := broker.Close(); err != nil {
			t.Errorf("the broker: %v", err)
		}
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
