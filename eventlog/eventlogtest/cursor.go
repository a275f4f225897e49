package eventlogtest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/eventlog"
)

func (s suite) testCursors(t *testing.T) {
	t.Run("come back, by name and partition", s.cursors)
	t.Run("next is where the live stream goes on", s.next)
}

func (s suite) cursors(t *testing.T) {
	cfg := s.fresh(t, 3)
	l := open(t, cfg)
	check := func(l *eventlog.Log, name string, want map[int32]eventlog.Cursor) {
		t.Helper()
		if got, err := l.Cursors(within(t), name); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
		}
	}
	commit := func(name string, at map[int32]eventlog.Cursor) {
		t.Helper()
		if err := l.CommitCursor(within(t), name, at); err != nil {
			t.Fatal(err)
		}
	}
	names := func(want ...string) {
		t.Helper()
		got, err := l.CursorNames(within(t))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, want)
	}
	names()
	check(l, "link.a", map[int32]eventlog.Cursor{})
	long := strings.Repeat("m", 4000)
	commit("link.a", map[int32]eventlog.Cursor{0: {Offset: 5, Metadata: "x"}, 2: {Offset: 0, Metadata: long}})
	commit("replay.b", map[int32]eventlog.Cursor{1: {Offset: 7}})
	commit("link.a", map[int32]eventlog.Cursor{0: {Offset: 3}}) // back, and without metadata
	again := open(t, cfg)
	check(again, "link.a", map[int32]eventlog.Cursor{0: {Offset: 3}, 2: {Offset: 0, Metadata: long}})
	check(again, "replay.b", map[int32]eventlog.Cursor{1: {Offset: 7}})
	names("link.a", "replay.b")
	for name, bad := range map[string]eventlog.Cursor{"negative": {Offset: -1}, "long": {Metadata: long + "m"}} {
		if err := l.CommitCursor(within(t), "link.a", map[int32]eventlog.Cursor{0: bad}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := l.CommitCursor(within(t), "", map[int32]eventlog.Cursor{0: {}}); err == nil {
		t.Error("no name: no error")
	}
	for range 2 {
		if err := l.DropCursor(within(t), "link.a"); err != nil {
			t.Error(err)
		}
	}
	check(l, "link.a", map[int32]eventlog.Cursor{})
	names("replay.b")
}

func (s suite) next(t *testing.T) {
	l := open(t, s.fresh(t, 1))
	if _, owned := l.Next(0); owned {
		t.Error("owned before Consume")
	}
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, messages("n", 0, 5)...)
	got := in.wait(t, 5)
	if next, owned := l.Next(0); next != 5 || !owned {
		t.Errorf("next %d, %v; want 5", next, owned)
	}
	if _, owned := l.Next(1); owned {
		t.Error("owns a partition that is not there")
	}
	for _, d := range got {
		d.done()
	}
	c.mustStop(t)
	if _, owned := l.Next(0); owned {
		t.Error("owned after Consume")
	}
	consume(t, l, newInbox())
	for ctx := within(t); ; {
		if next, owned := l.Next(0); owned {
			if next != 5 {
				t.Errorf("next %d after a restart, want 5", next)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatal("never owned")
		}
		<-time.After(time.Millisecond)
	}
}
