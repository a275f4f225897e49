package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

// parkedHere keeps what is parked, or refuses it.
type parkedHere struct {
	// during, unless nil, is called by each Park.
	during func()

	mu   sync.Mutex
	err  error
	all  []event.Parked
	into []string
	// trace is the trace context of the last one.
	trace string
}

func (p *parkedHere) Park(function string, partition int32, m event.Message, done func(event.Position, error)) {
	if p.during != nil {
		p.during()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	parked, err := event.ParseParked(m)
	if err == nil {
		err = p.err
	}
	if err == nil {
		parent, _ := m.Header("traceparent")
		state, _ := m.Header("tracestate")
		p.trace = fmt.Sprintf("%s %s", parent, state)
		p.all, p.into = append(p.all, parked), append(p.into, fmt.Sprintf("%s/%d", function, partition))
	}
	done(event.Position{}, err)
}

// functionsHere are the functions there are: name to version.
type functionsHere map[string]string

func (f functionsHere) List(context.Context, string) ([]resource.Object, error) {
	var all []resource.Object
	for name, version := range f {
		spec, _ := json.Marshal(resource.FunctionSpec{Version: version, URL: "http://127.0.0.1:9/"})
		all = append(all, resource.Object{Kind: resource.KindFunction, Metadata: resource.Metadata{Name: name}, Spec: spec})
	}
	return all, nil
}

// desk is a desk on a log of its own, with function f at v2.
func desk(t *testing.T, log *eventlog.Log) (*letterDesk, *parkedHere) {
	t.Helper()
	p := &parkedHere{}
	return &letterDesk{
		log: log, index: newLetterIndex(log, quiet(), nil), parked: p, functions: functionsHere{"f": "v2"},
		now: time.Now, logger: quiet(), busy: map[string]bool{},
	}, p
}

var (
	redrive = gateway.Decision{Action: event.Redrive}
	drop    = gateway.Decision{Action: event.Drop}
)

func TestARedriveParksTheDeliveryOnce(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	l := letter(5, func(l *event.DeadLetter) {
		l.Key, l.Redrive = []byte("k"), 1
		l.TraceParent, l.TraceState = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1"
	})
	write(t, log, eventlog.Dead, l.Message())
	began := time.Now()
	if got, err := d.Decide(t.Context(), l.ID, gateway.Decision{Action: event.Redrive, DryRun: true}); err != nil || !got.DryRun || len(parked.all) > 0 {
		t.Fatalf("dry run: %+v, %v", got, err)
	}
	if got, err := d.Decide(t.Context(), l.ID, redrive); err != nil || got.Already || got.State != gateway.LetterRedriven {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(parked.all) != 1 || parked.into[0] != "f/2" {
		t.Fatalf("parked %v", parked.into)
	}
	if want := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=1"; parked.trace != want {
		t.Errorf("parked with the trace context %q, want %q", parked.trace, want)
	}
	p := parked.all[0]
	if p.Event.ID != "e5" || p.Link != "l" || p.Version != "" || p.Position != "2:5" || string(p.Key) != "k" || p.Revision != 7 ||
		p.Attempt != 0 || p.Attempts != nil || p.Reason != event.ParkRedrive || p.Letter != l.ID || p.Redrive != 2 || p.Accepted.Before(began) {
		t.Errorf("%+v", p)
	}
	if got, err := d.Decide(t.Context(), l.ID, redrive); err != nil || !got.Already || len(parked.all) != 1 {
		t.Errorf("the second time: %+v, %v, %d parked", got, err, len(parked.all))
	}
	if _, err := d.Decide(t.Context(), l.ID, drop); !errors.Is(err, gateway.ErrDecided) {
		t.Errorf("dropped afterwards: %v", err)
	}
	if _, err := d.Decide(t.Context(), "none", redrive); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("one that does not exist: %v", err)
	}
	again, _ := desk(t, log) // another process, later
	if got, err := again.Decide(t.Context(), l.ID, redrive); err != nil || !got.Already {
		t.Errorf("by another process: %+v, %v", got, err)
	}
}

