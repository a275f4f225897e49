package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/schema"
)

// resourceStore checks what is written and keeps it in the ledger. After a
// write it waits until this process works by it.
type resourceStore struct {
	// most bounds the resources of one Apply, which the ledger writes at one moment; 0 is no bound.
	most   int
	ledger *ledger.Ledger
	await  func(ctx context.Context, revision uint64)
	// replays completes the resources of that kind.
	replays *replayDesk
	// artifacts has the files that functions name; nil is not asked.
	artifacts *artifacts.Store
	// running says how what runs a version of a function is; nil leaves functions without a status.
	running func(name string) (resource.FunctionStatus, bool)
	// access says how events find a link; nil leaves links without a status.
	access func(link string) string
}

// maxEmbeddedApply is how many resources the scripts of the embedded Redis can
// write at one moment; theirs fail at some 4,500.
const maxEmbeddedApply = 4000

// ledgerError says an error of the ledger in the gateway's terms.
func ledgerError(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return gateway.ErrNotFound // the gateway says what was asked for
	}
	for _, m := range []struct{ ledger, gateway error }{
		{ledger.ErrExists, gateway.ErrExists},
		{ledger.ErrConflict, gateway.ErrConflict},
		{ledger.ErrUnavailable, gateway.ErrUnavailable},
		{ledger.ErrHistory, gateway.ErrUnavailable},
	} {
		if errors.Is(err, m.ledger) {
			return fmt.Errorf("%w: %w", m.gateway, err)
		}
	}
	return err
}

// List implements gateway.Resources.
func (s *resourceStore) List(ctx context.Context, kind string) ([]resource.Object, error) {
	objects, err := s.ledger.List(ctx, kind)
	switch {
	case err != nil:
	case kind == resource.KindReplay:
		err = s.replays.addStatus(ctx, objects)
	case kind == resource.KindFunction:
		err = s.addFunctionStatus(objects)
	}
	return objects, ledgerError(err)
}

// All returns the resources of every kind.
func (s *resourceStore) All(ctx context.Context) ([]resource.Object, error) {
	_, objects, err := s.ledger.Snapshot(ctx)
	return objects, ledgerError(err)
}

// Get implements gateway.Resources.
func (s *resourceStore) Get(ctx context.Context, kind, name string) (resource.Object, error) {
	o, err := s.ledger.Get(ctx, kind, name)
	one := []resource.Object{o}
	switch {
	case err != nil:
	case kind == resource.KindReplay:
		err = s.replays.addStatus(ctx, one)
	case kind == resource.KindFunction:
		err = s.addFunctionStatus(one)
	case kind == resource.KindLink && s.access != nil:
		one[0].Status, err = json.Marshal(resource.LinkStatus{Access: s.access(name)})
	}
	return one[0], ledgerError(err)
}

// Put implements gateway.Resources.
func (s *resourceStore) Put(ctx context.Context, o resource.Object, c gateway.Condition) (resource.Object, bool, error) {
	one := []resource.Object{o}
	if err := s.prepare(ctx, one, c.Absent); err != nil {
		return o, false, err
	}
	if o.Kind == resource.KindFunction {
		if err := s.keepArtifacts(ctx, one); err != nil {
			return o, false, err
		}
		return s.putFunction(ctx, one, c)
	}
	o = one[0]
	if err := s.compiles(ctx, one); err != nil {
		return o, false, err
	}
	_, err := s.ledger.Get(ctx, o.Kind, o.Metadata.Name)
	created := errors.Is(err, ledger.ErrNotFound)
	cond := ledger.IfRevision(c.Revision)
	if c.Absent {
		cond = ledger.MustNotExist()
	}
	stored, err := s.ledger.Put(ctx, o, cond)
	if err != nil {
		return o, false, ledgerError(err)
	}
	s.await(ctx, stored.Metadata.Revision)
	return stored, created, nil
}

// putFunction writes a function beside its other versions.
func (s *resourceStore) putFunction(ctx context.Context, one []resource.Object, c gateway.Condition) (resource.Object, bool, error) {
	stored, p, err := s.change(ctx, func(current []resource.Object) (*plan, error) { return s.planChecked(ctx, current, one, c) })
	if err != nil {
		return one[0], false, err
	}
	return stored[p.answers[0]], p.created[one[0].Metadata.Name], nil
}

