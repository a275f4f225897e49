package eventlog

import (
	"context"
	"maps"
	"testing"

	"github.com/signalbox-dev/signalbox/eventlog/embedded"
)

func TestACursorThatIsKeptAliveStaysAsItIs(t *testing.T) {
	b, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.Partitions = []string{b.Addr()}, true, 2
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	want := map[int32]Cursor{0: {Offset: 4, Metadata: "a"}, 1: {Offset: 9}}
	if err := l.CommitCursor(t.Context(), "link.x", want); err != nil {
		t.Fatal(err)
	}
	for _, owned := range []map[int32]bool{{0: true}, {}, {0: true, 1: true, 7: true}} {
		if err := l.keepCursor(t.Context(), "link.x", owned); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.Cursors(t.Context(), "link.x"); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if err := l.DropCursor(t.Context(), "link.x"); err != nil {
		t.Fatal(err)
	}
	if err := l.keepCursor(t.Context(), "link.x", map[int32]bool{0: true}); err != nil {
		t.Fatal(err)
	}
	if names, err := l.CursorNames(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("%v, %v: what was dropped came back", names, err)
	}
}
