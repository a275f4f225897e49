package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

var errNoHistory = errors.New("the log is away")

func fails(string) error { return errNoHistory }

func testHistory(t *testing.T, s suite) {
	t.Run("has every change", func(t *testing.T) {
		h := new(History)
		l := open(t, s.fresh(t), h)
		put(t, l, function("a", "1"))
		put(t, l, function("a", "2"))
		put(t, l, function("a", "2"))
		put(t, l, function("b", "1"))
		if err := l.Delete(t.Context(), "Function", "b", ledger.Any()); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, r := range h.Records() {
			keys = append(keys, fmt.Sprintf("%s %v", r.Key, r.Value != nil))
		}
		want := "[Function/a true Function/a true Function/b true @revision true Function/b false]"
		if fmt.Sprint(keys) != want {
			t.Errorf("history: %v, want %s", keys, want)
		}
		_, all := snapshot(t, l)
		checkHistoryEnds(t, h, all)
	})
	t.Run("that fails undoes the change", func(t *testing.T) { testUndo(t, s) })
	t.Run("that fails half way through a set undoes all of it", func(t *testing.T) { testUndoSet(t, s) })
}

func testUndo(t *testing.T, s suite) {
	ctx, cfg, h := t.Context(), s.fresh(t), new(History)
	l := open(t, cfg, h)
	put(t, l, function("old", "1"))
	h.Fail(fails)
	for name, do := range map[string]func() error{
		"change": func() error { _, err := l.Put(ctx, function("old", "2"), ledger.Any()); return err },
		"create": func() error { _, err := l.Put(ctx, function("new", "1"), ledger.Any()); return err },
		"delete": func() error { return l.Delete(ctx, "Function", "old", ledger.Any()) },
	} {
		before, _ := snapshot(t, l)
		if err := do(); !errors.Is(err, ledger.ErrHistory) || !errors.Is(err, errNoHistory) {
			t.Errorf("%s: %v, want ErrHistory", name, err)
		}
		revision, all := snapshot(t, l)
		if len(all) != 1 || all[0].Metadata.Name != "old" || versionOf(t, all[0]) != "1" {
			t.Errorf("%s was not undone: %v", name, all)
		}
		if revision <= before {
			t.Errorf("%s: revision %d after %d: an undone change must be noticed too", name, revision, before)
		}
	}
	h.Fail(nil)
	put(t, l, function("other", "1"))
	if _, err := l.Heal(ctx); err != nil {
		t.Fatal(err)
	}
	_, all := snapshot(t, l)
	checkHistoryEnds(t, h, all)
}

func testUndoSet(t *testing.T, s suite) {
	cfg, h := s.fresh(t), new(History)
	l := open(t, cfg, h)
	put(t, l, function("a", "1"))
	h.Fail(func(key string) error {
		if key == "Function/c" {
			return errNoHistory
		}
		return nil
	})
	_, err := l.Apply(t.Context(), []resource.Object{function("a", "2"), function("b", "2"), function("c", "2")})
	if !errors.Is(err, ledger.ErrHistory) {
		t.Errorf("apply: %v, want ErrHistory", err)
	}
	if _, all := snapshot(t, l); len(all) != 1 || versionOf(t, all[0]) != "1" {
		t.Errorf("not undone: %v", all)
	}
	h.Fail(nil)
	// The history took a part of the set: healing corrects it, so that an
	// emptied Redis does not come back with the part.
	for range 2 {
		if _, err := l.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, all := snapshot(t, l)
		checkHistoryEnds(t, h, all)
		if len(all) != 1 || versionOf(t, all[0]) != "1" {
			t.Errorf("after healing: %v", all)
		}
		flush(t, client(t, cfg))
	}
}

