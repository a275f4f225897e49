//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

// A function that somebody begins runs as it is, in each language.
func TestANewFunctionRunsAsItIs(t *testing.T) {
	for _, language := range []string{"python", "node", "go"} {
		t.Run(language, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "greet")
			if out, err := exec.CommandContext(t.Context(), binary(t), "new", language, "greet", "--dir", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			s := start(t, "dev", dir, "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t))
			sink := newRecorder(t, nil)
			s.apply(functionManifest("sink", sink.URL, "com.example.greet.answered"))
			if err := s.Emit(t.Context(), &event.Event{ID: "1", Source: "/e2e", Type: "com.example.greet.asked", DataContentType: "application/json", Data: []byte(`{"who":"Ada"}`)}); err != nil {
				t.Fatal(err)
			}
			if got := sink.awaitCalls(t, 1)[0]; !strings.Contains(got.body, "Hello, Ada!") {
				t.Error(got.body)
			}
			await(t, "its output in the terminal", func() error {
				if !strings.Contains(s.out.String(), "greeting Ada") {
					return fmt.Errorf("\n%s", s.out)
				}
				return nil
			})
		})
	}
}
