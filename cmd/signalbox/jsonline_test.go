package main

import (
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

func TestLinesInJSONAreReadableInTheTerminal(t *testing.T) {
	for _, test := range []struct{ name, level, line, want string }{
		{"plain", "", "hello", "hello"},
		{"plain with a level", "error", "hello", "error hello"},
		{"a message", "info", `{"time":"x","level":"INFO","msg":"hello","run":"1","width":64,"of":"a \"b\"","list":[1, 2]}`, `info hello width=64 of=a "b" list=[1, 2]`},
		{"another's message", "", `{"message":"hello","signalbox_run":"r"}`, "hello"},
		{"no message", "info", `{"level":"info","width":64}`, `info {"level":"info","width":64}`},
		{"no JSON", "", `{not JSON`, `{not JSON`},
		{"cut off", "", `{"msg":"hello","a":`, `{"msg":"hello","a":`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := readable(&event.Log{Level: test.level, Line: test.line}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
