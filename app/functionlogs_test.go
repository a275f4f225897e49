package app

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/otel/metrics"
)

// lineBed is a desk with a clock that stands still.
type lineBed struct {
	*lineDesk
	mu     sync.Mutex
	kept   []event.Log
	at     time.Time
	paused int
}

func newLineBed(rate int) *lineBed {
	b := &lineBed{at: time.Unix(1_800_000_000, 0)}
	b.lineDesk = newLineDesk(rate, metrics.New(), func(l *event.Log) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.kept = append(b.kept, *l)
	})
	b.now = func() time.Time { return b.at }
	b.pause = func(time.Duration) { b.paused++ }
	return b
}

func TestAFunctionThatFloodsIsCutToItsRateAndOthersAreNot(t *testing.T) {
	b := newLineBed(10)
	for range 3 {
		for i := range 100 {
			b.take(event.Log{Function: "flood", Line: fmt.Sprint(i)})
		}
		b.take(event.Log{Function: "calm", Line: "here"})
		b.at = b.at.Add(time.Second)
	}
	count, notes := map[string]int{}, []string{}
	for _, l := range b.kept {
		if strings.HasPrefix(l.Line, "signalbox:") {
			notes = append(notes, l.Line)
			continue
		}
		count[l.Function]++
	}
	if count["flood"] != 50+10+10 || count["calm"] != 3 {
		t.Errorf("kept %v: want the burst of five seconds and ten lines a second of the one, all of the other", count)
	}
	if len(notes) != 2 || notes[0] != "signalbox: 50 lines were dropped here, more than 10 a second" {
		t.Errorf("notes %q", notes)
	}
}

// Each bunch is one write to the log, and one note.
func TestAFunctionThatFloodsIsKeptInBunches(t *testing.T) {
	b := newLineBed(1000)
	for range 7000 {
		b.take(event.Log{Function: "flood"})
	}
	bunches, notes, inOne := 0, 0, false
	for range 1000 { // a second more
		b.at = b.at.Add(time.Millisecond)
		before := len(b.kept)
		for range 10 {
			b.take(event.Log{Function: "flood"})
		}
		if kept := len(b.kept) > before; kept != inOne {
			inOne = kept
			if kept {
				bunches++
			}
		}
	}
	for _, l := range b.kept {
		if l.Line != "" {
			notes++
		}
	}
	if lines := len(b.kept) - notes; bunches > 5 || notes > 5 || lines < 5750 || lines > 6000 {
		t.Errorf("%d lines in %d bunches, %d notes; want 6000 lines but for a bunch, 4 times a second", lines, bunches, notes)
	}
}

func TestAFunctionThatWritesFarTooMuchWaits(t *testing.T) {
	b := newLineBed(10)
	for range 50 + slowLeast { // 50 kept
		b.take(event.Log{Function: "flood", Line: "x"})
	}
	if b.paused != 0 {
		t.Errorf("paused %d times", b.paused)
	}
	b.take(event.Log{Function: "flood", Line: "x"})
	if b.paused != 1 {
		t.Errorf("paused %d times, want once", b.paused)
	}
	b.at = b.at.Add(time.Hour)
	b.take(event.Log{Function: "flood", Line: "x"})
	if b.paused != 1 || len(b.kept) != 52 {
		t.Errorf("paused %d times, %d kept", b.paused, len(b.kept))
	}
}

func TestLongLinesCountForMoreAndAreCut(t *testing.T) {
	b := newLineBed(10)
	long := strings.Repeat("ä", 20<<10)
	b.take(event.Log{Function: "f", Line: long})
	b.take(event.Log{Function: "f", Line: "x"})
	if len(b.kept) != 2 {
		t.Fatalf("%d kept", len(b.kept))
	}
	line := b.kept[0].Line
	if !strings.HasSuffix(line, "ä… (cut, 40960 bytes)") || len(line) > maxLine+40 {
		t.Errorf("%d bytes, ending %q", len(line), line[len(line)-40:])
	}
	b.take(event.Log{Function: "f", Line: long})
	if len(b.kept) != 2 {
		t.Error("a line of 40 KiB counted as one of 50")
	}
}

func TestLinesSayTheirLevelAndWhereTheyBelong(t *testing.T) {
	b := newLineBed(10)
	b.take(event.Log{Function: "f", Level: "WARN", Line: "x"})
	b.take(event.Log{Function: "f", Line: `{"level":"fatal","signalbox_run":"0-1-ab-1"}`})
	if b.kept[0].Level != "warning" || b.kept[1].Level != "error" || b.kept[1].Run != "0-1-ab-1" {
		t.Errorf("%+v", b.kept)
	}
}

func TestFunctionsThatAreGoneAreForgotten(t *testing.T) {
	b := newLineBed(1)
	for _, name := range []string{"a", "b"} {
		b.take(event.Log{Function: name})
	}
	if b.retain([]string{"b", "c"}); len(b.functions) != 1 || b.functions["b"] == nil {
		t.Errorf("%v", b.functions)
	}
}

func BenchmarkTakeLine(b *testing.B) {
	for _, c := range []struct {
		name string
		rate int
	}{{"kept", 1e9}, {"dropped", 0}} {
		b.Run(c.name, func(b *testing.B) {
			d := newLineDesk(c.rate, metrics.New(), func(l *event.Log) { l.Message("id") })
			d.pause = func(time.Duration) {}
			l := event.Log{Time: time.Now(), Function: "thumbs", Stream: "stdout", Line: strings.Repeat("a line of text ", 8), Run: "3-17-bf4b9bad694f4809-1"}
			b.ReportAllocs()
			for b.Loop() {
				d.take(l)
			}
		})
	}
}