// planChecked plans a write and checks what would stand then.
func (s *resourceStore) planChecked(ctx context.Context, current, objects []resource.Object, c gateway.Condition) (*plan, error) {
	p, err := planWrite(current, objects, c)
	if err == nil {
		err = s.compiles(ctx, p.after)
	}
	return p, err
}

// Apply implements gateway.Resources.
func (s *resourceStore) Apply(ctx context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error) {
	if s.most > 0 && len(objects) > s.most {
		return nil, resource.Faults{{Problem: fmt.Sprintf("%d resources at a time: want at most %d with the embedded Redis; apply them in parts", len(objects), s.most)}}
	}
	if err := s.prepare(ctx, objects, false); err != nil {
		return objects, err
	}
	if !dryRun {
		if err := s.keepArtifacts(ctx, objects); err != nil {
			return nil, err
		}
	}
	stored, p, err := s.change(ctx, func(current []resource.Object) (*plan, error) {
		p, err := s.planChecked(ctx, current, objects, gateway.Condition{})
		if err == nil && dryRun {
			err = errDryRun
		}
		return p, err
	})
	switch {
	case errors.Is(err, errDryRun):
		return objects, nil
	case err != nil:
		return nil, err
	}
	answer := make([]resource.Object, len(objects))
	for i, at := range p.answers {
		answer[i] = stored[at]
	}
	return answer, nil
}

// errDryRun ends a change before it happens.
var errDryRun = errors.New("only a check")

// Delete implements gateway.Resources. A function goes with all its versions.
func (s *resourceStore) Delete(ctx context.Context, kind, name string, revision uint64) error {
	if kind == resource.KindSchema {
		if err := s.referred(ctx, name); err != nil {
			return err
		}
	}
	if kind == resource.KindPolicy {
		if err := s.needed(ctx, name); err != nil {
			return err
		}
	}
	if err := s.remove(ctx, kind, name, revision); err != nil {
		return err
	}
	if now, err := s.ledger.Revision(ctx); err == nil { // else it is out of force all the same, a little later
		s.await(ctx, now)
	}
	return nil
}

func (s *resourceStore) remove(ctx context.Context, kind, name string, revision uint64) error {
	if kind != resource.KindFunction {
		return ledgerError(s.ledger.Delete(ctx, kind, name, ledger.IfRevision(revision)))
	}
	if function, version, kept := resource.CutVersion(name); kept {
		return s.deleteVersion(ctx, function, version, revision)
	}
	return s.deleteFunction(ctx, name, revision)
}

// Remove deletes whatever is there.
func (s *resourceStore) Remove(ctx context.Context, kind, name string) error {
	return s.Delete(ctx, kind, name, 0)
}

// prepare validates objects one by one. With absent none may be there yet. It
// completes replays, in place.
func (s *resourceStore) prepare(ctx context.Context, objects []resource.Object, absent bool) error {
	var faults resource.Faults
	for i := range objects {
		o := &objects[i]
		found := o.Validate()
		for j := range found {
			found[j].Resource = o.Kind + "/" + o.Metadata.Name
		}
		faults = append(faults, found...)
		if o.Kind == resource.KindLink || o.Kind == resource.KindFunction {
			o.Status = nil // it is not kept
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return s.replays.prepare(ctx, objects, absent)
}

// compiles checks objects, the versions of functions among them, together with
// the policies and schemas in force, as they would be loaded.
func (s *resourceStore) compiles(ctx context.Context, objects []resource.Object) error {
	together := objects
	for _, kind := range []string{resource.KindPolicy, resource.KindSchema} {
		if !slices.ContainsFunc(objects, func(o resource.Object) bool { return o.Kind == kind }) {
			continue
		}
		current, err := s.ledger.List(ctx, kind)
		if err != nil {
			return ledgerError(err)
		}
		together = append(others(current, objects), together...)
	}
	set, faults := resource.NewSet(0, together)
	faults = append(faults, policies.CheckSet(set)...)
	faults = append(faults, schema.CheckSchemas(set)...)
	return append(faults, checkWebhooks(&set)...).Err()
}

func isPolicy(o resource.Object) bool { return o.Kind == resource.KindPolicy }

// others are those of current that objects do not replace.
func others(current, objects []resource.Object) []resource.Object {
	replaced := make(map[[2]string]bool, len(objects))
	for i := range objects {
		replaced[[2]string{objects[i].Kind, objects[i].Metadata.Name}] = true
	}
	return slices.DeleteFunc(current, func(o resource.Object) bool { return replaced[[2]string{o.Kind, o.Metadata.Name}] })
}
