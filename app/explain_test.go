package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// system is a process with everything embedded, which can be started again on
// the same data, and what its functions and deliveries did.
type system struct {
	t    testing.TB
	opts Options
	app  *App
	*client.Client
	stop func()

	mu sync.Mutex
	// runs are the last run records by event and link, changed is closed and replaced by each.
	runs    map[string]map[string]event.Run
	changed chan struct{}
}

func newSystem(t testing.TB) *system {
	s := &system{t: t, opts: DefaultOptions(), runs: map[string]map[string]event.Run{}, changed: make(chan struct{})}
	s.opts.HTTP, s.opts.KafkaListen, s.opts.RedisListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	s.opts.Data, s.opts.InstanceID, s.opts.DrainTimeout = t.TempDir(), "one", time.Second
	s.opts.KafkaPartitions, s.opts.MaxHops = 3, 3
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *system) start() {
	ready := make(chan Addresses, 1)
	a, err := New(s.opts, Hooks{Ready: func(where Addresses) { ready <- where }, Delivered: s.delivered})
	if err != nil {
		s.t.Fatal(err)
	}
	s.app = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	select {
	case where := <-ready:
		s.Client, err = client.New("http://" + where.HTTP)
	case err = <-done:
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) delivered(r *event.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[r.EventID] == nil {
		s.runs[r.EventID] = map[string]event.Run{}
	}
	s.runs[r.EventID][r.Link] = *r
	close(s.changed)
	s.changed = make(chan struct{})
}

// outcomes are the last ones of an event's links.
func (s *system) outcomes(id string) map[string]event.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]event.Outcome{}
	for link, r := range s.runs[id] {
		found[link] = r.Outcome
	}
	return found
}

// await waits for the outcomes of an event.
func (s *system) await(id string, want map[string]event.Outcome) {
	s.t.Helper()
	late := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		got := s.outcomes(id)
		if maps.Equal(got, want) {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("event %s: %v, want %v", id, got, want)
		}
	}
}

func (s *system) apply(objects ...resource.Object) (revision uint64) {
	s.t.Helper()
	stored, err := s.Apply(s.t.Context(), objects, false)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range stored {
		revision = max(revision, o.Metadata.Revision)
	}
	s.inForce()
	return revision
}

