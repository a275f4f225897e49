package functions

import (
	"fmt"
	"maps"
	"time"

	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/resource"
)

// openRuntimes makes the host of scripts, where they are run, beside the runtimes that were given.
func (r *Registry) openRuntimes() error {
	r.runtimes = map[string]Runtime{}
	maps.Copy(r.runtimes, r.c.Runtimes)
	if r.c.Scripts == nil {
		return nil
	}
	c := scripts.DefaultConfig()
	c.Dir, c.Sender, c.State = r.c.Scripts.Dir, r.c.Scripts.Sender, r.c.Scripts.State
	c.Environ, c.Keeper, c.Output, c.Log = r.c.Environ, r.keeper, r.c.Output, r.c.Log
	c.Secrets, c.MountsDir = r.c.Secrets, r.mounts
	c.Artifacts = r.c.Artifacts
	if told := r.c.Changed; told != nil {
		c.Changed = func(function, file string, took time.Duration) {
			told(Change{Function: function, File: file, Runs: true, Took: took})
		}
	}
	host, err := scripts.New(c)
	if err != nil {
		return err
	}
	r.runtimes[resource.RuntimeScripts] = scripted{host}
	return nil
}

// scripted is the host of scripts as a Runtime.
type scripted struct{ *scripts.Host }

// URL implements Runtime.
func (s scripted) URL(fn *resource.Function) (string, error) {
	url, err := s.Host.URL(fn)
	if err != nil {
		return "", fmt.Errorf("function %s: %w: %w", idOf(fn), ErrNotReady, err)
	}
	return url, nil
}
