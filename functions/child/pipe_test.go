//go:build unix

package child

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// emitted collects lines; it is safe for concurrent use.
type emitted struct {
	mu    sync.Mutex
	lines []string
}

func (e *emitted) add(line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, line)
}

func (e *emitted) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.lines)
}

// Whoever writes and then says so by another way must find that everything
// before was emitted, each time.
func TestADrainedPipeHasEmittedEverythingWritten(t *testing.T) {
	var got emitted
	p, err := NewPipe(got.add)
	if err != nil {
		t.Fatal(err)
	}
	program, err := dup(p.Writer())
	if err != nil {
		t.Fatal(err)
	}
	p.Started()
	want := 0
	for i := range 500 {
		text := strings.Repeat(fmt.Sprintf("line %d\n", i), 1+i%20) + "no end"
		if _, err := program.WriteString(text); err != nil {
			t.Fatal(err)
		}
		want += 2 + i%20
		p.Drain()
		if all := got.all(); len(all) != want || all[want-1] != "no end" {
			t.Fatalf("after %d texts %d lines are emitted, want %d", i+1, len(all), want)
		}
	}
	if _, err := program.WriteString("last"); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	p.Close(time.Minute)
	if all := got.all(); all[len(all)-1] != "last" {
		t.Errorf("the last line is %q", all[len(all)-1])
	}
}

func TestAPipeIsClosedThoughTheOtherEndIsHeld(t *testing.T) {
	var got emitted
	p, err := NewPipe(got.add)
	if err != nil {
		t.Fatal(err)
	}
	program, err := dup(p.Writer())
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	p.Started()
	if _, err := program.WriteString("a\nb"); err != nil {
		t.Fatal(err)
	}
	p.Drain()
	p.Close(time.Millisecond)
	p.Drain() // nothing happens
	if all := got.all(); !slices.Equal(all, []string{"a", "b"}) {
		t.Errorf("emitted %q", all)
	}
}

// BenchmarkDrain is what the end of each run of a script costs, for one stream that
// has nothing more.
func BenchmarkDrain(b *testing.B) {
	p, err := NewPipe(func(string) {})
	if err != nil {
		b.Fatal(err)
	}
	program, err := dup(p.Writer())
	if err != nil {
		b.Fatal(err)
	}
	p.Started()
	b.ReportAllocs()
	for b.Loop() {
		p.Drain()
	}
	if err := program.Close(); err != nil {
		b.Fatal(err)
	}
	p.Close(time.Minute)
}