func TestARedriveMayChangeTheEventAndTheVersion(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	edited := &event.Event{ID: "e5", Source: "/s", Type: "t", Data: []byte("{}"), DataContentType: "application/json"}
	if _, err := d.Decide(t.Context(), l.ID, gateway.Decision{Action: event.Redrive, Version: "v1"}); !errors.Is(err, gateway.ErrNotRedrivable) || !strings.Contains(err.Error(), `want "v2"`) {
		t.Errorf("to a version that is not there: %v", err)
	}
	d.functions = functionsHere{"f": "v2", "f@v0": "v0"}
	if _, err := d.Decide(t.Context(), l.ID, gateway.Decision{Action: event.Redrive, Version: "v1"}); !errors.Is(err, gateway.ErrNotRedrivable) || !strings.Contains(err.Error(), `want one of "v2", "v0"`) {
		t.Errorf("to a version that is not among those kept: %v", err)
	}
	if _, err := d.Decide(t.Context(), l.ID, gateway.Decision{Action: event.Redrive, Version: "v0", DryRun: true}); err != nil {
		t.Errorf("to a version that is kept: %v", err)
	}
	if _, err := d.Decide(t.Context(), l.ID, gateway.Decision{Action: event.Redrive, Version: "v2", Event: edited}); err != nil {
		t.Fatal(err)
	}
	if p := parked.all[0]; p.Version != "v2" || string(p.Event.Data) != "{}" || p.Position != "2:5" {
		t.Errorf("%+v", p)
	}
	got, err := d.DeadLetter(t.Context(), l.ID)
	if err != nil || got.State != gateway.LetterRedriven || got.Resolution.Version != "v2" || string(got.Resolution.Event.Data) != "{}" || got.Event.Data != nil {
		t.Errorf("%+v %+v, %v", got, got.Resolution, err)
	}
}

