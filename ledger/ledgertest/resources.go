package ledgertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

func testResources(t *testing.T, s suite) {
	t.Run("what is put is got and listed", func(t *testing.T) { testRoundTrip(t, s) })
	t.Run("conditions", func(t *testing.T) { testConditions(t, s) })
	t.Run("a write that changes nothing keeps the revision", func(t *testing.T) { testUnchanged(t, s) })
	t.Run("the uid is that of the first version until it is deleted", func(t *testing.T) { testUID(t, s) })
	t.Run("faulty resources are refused", func(t *testing.T) { testFaulty(t, s) })
}

func testRoundTrip(t *testing.T, s suite) {
	ctx, l := t.Context(), open(t, s.fresh(t), nil)
	in := function("b", "1")
	in.Metadata.Labels = map[string]string{"team": "red"}
	in.Metadata.Annotations = map[string]string{"note": "ö \x00 \"quoted\""}
	first := put(t, l, in)
	put(t, l, function("a", "1"))
	put(t, l, object(resource.KindPolicy, "p", `{"rego":"package signalbox.trigger"}`))
	got, err := l.Get(ctx, resource.KindFunction, "b")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(first) {
		t.Errorf("got %v, %v; put returned %v", got, err, first)
	}
	if first.Metadata.Revision != 1 || first.Metadata.UpdatedAt.IsZero() || first.Metadata.Annotations["note"] != in.Metadata.Annotations["note"] {
		t.Errorf("first: %+v", first.Metadata)
	}
	list, err := l.List(ctx, resource.KindFunction)
	if err != nil || len(list) != 2 || list[0].Metadata.Name != "a" || list[1].Metadata.Name != "b" {
		t.Errorf("list: %v, %v; want a, b", list, err)
	}
	revision, all := snapshot(t, l)
	if revision != 3 || len(all) != 3 || all[2].Metadata.Revision != 3 {
		t.Errorf("snapshot: revision %d, %d resources; want one count over all kinds: 3, 3", revision, len(all))
	}
}