func testWatch(t *testing.T, s suite) {
	t.Run("begins with what is there", func(t *testing.T) {
		l := open(t, s.fresh(t), nil)
		revision := put(t, l, function("a", "1")).Metadata.Revision
		await(t, watch(t, l), revision)
	})
	t.Run("sees the changes of another replica within a second", func(t *testing.T) {
		cfg := s.fresh(t)
		writer, reader := open(t, cfg, nil), open(t, cfg, nil)
		revisions := watch(t, reader)
		await(t, revisions, 0)
		for i := range 5 {
			revision := put(t, writer, function("a", fmt.Sprint(i))).Metadata.Revision
			if took := await(t, revisions, revision); took > soon {
				t.Errorf("change %d was seen after %s", i, took)
			}
		}
	})
	t.Run("hears of a change by its notice, long before it looks", func(t *testing.T) {
		cfg := s.fresh(t)
		cfg.PollInterval = time.Minute
		writer, reader := open(t, cfg, nil), open(t, cfg, nil)
		revisions := watch(t, reader)
		await(t, revisions, 0)
		// Again and again, since the subscription may begin a moment later.
		late, again := time.After(patience), time.NewTicker(20*time.Millisecond)
		defer again.Stop()
		for i := 0; ; i++ {
			put(t, writer, function("a", fmt.Sprint(i)))
			select {
			case <-revisions:
				return
			case <-late:
				t.Fatal("no notice arrived")
			case <-again.C:
			}
		}
	})
	t.Run("sees a change without a notice within a second", func(t *testing.T) {
		cfg := s.fresh(t)
		l := open(t, cfg, nil)
		revisions := watch(t, l)
		await(t, revisions, 0)
		if err := client(t, cfg).Incr(t.Context(), "{"+cfg.KeyPrefix+"res}:revision").Err(); err != nil {
			t.Fatal(err)
		}
		if took := await(t, revisions, 1); took > soon {
			t.Errorf("seen after %s", took)
		}
	})
	t.Run("brings what failed writers left to the history", func(t *testing.T) {
		cfg, h := s.fresh(t), new(History)
		cfg.HistoryTimeout = 50 * time.Millisecond
		l := open(t, cfg, h)
		h.Fail(fails)
		if _, err := l.Put(t.Context(), function("a", "1"), ledger.Any()); !errors.Is(err, ledger.ErrHistory) {
			t.Fatal(err)
		}
		settled, settle := make(chan struct{}), sync.Once{}
		h.Fail(func(key string) error {
			if key == "Function/a" {
				settle.Do(func() { close(settled) })
			}
			return nil
		})
		watch(t, l)
		select {
		case <-settled:
		case <-time.After(patience):
			t.Error("the undoing never reached the history")
		}
	})
}

func testHealing(t *testing.T, s suite) {
	t.Run("restores an emptied Redis", func(t *testing.T) { testRestore(t, s) })
	t.Run("restores from a compacted history without counting backwards", func(t *testing.T) { testCompacted(t, s) })
	t.Run("an emptied Redis is never taken for an empty configuration", func(t *testing.T) { testNeverEmpty(t, s) })
	t.Run("restores what Redis lost of the last changes", func(t *testing.T) {
		cfg := s.fresh(t)
		l := open(t, cfg, new(History))
		put(t, l, function("a", "1"))
		before := put(t, l, function("b", "1")).Metadata.Revision
		c, tag := client(t, cfg), "{"+cfg.KeyPrefix+"res}:"
		if err := errors.Join(c.Set(t.Context(), tag+"revision", before-1, 0).Err(), c.HDel(t.Context(), tag+"documents", "Function/b").Err()); err != nil {
			t.Fatal(err)
		}
		if revision, all := snapshot(t, l); revision <= before || len(all) != 2 {
			t.Errorf("revision %d after %d, %d resources; want both", revision, before, len(all))
		}
	})
	t.Run("fills an empty history", func(t *testing.T) {
		cfg, h := s.fresh(t), new(History)
		put(t, open(t, cfg, nil), function("a", "1"))
		l := open(t, cfg, h)
		revision, all := snapshot(t, l)
		checkHistoryEnds(t, h, all)
		if len(h.Records()) != 1 || revision != 1 {
			t.Errorf("history %v, revision %d", h.Records(), revision)
		}
	})
	t.Run("without a history keeps counting forwards", func(t *testing.T) {
		cfg := s.fresh(t)
		l := open(t, cfg, nil)
		put(t, l, function("a", "1"))
		flush(t, client(t, cfg))
		if got := put(t, l, function("a", "1")).Metadata.Revision; got < 2 {
			t.Errorf("revision %d after 1", got)
		}
	})
	t.Run("by many replicas at once happens once", func(t *testing.T) { testHealTogether(t, s) })
}

