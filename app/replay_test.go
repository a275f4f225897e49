package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/replay"
	"github.com/signalbox-dev/signalbox/resource"
)

// logged appends n events of one key and returns their partition.
func logged(t *testing.T, log *eventlog.Log, n int) int32 {
	t.Helper()
	var part int32
	for i := range n {
		ev := &event.Event{ID: fmt.Sprint(i), Source: "/s", Type: "t", Subject: "k"}
		at, err := log.Append(t.Context(), eventlog.Events, []event.Message{ev.Message()})
		if err != nil {
			t.Fatal(err)
		}
		part = at[0].Partition
	}
	return part
}

func TestTheLogIsReadBackFromAnOffset(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	past, part := pastLog{log}, logged(t, log, 10)
	extents, err := past.Extents(t.Context())
	if err != nil || extents[part] != (replay.Extent{Start: 0, End: 10}) || len(extents) != int(log.Partitions(eventlog.Events)) {
		t.Errorf("extents %v, %v", extents, err)
	}
	var got []string
	err = past.Read(t.Context(), part, 4, func(r event.Record) bool {
		got = append(got, r.Event.ID)
		return len(got) < 3
	})
	if err != nil || strings.Join(got, " ") != "4 5 6" {
		t.Errorf("read %v, %v", got, err)
	}
	for at, want := range map[time.Time]int64{time.Now().Add(-time.Hour): 0, time.Now().Add(time.Hour): 10} {
		if since, err := past.Since(t.Context(), at); err != nil || since[part] != want {
			t.Errorf("since %v: %v, %v; want %d", at, since, err, want)
		}
	}
}

func TestCursorsAreKeptInTheLog(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	past := pastLog{log}
	if names, err := past.Names(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("names %v, %v", names, err)
	}
	if at, err := past.Load(t.Context(), "link.a.X"); err != nil || len(at) > 0 {
		t.Errorf("load %v, %v", at, err)
	}
	want := map[int32]replay.Cursor{0: {Offset: 7, Metadata: `{"from":3}`}, 2: {Offset: 0, Metadata: "{}"}}
	for p, c := range want {
		if err := past.Commit(t.Context(), "link.a.X", map[int32]replay.Cursor{p: c}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := past.Names(t.Context())
	at, loadErr := past.Load(t.Context(), "link.a.X")
	if err != nil || loadErr != nil || !slices.Equal(names, []string{"link.a.X"}) || !maps.Equal(at, want) {
		t.Errorf("names %v, %v; cursors %v, %v", names, err, at, loadErr)
	}
	for range 2 { // the second time there is none
		if err := past.Drop(t.Context(), "link.a.X"); err != nil {
			t.Error(err)
		}
	}
	if at, err := past.Load(t.Context(), "link.a.X"); err != nil || len(at) > 0 {
		t.Errorf("dropped, and still %v, %v", at, err)
	}
}

func TestTheFirstCopyOfAnEventIsNoDuplicate(t *testing.T) {
	memory := ledger.NewMemoryDedup(time.Hour, 1024)
	record := func(id string, offset int64) event.Record {
		return event.Record{Position: event.Position{Offset: offset}, Event: &event.Event{ID: id, Source: "/s", Type: "t"}}
	}
	if err := memory.Claim(t.Context(), []event.Record{record("a", 1)}, make([]event.Verdict, 1)); err != nil {
		t.Fatal(err)
	}
	dup := make([]bool, 3)
	err := copies{memory}.Duplicates(t.Context(), []event.Record{record("a", 1), record("a", 2), record("b", 3)}, dup)
	if err != nil || !slices.Equal(dup, []bool{false, true, false}) {
		t.Errorf("%v, %v", dup, err)
	}
}

func TestAReplayIsNeverChanged(t *testing.T) {
	replayOf := func(spec string) *resource.Object {
		return &resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindReplay, Metadata: resource.Metadata{Name: "r"}, Spec: json.RawMessage(spec)}
	}
	links := map[string]*resource.Link{"a": {}, "b": {}}
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	d := &replayDesk{now: func() time.Time { return now }}
	first := replayOf(`{"link":"a","from":"earliest"}`)
	if faults := d.complete(first, links); len(faults) > 0 || !strings.Contains(string(first.Spec), `"to":"2026-01-02T15:04:05Z"`) {
		t.Errorf("%s, %v", first.Spec, faults)
	}
	first.Status = json.RawMessage(`{"state":"done"}`)
	again := replayOf(`{"link":"a","from":"earliest"}`)
	if faults := sameReplay(again, first); len(faults) > 0 || string(again.Spec) != string(first.Spec) || string(again.Status) != string(first.Status) {
		t.Errorf("applied again: %s, %v", again.Spec, faults)
	}
	if faults := sameReplay(replayOf(`{"link":"b","from":"earliest"}`), first); len(faults) != 1 {
		t.Errorf("changed: %v", faults)
	}
	for spec, want := range map[string]string{
		`{"link":"c","from":"earliest"}`:                `"c": there is no such link: want one of a, b`,
		`{"link":"a","from":"earliest","where":"id ="}`: ".where",
		`{"link":"a","from":"2026-01-02T15:04:05Z"}`:    ".from: 2026-01-02T15:04:05Z: want a time before",
	} {
		if got := d.complete(replayOf(spec), links).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}
