package functions

import (
	"context"
	"fmt"
	"sync"

	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/resource"
)

// openScripts makes the host of scripts, where they are run.
func (r *Registry) openScripts() error {
	if r.c.Scripts == nil {
		return nil
	}
	c := scripts.DefaultConfig()
	c.Dir, c.Sender, c.State = r.c.Scripts.Dir, r.c.Scripts.Sender, r.c.Scripts.State
	c.Environ, c.Keeper, c.Output, c.Log = r.c.Environ, r.keeper, r.c.Output, r.c.Log
	var err error
	r.scripts, err = scripts.New(c)
	return err
}

// runScripts starts answering; end stops it and waits for the workers.
func (r *Registry) runScripts() (end func()) {
	if r.scripts == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.scripts.Run(ctx); err != nil {
			r.c.Log.Warn("scripts did not end in time", "error", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// useScripts makes the scripts those of the set: versions that get events have
// a worker that waits for them, others when they are asked for.
func (r *Registry) useScripts(set *resource.Set) {
	if r.scripts == nil {
		return
	}
	var warm, all []*resource.Function
	for _, fn := range set.VersionsInUse() {
		if fn.Spec.Scripts != nil {
			warm = append(warm, fn)
		}
	}
	for _, fn := range set.Functions {
		for _, version := range set.Route(fn.Metadata.Name).Versions() {
			if version.Spec.Scripts != nil {
				all = append(all, version)
			}
		}
	}
	r.scripts.Reconcile(warm, all)
}

func (r *Registry) scriptsURL(fn *resource.Function) (string, error) {
	if r.scripts == nil {
		return "", fmt.Errorf("function %s: %w: this process runs no scripts", idOf(fn), ErrNotReady)
	}
	return r.scripts.URL(fn), nil
}
