package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/ledger"
)

func testCatalogue(t *testing.T, s suite) {
	t.Run("what replicas saw is merged", func(t *testing.T) { testMerged(t, s) })
	t.Run("replicas count together", func(t *testing.T) { testMergedTogether(t, s) })
	t.Run("lists and types are bounded", func(t *testing.T) { testCatalogueBounds(t, s) })
	t.Run("types of any text", func(t *testing.T) { testCatalogueNames(t, s) })
	t.Run("what policies did", func(t *testing.T) { testEffects(t, s) })
}

func merge(t testing.TB, l *ledger.Ledger, deltas ...catalogue.Delta) {
	t.Helper()
	if err := l.MergeTypes(t.Context(), catalogue.DefaultConfig(), deltas, nil); err != nil {
		t.Fatal(err)
	}
}

func types(t testing.TB, l *ledger.Ledger) []catalogue.Type {
	t.Helper()
	all, err := l.Types(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testMerged(t *testing.T, s suite) {
	cfg := s.fresh(t)
	a, b := open(t, cfg, nil), open(t, cfg, nil)
	now := time.Now()
	minute := now.Unix() / 60
	merge(t, a, catalogue.Delta{
		Type: "t", Count: 3, First: now.Add(-time.Hour).UnixMilli(), Last: now.UnixMilli(), Minutes: map[int64]uint64{minute: 2, minute - 30: 1, minute - 500: 9},
		Sources: []string{"/s", "/t"}, ContentTypes: []string{"application/json"}, Emitters: []string{"f"}, Sample: `{"id":"1"}`,
	}, catalogue.Delta{Type: "u", Emitters: []string{"f"}})
	merge(t, b, catalogue.Delta{
		Type: "t", Count: 2, First: now.Add(-2 * time.Hour).UnixMilli(), Last: now.Add(-time.Minute).UnixMilli(), Minutes: map[int64]uint64{minute: 1, minute - 40: 1},
		Sources: []string{"/t", "/v"}, MoreSources: true, Sample: `{"id":"2"}`, SampleSize: 9,
	})
	got := types(t, a)
	if len(got) != 2 || got[1].Name != "u" || got[1].Count != 0 || !got[1].FirstSeen.IsZero() {
		t.Fatalf("%+v", got)
	}
	x := got[0]
	if x.Count != 5 || x.FirstSeen.UnixMilli() != now.Add(-2*time.Hour).UnixMilli() || x.LastSeen.UnixMilli() != now.UnixMilli() ||
		fmt.Sprint(x.Sources, x.ContentTypes, x.EmittedBy) != "[/s /t /v] [application/json] [f]" || !x.MoreSources || x.MoreContentTypes || x.Sample != nil {
		t.Errorf("%+v", x)
	}
	if x.Rate1h < 4.9/3600 || x.Rate1h > 5.1/3600 || x.Rate1m <= 0 {
		t.Errorf("rates %v, %v", x.Rate1m, x.Rate1h)
	}
	one, err := b.Type(t.Context(), "t")
	if err != nil || string(one.Sample) != `{"id":"2"}` || one.SampleSize != 9 || one.Count != 5 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := b.Type(t.Context(), "nothing"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a type nobody saw: %v", err)
	}
}

func testMergedTogether(t *testing.T, s suite) {
	cfg := s.fresh(t)
	minute := time.Now().Unix() / 60
	var wg sync.WaitGroup
	for r := range 4 {
		l := open(t, cfg, nil)
		wg.Go(func() {
			for range 25 {
				d := catalogue.Delta{Type: "t", Count: 2, First: 1, Last: time.Now().UnixMilli(), Minutes: map[int64]uint64{minute: 2}, Sources: []string{fmt.Sprint("/", r)}}
				if err := l.MergeTypes(context.Background(), catalogue.DefaultConfig(), []catalogue.Delta{d}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := types(t, open(t, cfg, nil)); len(got) != 1 || got[0].Count != 200 || len(got[0].Sources) != 4 {
		t.Errorf("%+v", got)
	}
}

func testCatalogueBounds(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	cfg := catalogue.DefaultConfig()
	cfg.MaxTypes, cfg.MaxSources, cfg.MaxContentTypes, cfg.MaxEmitters = 100, 2, 1, 2
	now := time.Now().UnixMilli()
	var deltas []catalogue.Delta
	for i := range 250 {
		deltas = append(deltas, catalogue.Delta{Type: fmt.Sprintf("t%03d", i), Count: 1, First: now, Last: now + int64(i)})
	}
	deltas = append(deltas, catalogue.Delta{
		Type: "wide", Count: 1, First: now, Last: now + 1000,
		Sources: []string{"a", "b", "c"}, ContentTypes: []string{"x", "y"}, Emitters: []string{"f", "g", "h"},
	})
	old := time.Now().Add(-30 * 24 * time.Hour).UnixMilli()
	deltas = append(deltas, catalogue.Delta{Type: "zz-old", Count: 1, First: old, Last: old})
	if err := l.MergeTypes(t.Context(), cfg, deltas, nil); err != nil {
		t.Fatal(err)
	}
	got := types(t, l)
	if len(got) != 100 || got[0].Name != "t151" || got[99].Name != "wide" {
		t.Fatalf("%d types from %s to %s", len(got), got[0].Name, got[len(got)-1].Name)
	}
	if x := got[99]; fmt.Sprint(x.Sources, x.ContentTypes, x.EmittedBy) != "[a b] [x] [f g]" || !x.MoreSources || !x.MoreContentTypes {
		t.Errorf("%+v", x)
	}
}

func testCatalogueNames(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	names := []string{"a b", "{tag}", "ünïcode 😀", `"quoted"`, "a:b", "*"}
	for _, n := range names {
		merge(t, l, catalogue.Delta{Type: n, Count: 1, First: 1, Last: time.Now().UnixMilli(), Sources: []string{n, `\`, "</x>"}})
	}
	got := types(t, l)
	if len(got) != len(names) {
		t.Fatalf("%+v", got)
	}
	for _, n := range names {
		if x, err := l.Type(t.Context(), n); err != nil || len(x.Sources) != 3 {
			t.Errorf("%q: %+v, %v", n, x, err)
		}
	}
}

func testEffects(t *testing.T, s suite) {
	l := open(t, s.fresh(t), nil)
	effects := []catalogue.Effect{{Policy: "p", Link: "l"}, {Policy: "q", Function: "f"}}
	for range 2 {
		if err := l.MergeTypes(t.Context(), catalogue.DefaultConfig(), nil, effects); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.Effects(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(effects) {
		t.Errorf("%v, %v", got, err)
	}
}
