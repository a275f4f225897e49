package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/schema"
)

// watchTree watches a directory, and those below it where Rego is looked for.
func watchTree(w *fsnotify.Watcher, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil || !d.IsDir():
			return nil // what is gone by now needs no watching
		case path != dir && !resource.IsRegoDir(d.Name()):
			return filepath.SkipDir
		}
		return w.Add(path)
	})
}

// concerns reports whether a change in a directory of manifests may change
// resources; directories that are new are watched from now on.
func (m *manifestDir) concerns(w *fsnotify.Watcher, ev fsnotify.Event) bool {
	base := filepath.Base(ev.Name)
	switch {
	case resource.IsRego(base):
		return true
	case resource.IsManifest(base):
		return filepath.Dir(ev.Name) == filepath.Clean(m.dir)
	case !resource.IsRegoDir(base) || filepath.Ext(base) != "":
		return false // no directory, for all that is likely
	case ev.Has(fsnotify.Create):
		if st, err := os.Stat(ev.Name); err != nil || !st.IsDir() {
			return false
		}
		if err := watchTree(w, ev.Name); err != nil {
			m.log.Warn("watching manifests", "dir", ev.Name, "error", err)
		}
		return true
	}
	return ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)
}

// Replace writes objects and removes gone (no functions), all or none: what
// takes another's place may contradict it.
func (s *resourceStore) Replace(ctx context.Context, objects, gone []resource.Object) ([]resource.Object, error) {
	if len(gone) == 0 {
		return s.Apply(ctx, objects, false)
	}
	if err := s.prepare(ctx, objects, false); err != nil {
		return nil, err
	}
	stored, p, err := s.change(ctx, func(current []resource.Object) (*plan, error) {
		left := others(slices.Clone(current), gone)
		p, err := planWrite(left, objects, gateway.Condition{})
		if err != nil {
			return nil, err
		}
		for _, o := range current {
			if slices.ContainsFunc(gone, func(g resource.Object) bool { return g.Kind == o.Kind && g.Metadata.Name == o.Metadata.Name }) &&
				!slices.ContainsFunc(objects, func(w resource.Object) bool { return w.Kind == o.Kind && w.Metadata.Name == o.Metadata.Name }) {
				p.add(ledger.Edit{Object: o, Delete: true, If: unchanged(&o)})
			}
		}
		return p, stands(left, p.after)
	})
	if err != nil {
		return nil, err
	}
	answer := make([]resource.Object, len(objects))
	for i, at := range p.answers {
		answer[i] = stored[at]
	}
	return answer, nil
}

// stands checks what is written together with all the policies and schemas that are left.
func stands(left, written []resource.Object) error {
	together := slices.DeleteFunc(others(left, written), func(o resource.Object) bool { return !isPolicy(o) && o.Kind != resource.KindSchema })
	set, faults := resource.NewSet(0, append(together, written...))
	faults = append(faults, policies.CheckSet(set)...)
	faults = append(faults, schema.CheckSchemas(set)...)
	return append(faults, checkWebhooks(&set)...).Err()
}

// needed refuses to take away a policy without which others do not compile:
// nothing could be loaded then, and a process that starts would not get ready.
func (s *resourceStore) needed(ctx context.Context, name string) error {
	f, err := s.faultWithout(ctx, resource.KindPolicy, name, policies.CheckSet)
	if f != nil {
		err = fmt.Errorf("%w: without it %s does not compile: %s", gateway.ErrInUse, f.Resource, f.Problem)
	}
	return err
}

// faultWithout is a fault that the resources of a kind do not have now and would
// have without one of them; nil is none.
func (s *resourceStore) faultWithout(ctx context.Context, kind, name string, check func(resource.Set) resource.Faults) (*resource.Fault, error) {
	current, err := s.ledger.List(ctx, kind)
	if err != nil {
		return nil, ledgerError(err)
	}
	before, _ := resource.NewSet(0, current)
	after, _ := resource.NewSet(0, slices.DeleteFunc(slices.Clone(current), func(o resource.Object) bool { return o.Metadata.Name == name }))
	had := check(before)
	for _, f := range check(after) {
		if !slices.Contains(had, f) {
			return &f, nil
		}
	}
	return nil, nil
}