func testConditions(t *testing.T, s suite) {
	ctx, l := t.Context(), open(t, s.fresh(t), nil)
	one := put(t, l, function("x", "1")).Metadata.Revision
	two := put(t, l, function("x", "2")).Metadata.Revision
	for _, c := range []struct {
		name string
		do   func() error
		want error
	}{
		{"new where there is one", func() error { _, err := l.Put(ctx, function("x", "3"), ledger.MustNotExist()); return err }, ledger.ErrExists},
		{"based on an old revision", func() error { _, err := l.Put(ctx, function("x", "3"), ledger.IfRevision(one)); return err }, ledger.ErrConflict},
		{"based on a revision where there is none", func() error { _, err := l.Put(ctx, function("y", "3"), ledger.IfRevision(one)); return err }, ledger.ErrConflict},
		{"unchanged, but based on an old revision", func() error { _, err := l.Put(ctx, function("x", "2"), ledger.IfRevision(one)); return err }, ledger.ErrConflict},
		{"delete an old revision", func() error { return l.Delete(ctx, "Function", "x", ledger.IfRevision(one)) }, ledger.ErrConflict},
		{"delete what is not there", func() error { return l.Delete(ctx, "Function", "y", ledger.Any()) }, ledger.ErrNotFound},
		{"get what is not there", func() error { _, err := l.Get(ctx, "Function", "y"); return err }, ledger.ErrNotFound},
		{"of another kind", func() error { _, err := l.Get(ctx, "Link", "x"); return err }, ledger.ErrNotFound},
		{"based on the revision", func() error { _, err := l.Put(ctx, function("x", "3"), ledger.IfRevision(two)); return err }, nil},
		{"new where there is none", func() error { _, err := l.Put(ctx, function("y", "1"), ledger.MustNotExist()); return err }, nil},
		{"delete whatever is there", func() error { return l.Delete(ctx, "Function", "x", ledger.IfRevision(0)) }, nil},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, err := l.Put(ctx, function("y", "9"), ledger.IfRevision(77))
	var conflict *ledger.ConflictError
	if !errors.As(err, &conflict) || conflict.Have != two+2 || conflict.Want != 77 || conflict.Kind != "Function" || conflict.Name != "y" {
		t.Errorf("conflict: %#v", err)
	}
	if revision, all := snapshot(t, l); revision != two+3 || len(all) != 1 {
		t.Errorf("refused changes left a trace: revision %d, %d resources; want %d, 1", revision, len(all), two+3)
	}
}

func testUnchanged(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	first := put(t, l, object("Function", "x", `{"url":"http://h","concurrency":10,"emits":["a"]}`))
	again := put(t, l, object("Function", "x", `{ "emits":["a"], "concurrency":10, "url":"http://h" }`))
	if again.Metadata.Revision != first.Metadata.Revision || !again.Metadata.UpdatedAt.Equal(first.Metadata.UpdatedAt) {
		t.Errorf("again: %+v, want %+v", again.Metadata, first.Metadata)
	}
	for i, change := range []func(*resource.Object){
		func(o *resource.Object) { o.Spec = json.RawMessage(`{"url":"http://other"}`) },
		func(o *resource.Object) { o.Metadata.Labels = map[string]string{"a": "b"} },
		func(o *resource.Object) { o.Metadata.Annotations = map[string]string{"a": "b"} },
		func(o *resource.Object) { o.Status = json.RawMessage(`{"ready":true}`) },
	} {
		o := object("Function", "x", `{"url":"http://h","concurrency":10,"emits":["a"]}`)
		change(&o)
		if got := put(t, l, o).Metadata.Revision; got != first.Metadata.Revision+uint64(i)+1 {
			t.Errorf("change %d: revision %d", i, got)
		}
	}
}

func testUID(t *testing.T, s suite) {
	cfg, h := s.fresh(t), new(History)
	l := open(t, cfg, h)
	first := put(t, l, function("x", "1"))
	o := function("x", "2")
	o.Metadata.UID = "of the client"
	second := put(t, l, o)
	if first.Metadata.UID == "" || second.Metadata.UID != first.Metadata.UID {
		t.Errorf("uid %q, then %q: want one and the same", first.Metadata.UID, second.Metadata.UID)
	}
	if got, err := l.Get(t.Context(), "Function", "x"); err != nil || got.Metadata.UID != first.Metadata.UID || versionOf(t, got) != "2" {
		t.Errorf("got %v, %v", got, err)
	}
	_, all := snapshot(t, l)
	checkHistoryEnds(t, h, all)
	if err := l.Delete(t.Context(), "Function", "x", ledger.Any()); err != nil {
		t.Fatal(err)
	}
	if again := put(t, l, function("x", "2")); again.Metadata.UID == first.Metadata.UID || again.Metadata.UID == "" {
		t.Errorf("added again: uid %q, that of the deleted one is %q", again.Metadata.UID, first.Metadata.UID)
	}
}

func testFaulty(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	for _, o := range []resource.Object{object("", "x", "{}"), object("Link", "", "{}"), object("Link", "a/b", "{}"), object("Link", "a b", "{}"), object("Link", "x", "{")} {
		if _, err := l.Put(t.Context(), o, ledger.Any()); err == nil {
			t.Errorf("%s/%s %s was taken", o.Kind, o.Metadata.Name, o.Spec)
		}
	}
}

func testApply(t *testing.T, s suite) {
	t.Run("all at one revision, and none again", func(t *testing.T) { testApplySet(t, s) })
	t.Run("nobody sees half of a set", func(t *testing.T) { testNoHalfSet(t, s) })
	t.Run("edits happen together or not at all", func(t *testing.T) { testChange(t, s) })
}

// testChange moves a resource to another name: one write, one deletion, and a
// condition on a third that does not change.
func testChange(t *testing.T, s suite) {
	h := new(History)
	ctx, l := t.Context(), open(t, s.fresh(t), h)
	one, other := put(t, l, function("x", "1")), put(t, l, function("y", "1"))
	edits := []ledger.Edit{
		{Object: one, Delete: true, If: ledger.IfRevision(one.Metadata.Revision)},
		{Object: function("x@1", "1"), If: ledger.MustNotExist()},
		{Object: other, If: ledger.IfRevision(other.Metadata.Revision)},
	}
	for name, broken := range map[string]struct {
		edit ledger.Edit
		want error
	}{
		"what shall not change did":      {ledger.Edit{Object: other, If: ledger.IfRevision(77)}, ledger.ErrConflict},
		"what shall be deleted is not":   {ledger.Edit{Object: function("z", "1"), Delete: true}, ledger.ErrNotFound},
		"what shall not be there is one": {ledger.Edit{Object: other, If: ledger.MustNotExist()}, ledger.ErrExists},
	} {
		if _, err := l.Change(ctx, append(edits[:2:2], broken.edit)); !errors.Is(err, broken.want) {
			t.Errorf("%s: %v, want %v", name, err, broken.want)
		}
	}
	before, _ := snapshot(t, l)
	out, err := l.Change(ctx, edits)
	if err != nil || out[0].Kind != "" || out[1].Metadata.Revision != before+1 || out[2].Metadata.Revision != other.Metadata.Revision {
		t.Fatalf("%v, %v", out, err)
	}
	revision, all := snapshot(t, l)
	if revision != before+1 || len(all) != 2 || all[0].Metadata.Name != "x@1" || all[1].Metadata.Name != "y" {
		t.Errorf("revision %d: %v", revision, all)
	}
	checkHistoryEnds(t, h, all)
	if now, err := l.Revision(ctx); err != nil || now != revision {
		t.Errorf("revision %d, %v: want %d", now, err, revision)
	}
}

func testApplySet(t *testing.T, s suite) {
	ctx, l := t.Context(), open(t, s.fresh(t), nil)
	put(t, l, function("b", "1"))
	out, err := l.Apply(ctx, []resource.Object{function("c", "1"), function("b", "1"), function("a", "1")})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name     string
		revision uint64
	}{{"c", 2}, {"b", 1}, {"a", 2}} {
		if out[i].Metadata.Name != want.name || out[i].Metadata.Revision != want.revision {
			t.Errorf("%d: %s at %d, want %v", i, out[i].Metadata.Name, out[i].Metadata.Revision, want)
		}
	}
	if _, err := l.Apply(ctx, []resource.Object{function("c", "1"), function("a", "1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Apply(ctx, []resource.Object{function("n", "1"), function("z", "1"), function("n", "2")}); !errors.As(err, new(resource.Faults)) {
		t.Errorf("one resource twice: %v, want a fault", err)
	}
	if _, err := l.Apply(ctx, []resource.Object{function("n", "1"), object("Link", "", "{}")}); err == nil {
		t.Error("a faulty resource was applied")
	}
	if out, err := l.Apply(ctx, nil); out != nil || err != nil {
		t.Errorf("nothing: %v, %v", out, err)
	}
	if revision, all := snapshot(t, l); revision != 2 || len(all) != 3 {
		t.Errorf("revision %d, %d resources; want 2, 3", revision, len(all))
	}
}

func testNoHalfSet(t *testing.T, s suite) {
	const size, rounds = 20, 40
	cfg := s.fresh(t)
	writer, reader := open(t, cfg, nil), open(t, cfg, nil)
	set := func(version string) (objects []resource.Object) {
		for i := range size {
			objects = append(objects, function(fmt.Sprintf("f%02d", i), version))
		}
		return objects
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for i := range rounds {
			if _, err := writer.Apply(t.Context(), set(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		revision, all := snapshot(t, reader)
		if len(all) != 0 && len(all) != size {
			t.Fatalf("%d of %d resources at revision %d", len(all), size, revision)
		}
		for _, o := range all {
			if versionOf(t, o) != versionOf(t, all[0]) || o.Metadata.Revision != revision {
				t.Fatalf("revision %d mixes two sets", revision)
			}
		}
	}
}

// testWriters lets many writers on two replicas count up one resource each by
// compare-and-set: no step is lost, no revision given twice.
func testWriters(t *testing.T, s suite) {
	const writers, steps = 8, 12
	cfg, h := s.fresh(t), new(History)
	replicas := []*ledger.Ledger{open(t, cfg, h), open(t, cfg, h)}
	put(t, replicas[0], function("counter", "0"))
	var mu sync.Mutex
	given := map[uint64]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			l := replicas[w%2]
			for done := 0; done < steps; {
				have, err := l.Get(t.Context(), "Function", "counter")
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				fmt.Sscan(versionOf(t, have), &n)
				got, err := l.Put(t.Context(), function("counter", fmt.Sprint(n+1)), ledger.IfRevision(have.Metadata.Revision))
				switch {
				case errors.Is(err, ledger.ErrConflict):
				case err != nil:
					t.Error(err)
					return
				default:
					done++
					mu.Lock()
					if given[got.Metadata.Revision] {
						t.Errorf("revision %d was given twice", got.Metadata.Revision)
					}
					given[got.Metadata.Revision] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	revision, all := snapshot(t, replicas[1])
	if len(all) != 1 || versionOf(t, all[0]) != fmt.Sprint(writers*steps) || revision != writers*steps+1 {
		t.Errorf("revision %d, %v; want %d steps", revision, all, writers*steps)
	}
	checkHistoryEnds(t, h, all)
}

// checkHistoryEnds checks that the last record of every key is what stands.
func checkHistoryEnds(t testing.TB, h *History, standing []resource.Object) {
	t.Helper()
	last := map[string][]byte{}
	for _, r := range h.Records() {
		last[r.Key] = r.Value
	}
	delete(last, ledger.RevisionKey)
	for _, o := range standing {
		key := o.Kind + "/" + o.Metadata.Name
		var got resource.Object
		if err := json.Unmarshal(last[key], &got); err != nil || fmt.Sprint(got) != fmt.Sprint(o) {
			t.Errorf("history of %s ends with %s (%v), want %v", key, last[key], err, o)
		}
		delete(last, key)
	}
	for key, value := range last {
		if value != nil {
			t.Errorf("history ends with %s, which is not there: %s", key, value)
		}
	}
}
