package main

import (
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

func TestALineIsShownWithoutWhatMovesTheCursor(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"info","msg":"made\u001b[2J","width":200,"run":"1"}`: "stdout  made[2J width=200  [r1]",
		"a\x1b[31mred\tb\u0085": "stdout  a[31mred\tb  [r1]",
	} {
		if got := lineText(&event.Log{Stream: "stdout", Line: line, Run: "r\x1b1"}); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
}