func testRestore(t *testing.T, s suite) {
	ctx, cfg, h := t.Context(), s.fresh(t), new(History)
	l := open(t, cfg, h)
	put(t, l, function("kept", "1"))
	kept := put(t, l, function("kept", "2"))
	put(t, l, function("gone", "1"))
	if err := l.Delete(ctx, "Function", "gone", ledger.Any()); err != nil {
		t.Fatal(err)
	}
	before, _ := snapshot(t, l)
	flush(t, client(t, cfg))
	report, err := l.Heal(ctx)
	if err != nil || report.Restored != 1 || report.Removed != 0 || report.Appended != 0 {
		t.Errorf("heal: %+v, %v; want one restored", report, err)
	}
	revision, all := snapshot(t, l)
	if revision <= before || revision != report.Revision || len(all) != 1 || fmt.Sprint(all[0]) != fmt.Sprint(kept) {
		t.Errorf("revision %d after %d, %v; want %v", revision, before, all, kept)
	}
	if report, err = l.Heal(ctx); err != nil || report != (ledger.HealReport{Revision: revision}) {
		t.Errorf("again: %+v, %v; want nothing to do", report, err)
	}
}

func testCompacted(t *testing.T, s suite) {
	cfg, h := s.fresh(t), new(History)
	l := open(t, cfg, h)
	put(t, l, function("gone", "1"))
	if err := l.Delete(t.Context(), "Function", "gone", ledger.Any()); err != nil {
		t.Fatal(err)
	}
	before, _ := snapshot(t, l)
	h.Compact()
	flush(t, client(t, cfg))
	// A process that has seen nothing: the history alone knows the number.
	revision, all := snapshot(t, open(t, cfg, h))
	if revision <= before || len(all) != 0 {
		t.Errorf("revision %d after %d, %v", revision, before, all)
	}
}

func testNeverEmpty(t *testing.T, s suite) {
	ctx := t.Context()
	for name, use := range map[string]func(*ledger.Ledger) error{
		"snapshot": func(l *ledger.Ledger) error {
			_, all, err := l.Snapshot(ctx)
			if len(all) != 1 {
				return fmt.Errorf("%v, %w", all, err)
			}
			return err
		},
		"get":    func(l *ledger.Ledger) error { _, err := l.Get(ctx, "Function", "a"); return err },
		"put":    func(l *ledger.Ledger) error { _, err := l.Put(ctx, function("b", "1"), ledger.Any()); return err },
		"delete": func(l *ledger.Ledger) error { return l.Delete(ctx, "Function", "a", ledger.IfRevision(1)) },
	} {
		cfg := s.fresh(t)
		l := open(t, cfg, new(History))
		put(t, l, function("a", "1"))
		flush(t, client(t, cfg))
		if err := use(l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg, h := s.fresh(t), new(History)
	l := open(t, cfg, h)
	revisions := watch(t, l)
	before := put(t, l, function("a", "1")).Metadata.Revision
	await(t, revisions, before)
	flush(t, client(t, cfg))
	await(t, revisions, before+1)
	if _, all := snapshot(t, l); len(all) != 1 {
		t.Errorf("the watch reported a revision without the resources: %v", all)
	}
}

func testHealTogether(t *testing.T, s suite) {
	cfg, h := s.fresh(t), new(History)
	var replicas []*ledger.Ledger
	for range 4 {
		replicas = append(replicas, open(t, cfg, h))
	}
	before := put(t, replicas[0], function("a", "1")).Metadata.Revision
	flush(t, client(t, cfg))
	var wg sync.WaitGroup
	restored := make([]int, len(replicas))
	for i, l := range replicas {
		wg.Go(func() {
			report, err := l.Heal(t.Context())
			if err != nil {
				t.Error(err)
			}
			restored[i] = report.Restored
		})
	}
	wg.Wait()
	total := 0
	for _, n := range restored {
		total += n
	}
	if revision, _ := snapshot(t, replicas[0]); total != 1 || revision != before+1 {
		t.Errorf("restored %v, revision %d; want once, %d", restored, revision, before+1)
	}
}