// inForce waits until what was written is in force: the API waits for a moment only,
// and a busy machine may need longer to compile policies.
func (s *system) inForce() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	revision, err := s.app.ledger.Revision(ctx)
	if err == nil {
		err = s.app.reloads.reach(ctx, revision)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// answers is what functions do, by the path of their URL.
func answers(t testing.TB) string {
	var mu sync.Mutex
	seen := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		mu.Lock()
		again := seen[r.URL.Path+id]
		seen[r.URL.Path+id] = true
		mu.Unlock()
		reply, isReply := strings.CutPrefix(r.URL.Path, "/reply/")
		switch {
		case isReply:
			for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "any", "ce-source": "/functions", "ce-type": reply} {
				w.Header().Set(name, value)
			}
		case r.URL.Path == "/refuse", r.URL.Path == "/once" && !again:
			http.Error(w, "no", http.StatusBadRequest)
		case r.URL.Path == "/fail", r.URL.Path == "/flaky" && !again:
			http.Error(w, "out of order", http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// fate is what is to become of events of one kind.
type fate struct {
	name  string
	typ   string
	ext   map[string]string
	twice bool
	// links are the last outcomes, by link; held is the limit that one of them names.
	links map[string]event.Outcome
	held  string
	// misses are links that must not have matched, and what their Why says.
	misses map[string]string
	// paused are links that matched and kept it for later.
	paused []string
	// error is why nothing was chosen, letters how many dead letters there are by state.
	error   string
	letters map[string]int
	// effects and causes count the other events of its chain.
	effects, causes int
	// since is what became of the links that it went to.
	since string
	// state is done unless said.
	state string
}

const (
	delivered = event.Delivered
	dead      = event.Dead
	dropped   = event.Dropped
	waiting   = event.Waiting
	retrying  = event.Retrying
)

type outcomes = map[string]event.Outcome

// mixed are the fates of the test: phase 2 is after the resources were changed.
func mixed(phase int) []fate {
	all := []fate{
		{name: "nothing matches", typ: "t.nothing", misses: map[string]string{"ok": `type "t.nothing"`}},
		{name: "delivered, beside a near miss", typ: "t.ok", links: outcomes{"ok": delivered}, misses: map[string]string{"near": "filter spec.filters[0].exact.tenant"}},
		{name: "a filter that holds", typ: "t.ok", ext: map[string]string{"tenant": "acme"}, links: outcomes{"ok": delivered, "near": delivered}},
		{name: "retried", typ: "t.flaky", links: outcomes{"flaky": delivered}},
		{name: "refused by the function", typ: "t.dead", links: outcomes{"refuse": dead}, letters: map[string]int{"open": 1}},
		{name: "out of attempts", typ: "t.fail", links: outcomes{"fail": dead}, held: "attempts", letters: map[string]int{"open": 1}},
		{name: "waits for its next attempt", typ: "t.later", links: outcomes{"later": retrying}, held: "retry", state: "open"},
		{name: "to be delivered later", typ: "t.ok", ext: map[string]string{"deliverafter": "2099-01-01T00:00:00Z"}, links: outcomes{"ok": waiting}, held: "delay", state: "open", misses: map[string]string{"near": "filter"}},
		{name: "expired", typ: "t.ok", ext: map[string]string{"expirytime": "2020-01-01T00:00:00Z"}, links: outcomes{"ok": dropped}, held: "expired"},
		{name: "a copy", typ: "t.ok", twice: true, links: outcomes{"ok": delivered}},
		{name: "added by a policy", typ: "t.target", links: outcomes{"policy:extra/ok": delivered}},
		{name: "a policy that fails", typ: "t.broken", error: "trigger policy broken failed", letters: map[string]int{"open": 1}},
		{name: "a loop", typ: "t.loop", links: outcomes{"loop": delivered}, effects: 4},
		{name: "a chain", typ: "t.root", links: outcomes{"root": delivered}, effects: 1},
		{name: "two versions", typ: "t.split", links: outcomes{"split": delivered}},
		{name: "judged by the clock", typ: "t.clock", links: outcomes{"clock": delivered}},
	}
	if phase == 1 {
		return append(all,
			fate{name: "denied", typ: "t.ok", ext: map[string]string{"freeze": "true"}, links: outcomes{"ok": dropped}, misses: map[string]string{"ok": "denied by policy freeze:"}},
			fate{name: "a link that goes later", typ: "t.gone", links: outcomes{"gone": delivered}, since: "gone since"},
			fate{name: "a link that changes later", typ: "t.moved", links: outcomes{"moved": delivered}, since: "changed since, at revision 5"},
			fate{name: "paused then", typ: "t.paused", paused: []string{"paused"}},
		)
	}
	return append(all,
		fate{name: "denied no more", typ: "t.ok", ext: map[string]string{"freeze": "true"}, links: outcomes{"ok": delivered}},
		fate{name: "a link that went", typ: "t.gone"},
		fate{name: "a link that changed", typ: "t.moved", misses: map[string]string{"moved": `type "t.moved"`}},
		fate{name: "paused no more", typ: "t.paused", links: outcomes{"paused": delivered}},
	)
}

// sent is an event of the test and what was to become of it.
type sent struct {
	id       string
	fate     fate
	revision uint64
}

func (s *system) send(phase, n int, revision uint64) (all []sent) {
	for _, f := range mixed(phase) {
		for i := range n {
			e := &event.Event{ID: fmt.Sprintf("%s %d.%d", f.name, phase, i), Source: "/test", Type: f.typ, Subject: fmt.Sprint("key ", i)}
			for k, v := range f.ext {
				e.SetExtension(k, v)
			}
			for range 1 + map[bool]int{true: 1}[f.twice] {
				if err := s.Emit(s.t.Context(), e); err != nil {
					s.t.Fatalf("%s: %v", f.name, err)
				}
			}
			all = append(all, sent{e.ID, f, revision})
		}
	}
	for _, one := range all {
		if len(one.fate.links) > 0 {
			s.await(one.id, one.fate.links)
		}
	}
	return all
}

func mixedResources(t testing.TB, functions string) []resource.Object {
	link := func(name, function, typ string, more map[string]any) resource.Object {
		return linkObject(t, name, function, typ, more)
	}
	fn := func(name, path string, more map[string]any) resource.Object {
		spec := map[string]any{"url": functions + path}
		maps.Copy(spec, more)
		return objectOf(t, resource.KindFunction, name, spec)
	}
	soon := map[string]any{"delivery": map[string]any{"attempts": 3, "backoff": map[string]any{"initial": "1ms", "max": "2ms"}}}
	slowly := map[string]any{"delivery": map[string]any{"backoff": map[string]any{"initial": "1h", "max": "1h"}}}
	return []resource.Object{
		fn("ok", "/ok", nil), fn("refuse", "/refuse", nil), fn("fail", "/fail", nil), fn("later", "/fail", nil), fn("flaky", "/flaky", nil),
		fn("loop", "/reply/t.loop", nil), fn("root", "/reply/t.child", nil), fn("once", "/once", nil),
		fn("split", "/ok", map[string]any{"version": "v1"}),
		link("ok", "ok", "t.ok", nil), link("near", "ok", "t.ok", map[string]any{"filters": []any{map[string]any{"exact": map[string]any{"tenant": "acme"}}}}),
		link("flaky", "flaky", "t.flaky", soon), link("refuse", "refuse", "t.dead", nil), link("fail", "fail", "t.fail", soon), link("later", "later", "t.later", slowly),
		link("loop", "loop", "t.loop", nil), link("root", "root", "t.root", nil), link("child", "ok", "t.child", nil), link("split", "split", "t.split", nil),
		link("once", "once", "t.once", nil),
		link("gone", "ok", "t.gone", nil), link("moved", "ok", "t.moved", nil), link("paused", "ok", "t.paused", map[string]any{"paused": true}),
		link("clock", "ok", "t.clock", nil),
		policyOf(t, "freeze", `deny contains {"link": "ok", "reason": "frozen"} if input.event.freeze == true`),
		policyOf(t, "extra", `target contains {"function": "ok", "reason": "extra"} if input.event.type == "t.target"`),
		policyOf(t, "broken", `deny contains 5 if input.event.type == "t.broken"`),
		policyOf(t, "clock", `deny contains {"link": "clock", "reason": "too early"} if {
			input.event.type == "t.clock"
			time.parse_rfc3339_ns(input.time) < time.parse_rfc3339_ns("2026-01-01T00:00:00Z")
		}`),
	}
}

// TestEveryDecisionIsExplained sends events of all fates, changes resources and
// starts anew in between, and wants of every one the explanation of what happened.
func TestEveryDecisionIsExplained(t *testing.T) {
	s, functions := newSystem(t), answers(t)
	n := 4 // events of each fate and phase
	if underRace {
		n = 1
	}
	first := s.apply(mixedResources(t, functions)...)
	first = max(first, s.apply(functionObject(t, "split", map[string]any{
		"url": functions + "/ok", "version": "v2",
		"traffic": []any{map[string]any{"version": "v1", "weight": 50}, map[string]any{"version": "v2", "weight": 50}},
	})))
	all := s.send(1, n, first)
	once := s.redriven(t, first)

	s.remove(t, resource.KindLink, "gone")
	s.remove(t, resource.KindPolicy, "freeze")
	second := s.apply(linkObject(t, "moved", "ok", "t.elsewhere", nil), linkObject(t, "paused", "ok", "t.paused", nil))
	for _, one := range all { // what was kept for a paused link comes now
		if len(one.fate.paused) > 0 {
			s.await(one.id, outcomes{"paused": delivered})
		}
	}
	all = append(all, s.send(2, n, second)...)
	s.stop()
	s.start()
	all = append(all, s.send(3, n, second+1)...) // healing an emptied Redis is a change

	explained := 0
	for _, one := range all {
		if s.explained(&one) {
			explained++
		}
	}
	t.Logf("%d of %d events explained", explained, len(all))
	s.explained(&once)
}

func (s *system) remove(t *testing.T, kind, name string) {
	k, err := resource.LookupKind(kind)
	if err == nil {
		err = s.Delete(t.Context(), k, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.inForce()
}

// redriven sends an event that is a dead letter first and delivered when it is redriven.
func (s *system) redriven(t *testing.T, revision uint64) sent {
	e := &event.Event{ID: "redriven", Source: "/test", Type: "t.once"}
	if err := s.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	s.await(e.ID, outcomes{"once": dead})
	if _, err := s.DecideDeadLetters(t.Context(), client.Query{Function: "once"}, false, client.LetterAction{Action: event.Redrive}, nil); err != nil {
		t.Fatal(err)
	}
	s.await(e.ID, outcomes{"once": delivered})
	return sent{e.ID, fate{name: e.ID, typ: e.Type, links: outcomes{"once": delivered}, letters: map[string]int{"redriven": 1}}, revision}
}

// explained compares the explanation of an event with what became of it, until
// all its records are there.
func (s *system) explained(one *sent) bool {
	s.t.Helper()
	var faults []string
	for late := time.Now().Add(20 * time.Second); ; {
		x, err := s.Explain(s.t.Context(), "/test", one.id)
		if faults = one.compare(&x, s.outcomes(one.id)); err != nil {
			faults = []string{err.Error()}
		}
		if len(faults) == 0 || time.Now().After(late) {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	for _, f := range faults {
		s.t.Errorf("%s: %s", one.id, f)
	}
	return len(faults) == 0
}

func (one *sent) compare(x *client.Explanation, happened outcomes) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	f := &one.fate
	if x.Revision != one.revision {
		fault("by revision %d (%s), want %d", x.Revision, x.Known, one.revision)
	}
	if x.Known == "estimated" || x.Known == "present" {
		fault("the revision is known as %s", x.Known)
	}
	if len(x.Differences) > 0 {
		fault("differences: %q", x.Differences)
	}
	if want := history.State(max(f.state, "done")); x.State != want {
		fault("state %s, want %s", x.State, want)
	}
	if (f.error == "") != (x.Error == "") || !strings.Contains(x.Error, f.error) {
		fault("error %q, want %q", x.Error, f.error)
	}
	if x.Dedup.Verdict != "first" || x.Dedup.First != x.Position.String() || (len(x.Dedup.Duplicates) == 1) != f.twice {
		fault("dedup %+v at %s", x.Dedup, x.Position)
	}
	if !x.Admission.Allowed || x.Admission.Now != nil {
		fault("admission %+v", x.Admission)
	}
	got := outcomes{}
	rest := false
	for _, l := range x.Links {
		if l.Outcome != "" {
			got[l.Name] = l.Outcome
		}
		if rest && l.Chosen {
			fault("link %s is chosen and stands behind others", l.Name)
		}
		rest = rest || !l.Chosen
		denied := strings.Contains(f.misses[l.Name], "denied")
		_, chosen := f.links[l.Name]
		paused := slices.Contains(f.paused, l.Name)
		if want := chosen && !denied || paused; l.Matched != want {
			fault("link %s: matched %t (%s)", l.Name, l.Matched, l.Why)
		}
		if why, ok := f.misses[l.Name]; ok && !strings.Contains(l.Why, why) {
			fault("link %s: %s, want %s", l.Name, l.Why, why)
		}
		if chosen && f.held != "" && l.Limit != f.held {
			fault("link %s: limit %q, want %s", l.Name, l.Limit, f.held)
		}
		if chosen && l.Since != f.since {
			fault("link %s: since %q, want %q", l.Name, l.Since, f.since)
		}
		if chosen && f.state == "open" && (l.Waiting == nil || l.Waiting.Where != "parked") {
			fault("link %s: waiting %+v", l.Name, l.Waiting)
		}
	}
	if !maps.Equal(got, happened) {
		fault("outcomes %v, and what happened is %v", got, happened)
	}
	letters := map[string]int{}
	for _, d := range x.Letters {
		letters[string(d.State)]++
	}
	if !maps.Equal(letters, f.letters) {
		fault("dead letters %v, want %v", letters, f.letters)
	}
	if len(x.Chain.Effects) != f.effects || len(x.Chain.Causes) != f.causes {
		fault("chain %+v, want %d causes and %d effects", x.Chain, f.causes, f.effects)
	}
	return faults
}

// TestAnEventThatNobodyHasComeToIsPending stops the dispatcher by a process that
// is a gateway only.
func TestAnEventThatNobodyHasComeToIsPending(t *testing.T) {
	s := newSystem(t)
	s.apply(functionObject(t, "ok", map[string]any{"on": []string{"t.ok"}}))
	s.stop()
	s.opts.Roles = []string{RoleGateway}
	s.start()
	for i := range 3 {
		if err := s.Emit(t.Context(), &event.Event{ID: fmt.Sprint(i), Source: "/test", Type: "t.ok", Subject: "one key"}); err != nil {
			t.Fatal(err)
		}
	}
	x, err := s.Explain(t.Context(), "/test", "2")
	if err != nil || x.State != "pending" || x.Behind != 2 || x.Known != "present" || len(x.Links) != 1 || !x.Links[0].Chosen || x.Dedup.Verdict != "unknown" {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestWhatIsRecordedWinsOverWhatIsJudgedAgain has policies that read chance: the
// record stands, and a note says that it comes out otherwise now.
func TestWhatIsRecordedWinsOverWhatIsJudgedAgain(t *testing.T) {
	s, functions := newSystem(t), answers(t)
	s.apply(
		functionObject(t, "ok", map[string]any{"url": functions + "/ok", "on": []string{"t.ok"}}),
		policyOf(t, "dice", `deny contains {"link": "ok", "reason": "bad luck"} if {
			input.event.type == "t.ok"
			rand.intn("dice", 2) == 0
		}`))
	told := map[bool]int{}
	for i := 0; told[true] == 0 || told[false] == 0; i++ {
		id := fmt.Sprint(i)
		if err := s.Emit(t.Context(), &event.Event{ID: id, Source: "/test", Type: "t.ok"}); err != nil || i > 200 {
			t.Fatal(i, err, told)
		}
		s.awaitAny(id)
		var x client.Explanation
		s.eventually(func() error {
			var err error
			if x, err = s.Explain(t.Context(), "/test", id); err == nil && len(x.Links[0].Deliveries) == 0 {
				err = fmt.Errorf("%+v", x)
			}
			return err
		})
		happened := s.outcomes(id)["ok"]
		l := x.Links[0]
		if l.Matched != (happened == delivered) || l.Outcome != happened {
			t.Errorf("%s: it was %s, explained as %+v", id, happened, l)
		}
		told[len(x.Differences) > 0]++
	}
}

// eventually tries for some time: records are written beside the work.
func (s *system) eventually(try func() error) {
	s.t.Helper()
	late := time.After(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			s.t.Fatal(err)
		}
	}
}

// awaitAny waits for any outcome of an event.
func (s *system) awaitAny(id string) {
	s.t.Helper()
	late := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if len(s.outcomes(id)) > 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("nothing came of event %s", id)
		}
	}
}

func TestAChainIsToldUpAndDown(t *testing.T) {
	s, functions := newSystem(t), answers(t)
	s.apply(
		functionObject(t, "a", map[string]any{"url": functions + "/reply/t.b", "on": []string{"t.a"}}),
		functionObject(t, "b", map[string]any{"url": functions + "/reply/t.c", "on": []string{"t.b"}}),
		functionObject(t, "c", map[string]any{"url": functions + "/ok", "on": []string{"t.c"}}),
		functionObject(t, "d", map[string]any{"url": functions + "/refuse", "on": []string{"t.c"}}))
	if err := s.Emit(t.Context(), &event.Event{ID: "root", Source: "/test", Type: "t.a"}); err != nil {
		t.Fatal(err)
	}
	var down history.Chain
	s.eventually(func() error { // the records of runs are written beside the work, in no order
		x, err := s.Explain(t.Context(), "/test", "root")
		want := []string{"1 t.b by a: 1 delivered", "2 t.c by b: 1 delivered, 1 dead"}
		if down = x.Chain; err != nil || !slices.Equal(steps(down.Effects), want) || len(down.Causes) > 0 || down.Cut != "" {
			return fmt.Errorf("down %+v, %w", down, err)
		}
		return nil
	})
	var x client.Explanation
	s.eventually(func() (err error) {
		x, err = s.Explain(t.Context(), "", down.Effects[1].ID)
		if want := []string{"1 t.b by b: 1 delivered", "2 t.a by a: 1 delivered"}; err != nil || !slices.Equal(steps(x.Chain.Causes), want) {
			return fmt.Errorf("up %+v, %w", x.Chain, err)
		}
		return nil
	})
	if !strings.Contains(x.Admission.Via, "the answer of a function, by link b") || x.Admission.Asked {
		t.Errorf("admission %+v", x.Admission)
	}
}

func steps(all []history.ChainStep) (told []string) {
	for _, c := range all {
		told = append(told, fmt.Sprintf("%d %s by %s: %s", c.Depth, c.Type, c.Link, c.Outcome))
	}
	return told
}

func TestARefusedEventIsExplainedAsRefused(t *testing.T) {
	s := newSystem(t)
	s.apply(objectOf(t, resource.KindPolicy, "door", map[string]any{"rego": "package signalbox.admission\ndeny contains \"closed\" if input.event.type == \"t.no\""}))
	e := &event.Event{ID: "no", Source: "/test", Type: "t.no"}
	for range 2 {
		if err := s.Emit(t.Context(), e); err == nil {
			t.Fatal("it was let in")
		}
	}
	s.eventually(func() error {
		_, err := s.Explain(t.Context(), "/test", "no")
		if client.IsNotFound(err) && strings.Contains(err.Error(), "refused") && strings.Contains(err.Error(), "by door: closed (and 1 time(s) before)") {
			return nil
		}
		return fmt.Errorf("explained as %w", err)
	})
	if _, err := s.Explain(t.Context(), "/test", "never"); !client.IsNotFound(err) || !strings.Contains(err.Error(), "looked at") {
		t.Errorf("an event that there never was: %v", err)
	}
	// Let in later, by policies that were changed, it says so.
	s.apply(objectOf(t, resource.KindPolicy, "door", map[string]any{"rego": "package signalbox.admission\ndeny contains \"closed\" if input.event.type == \"t.other\""}))
	if err := s.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	x, err := s.Explain(t.Context(), "/test", "no")
	if err != nil || len(x.Admission.Refused) != 2 || !x.Admission.Allowed {
		t.Errorf("%+v, %v", x.Admission, err)
	}
}

func TestAKeyThatWaitsIsNamed(t *testing.T) {
	s, functions := newSystem(t), answers(t)
	s.apply(functionObject(t, "refuse", map[string]any{"url": functions + "/refuse"}), linkObject(t, "ordered", "refuse", "t.ordered", map[string]any{"order": "key"}))
	for _, id := range []string{"first", "second"} {
		if err := s.Emit(t.Context(), &event.Event{ID: id, Source: "/test", Type: "t.ordered", Subject: "one key"}); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually(func() error {
		first, err := s.Explain(t.Context(), "/test", "first")
		second, err2 := s.Explain(t.Context(), "/test", "second")
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		if len(first.Letters) != 1 || !first.Letters[0].Held || first.Letters[0].State != "open" || first.State != "done" {
			return fmt.Errorf("the dead letter: %+v", first)
		}
		l := second.Links[0]
		if l.Limit != "order" || l.Waiting == nil || l.Waiting.Where != "parked" || second.State != "open" {
			return fmt.Errorf("the one that waits: %+v", second)
		}
		return nil
	})
}
