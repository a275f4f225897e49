package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// resourceStore checks what is written and keeps it in the ledger. After a
// write it waits until this process works by it.
type resourceStore struct {
	ledger *ledger.Ledger
	await  func(ctx context.Context, revision uint64)
	// replays completes the resources of that kind.
	replays *replayDesk
}

// ledgerError says an error of the ledger in the gateway's terms.
func ledgerError(err error) error {
	for _, m := range []struct{ ledger, gateway error }{
		{ledger.ErrNotFound, gateway.ErrNotFound},
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
	if err == nil && kind == resource.KindReplay {
		err = s.replays.addStatus(ctx, objects)
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
	if err != nil || kind != resource.KindReplay {
		return o, ledgerError(err)
	}
	one := []resource.Object{o}
	err = s.replays.addStatus(ctx, one)
	return one[0], ledgerError(err)
}

// Put implements gateway.Resources.
func (s *resourceStore) Put(ctx context.Context, o resource.Object, c gateway.Condition) (resource.Object, bool, error) {
	one := []resource.Object{o}
	if err := s.check(ctx, one, c.Absent); err != nil {
		return o, false, err
	}
	o = one[0]
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

// Apply implements gateway.Resources.
func (s *resourceStore) Apply(ctx context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error) {
	if err := s.check(ctx, objects, false); err != nil || dryRun {
		return objects, err
	}
	stored, err := s.ledger.Apply(ctx, objects)
	if err != nil {
		return nil, ledgerError(err)
	}
	var newest uint64
	for _, o := range stored {
		newest = max(newest, o.Metadata.Revision)
	}
	s.await(ctx, newest)
	return stored, nil
}

// Delete implements gateway.Resources.
func (s *resourceStore) Delete(ctx context.Context, kind, name string, revision uint64) error {
	return ledgerError(s.ledger.Delete(ctx, kind, name, ledger.IfRevision(revision)))
}

// Remove deletes whatever is there.
func (s *resourceStore) Remove(ctx context.Context, kind, name string) error {
	return s.Delete(ctx, kind, name, 0)
}

// check validates objects one by one and then compiles them together with the
// policies in force, as they would be loaded. With absent none may be there yet.
// It completes replays, in place.
func (s *resourceStore) check(ctx context.Context, objects []resource.Object, absent bool) error {
	var faults resource.Faults
	for i := range objects {
		o := &objects[i]
		found := o.Validate()
		for j := range found {
			found[j].Resource = o.Kind + "/" + o.Metadata.Name
		}
		faults = append(faults, found...)
	}
	if len(faults) > 0 {
		return faults
	}
	if err := s.replays.prepare(ctx, objects, absent); err != nil {
		return err
	}
	together := objects
	if slices.ContainsFunc(objects, isPolicy) {
		current, err := s.ledger.List(ctx, resource.KindPolicy)
		if err != nil {
			return ledgerError(err)
		}
		together = append(others(current, objects), objects...)
	}
	set, faults := resource.NewSet(0, together)
	return append(faults, policies.CheckSet(set)...).Err()
}

func isPolicy(o resource.Object) bool { return o.Kind == resource.KindPolicy }

// others are those of current that objects do not replace.
func others(current, objects []resource.Object) []resource.Object {
	return slices.DeleteFunc(current, func(have resource.Object) bool {
		return slices.ContainsFunc(objects, func(o resource.Object) bool { return o.Kind == have.Kind && o.Metadata.Name == have.Metadata.Name })
	})
}