func TestADropAndAHeldOneParkNothing(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	dropped, held := letter(1), letter(2, func(l *event.DeadLetter) { l.Held, l.Key = true, []byte("k") })
	write(t, log, eventlog.Dead, dropped.Message(), held.Message())
	if got, err := d.Decide(t.Context(), dropped.ID, drop); err != nil || got.State != gateway.LetterDropped {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := d.Decide(t.Context(), held.ID, gateway.Decision{Action: event.Redrive, Version: "v2"}); err != nil || got.State != gateway.LetterRedriven {
		t.Errorf("%+v, %v", got, err)
	}
	if len(parked.all) > 0 {
		t.Errorf("parked %+v", parked.all)
	}
	if err := d.index.refresh(t.Context()); err != nil { // it is not followed here
		t.Fatal(err)
	}
	if s, r := stateOf(t, d.index, held.ID); s != letterResolved || r.Action != event.Redrive || r.Version != "v2" {
		t.Errorf("%v %+v", s, r)
	}
}

func TestWhatCannotBeRedrivenStaysOpenAndSaysWhy(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	noFunction := func(l *event.DeadLetter) { l.Link, l.Function = "", "" }
	gone := letter(1, func(l *event.DeadLetter) { l.Function = "gone" })
	raw := letter(2, noFunction, func(l *event.DeadLetter) { l.Event, l.Raw = nil, event.Message{Value: []byte("junk")} })
	refused := letter(3, noFunction)
	lost := letter(4, func(l *event.DeadLetter) { l.Position = "" })
	write(t, log, eventlog.Dead, gone.Message(), raw.Message(), refused.Message(), lost.Message())
	for _, c := range []struct {
		id, want string
		decision gateway.Decision
	}{
		{gone.ID, "there is no function gone any more", redrive},
		{raw.ID, "send an event in its place", redrive},
		{refused.ID, "goes to no version", gateway.Decision{Action: event.Redrive, Version: "v2"}},
		{refused.ID, "give the event another id", gateway.Decision{Action: event.Redrive, Event: refused.Event}},
		{lost.ID, "which event of the log", redrive},
	} {
		if _, err := d.Decide(t.Context(), c.id, c.decision); !errors.Is(err, gateway.ErrNotRedrivable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if got, err := d.DeadLetter(t.Context(), c.id); err != nil || got.State != gateway.LetterOpen {
			t.Errorf("%s is %v, %v", c.id, got.State, err)
		}
	}
	tally, err := d.DecideAll(t.Context(), gateway.Query{Limit: 100}, redrive)
	if err != nil || tally.Failed != 3 || tally.Redriven != 1 || len(tally.Failures) != 3 || len(parked.all) > 0 {
		t.Errorf("%+v, %v", tally, err)
	}
}

func TestAnEventThatNoFunctionWasChosenForIsSentAgain(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	noFunction := func(l *event.DeadLetter) { l.Link, l.Function = "", "" }
	refused := letter(3, noFunction)
	raw := letter(2, noFunction, func(l *event.DeadLetter) { l.Event, l.Raw = nil, event.Message{Value: []byte("junk")} })
	write(t, log, eventlog.Dead, refused.Message(), raw.Message())
	if _, err := d.Decide(t.Context(), refused.ID, redrive); err != nil {
		t.Error(err)
	}
	if _, err := d.Decide(t.Context(), raw.ID, gateway.Decision{Action: event.Redrive, Event: &event.Event{ID: "new", Source: "/s", Type: "t"}}); err != nil {
		t.Error(err)
	}
	sent := map[string]string{}
	err := log.Read(t.Context(), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
		of, _ := r.Event.Extension(extRedriveOf)
		sent[r.Event.ID] = of
		return nil
	})
	if err != nil || len(sent) != 2 || sent["redrive-"+refused.ID] != "e3" || len(parked.all) > 0 {
		t.Errorf("sent %v, %v", sent, err)
	}
	if _, ok := sent["new"]; !ok {
		t.Errorf("sent %v", sent)
	}
}

func TestWhatCouldNotBeParkedCanBeTriedAgain(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	d.claims = ledger.NewMemoryDedup(time.Hour, 1024)
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	parked.err = fmt.Errorf("full: %w", eventlog.ErrBacklog)
	if _, err := d.Decide(t.Context(), l.ID, redrive); !errors.Is(err, gateway.ErrBacklog) {
		t.Errorf("%v", err)
	}
	parked.err = nil
	if got, err := d.Decide(t.Context(), l.ID, redrive); err != nil || got.Already || len(parked.all) != 1 {
		t.Errorf("%+v, %v, %d parked", got, err, len(parked.all))
	}
}

func TestSeveralProcessesRedriveOneDeadLetterOnce(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	claims := ledger.NewMemoryDedup(time.Hour, 1024)
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	const processes, requests = 3, 4
	var parked []*parkedHere
	answers := make(chan error, processes*requests)
	for n := range processes {
		d, p := desk(t, log)
		d.claims, d.nonce = claims, event.Position{Partition: int32(n)}
		parked = append(parked, p)
		for range requests {
			go func() { _, err := d.Decide(t.Context(), l.ID, redrive); answers <- err }()
		}
	}
	for range processes * requests {
		if err := <-answers; err != nil && !errors.Is(err, errDecidedElsewhere) {
			t.Error(err)
		}
	}
	if n := len(parked[0].all) + len(parked[1].all) + len(parked[2].all); n != 1 {
		t.Errorf("parked %d times", n)
	}
}

func TestWhileOneRequestIsAtItAnotherIsToldSo(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	parked.during = func() {
		parked.during = nil
		if tally, err := d.DecideAll(t.Context(), gateway.Query{Limit: 10}, gateway.Decision{Action: event.Redrive, DryRun: true}); err != nil || tally.Failed != 1 {
			t.Errorf("meanwhile: %+v, %v", tally, err)
		}
	}
	if _, err := d.Decide(t.Context(), l.ID, redrive); err != nil || len(parked.all) != 1 {
		t.Errorf("%v, %d parked", err, len(parked.all))
	}
}

func TestADecisionMadeSinceTheDeadLetterWasReadHolds(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	read, err := d.DeadLetter(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	write(t, log, eventlog.Dead, resolution(l.ID, event.Drop))
	got, err := d.decide(t.Context(), []gateway.Letter{read}, redrive)
	if err != nil || !got[0].already || got[0].state != gateway.LetterDropped || len(parked.all) > 0 {
		t.Errorf("%+v, %v, %d parked", got, err, len(parked.all))
	}
}

// claimedElsewhere has every claim of another process.
type claimedElsewhere struct{ err error }

func (c claimedElsewhere) Claim(_ context.Context, recs []event.Record, out []event.Verdict) error {
	for i := range recs {
		out[i] = event.Duplicate
	}
	return c.err
}

func TestAClaimOfAnotherProcessKeepsTheDeadLetterFromThisOne(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	clock := time.Now()
	d.now = func() time.Time { clock = clock.Add(otherWait / 2); return clock }
	d.claims = claimedElsewhere{}
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	if _, err := d.Decide(t.Context(), l.ID, redrive); !errors.Is(err, gateway.ErrUnavailable) || len(parked.all) > 0 {
		t.Errorf("%v, %d parked", err, len(parked.all))
	}
	d.claims = claimedElsewhere{err: errors.New("Redis is away")}
	if _, err := d.Decide(t.Context(), l.ID, redrive); err != nil || len(parked.all) != 1 {
		t.Errorf("without the ledger: %v, %d parked", err, len(parked.all))
	}
}

func TestManyAreRedrivenPartByPart(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, parked := desk(t, log)
	const n = 40
	for i := range int64(n) {
		l := letter(i)
		write(t, log, eventlog.Dead, l.Message())
		if i == 7 {
			write(t, log, eventlog.Dead, l.Message(), resolution(l.ID, event.Drop)) // and written twice
		}
	}
	even := func(e *event.Event) bool { return e.Subject == "s0" }
	if tally, err := d.DecideAll(t.Context(), gateway.Query{Limit: n, Where: even}, gateway.Decision{Action: event.Redrive, DryRun: true}); err != nil || tally.Redriven != n/2 || len(parked.all) > 0 {
		t.Fatalf("dry run: %+v, %v", tally, err)
	}
	var redriven, already int
	q := gateway.Query{Limit: 15}
	for calls := 1; ; calls++ {
		tally, err := d.DecideAll(t.Context(), q, redrive)
		if err != nil || tally.Scanned > 15 || tally.Failed > 0 {
			t.Fatalf("%+v, %v", tally, err)
		}
		redriven, already = redriven+tally.Redriven, already+tally.Already
		if calls == 1 { // dies again while the others are under way
			l := letter(3, func(l *event.DeadLetter) { l.ID, l.Redrive = l.ID+"-r1", 1 })
			write(t, log, eventlog.Dead, l.Message())
		}
		if q.Cursor = tally.Next; q.Cursor == "" {
			break
		}
		if calls > n {
			t.Fatal("it never ends")
		}
	}
	if redriven != n-1 || already != 2 || len(parked.all) != n-1 {
		t.Errorf("%d redriven, %d already, %d parked: want %d, 2, %d", redriven, already, len(parked.all), n-1, n-1)
	}
	open, err := d.DeadLetters(t.Context(), gateway.Query{Limit: 100, State: gateway.LetterOpen})
	if err != nil || len(open.Items) != 1 || open.Items[0].Redrive != 1 {
		t.Errorf("open: %+v, %v", open.Items, err)
	}
	if tally, err := d.DecideAll(t.Context(), gateway.Query{Limit: 100}, redrive); err != nil || tally.Redriven != 1 {
		t.Errorf("the next time: %+v, %v", tally, err)
	}
	if _, err := d.DecideAll(t.Context(), gateway.Query{Limit: 1, Cursor: "0:1"}, redrive); !errors.Is(err, gateway.ErrQuery) {
		t.Errorf("a cursor of a list: %v", err)
	}
}

func TestARedriveReachesTheParkedTopic(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	d, _ := desk(t, log)
	d.parked = log
	l := letter(5)
	write(t, log, eventlog.Dead, l.Message())
	if _, err := d.Decide(t.Context(), l.ID, redrive); err != nil {
		t.Fatal(err)
	}
	var found []event.Parked
	err := log.Read(t.Context(), eventlog.Parked("f"), eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
		p, err := event.ParseParked(r.Message)
		if r.Partition != 2 {
			t.Errorf("it stands in partition %d", r.Partition)
		}
		found = append(found, p)
		return err
	})
	if err != nil || len(found) != 1 || found[0].Letter != l.ID || found[0].Redrive != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

func FuzzBulkCursor(f *testing.F) {
	for _, s := range []string{"", "/", "0:1", "2026-01-31T12:00:00Z/0:1,3:4", "2026-01-31T12:00:00.000000001+02:00/x", "9999-12-31T23:59:59Z/", "9999-12-31T23:59:59-01:00/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		until, at, ok := cutCursor(s)
		if !ok {
			return
		}
		again, rest, ok := cutCursor(bulkCursor{until: until, at: at}.String())
		if !ok || !again.Equal(until) || rest != at {
			t.Errorf("%q: %v %q, and again %v %q %t", s, until, at, again, rest, ok)
		}
	})
}
