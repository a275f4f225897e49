package kube

import (
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/kubetest"
	"github.com/signalbox-dev/signalbox/resource"
)

func TestWhatThePodsOfAVersionPrintIsPassedOn(t *testing.T) {
	for _, platform := range []string{resource.PlatformKubernetes, resource.PlatformKnative} {
		t.Run(platform, func(t *testing.T) {
			var mu sync.Mutex
			var lines []event.Log
			s := newStage(t, platform, func(c *Config) {
				c.Output = func(l event.Log) {
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, l)
				}
			})
			fn := image("f", "1", platform)
			fn.Spec.Env = []resource.EnvVar{{Name: "KEY", Secret: "key"}}
			pod := func(function, owner string) {
				path := "/api/v1/namespaces/fns/pods/" + function
				s.server.Print(path, "2026-01-01T00:00:00Z with value-of-key")
				s.server.Put(path, kubetest.Object{
					"apiVersion": "v1", "kind": "Pod",
					"metadata": kubetest.Object{"name": function, "labels": kubetest.Object{labelOwner: owner, labelInstance: objectName(owner, board.ID{Name: function, Version: "1"})}},
					"status":   kubetest.Object{"containerStatuses": []any{kubetest.Object{"name": containerName, "state": kubetest.Object{"running": kubetest.Object{}}}}},
				})
			}
			pod("f", s.c.Owner)
			pod("g", s.c.Owner)
			pod("h", "another")
			s.Reconcile([]*resource.Function{fn}, nil)
			s.Until("the line", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(lines) > 0
			})
			s.passes()
			mu.Lock()
			defer mu.Unlock()
			if l := lines[0]; len(lines) != 1 || l.Function != "f" || l.Version != "1" || l.Instance != "f" || l.Line != "with ***" {
				t.Errorf("got %+v", lines)
			}
		})
	}
}

func TestWhoOnlyLooksReadsNoPods(t *testing.T) {
	s := newStage(t, resource.PlatformKubernetes, func(c *Config) {
		c.ReadOnly, c.Output = true, func(event.Log) {}
	})
	s.Reconcile([]*resource.Function{image("f", "1", resource.PlatformKubernetes)}, nil)
	s.passes()
	if got := strings.Join(s.server.Writes(), " "); got != "" {
		t.Errorf("wrote %s", got)
	}
}
