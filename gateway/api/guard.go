package api

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// change is what one request does to resources, on its way past the guard.
type change struct {
	api *API
	// force carries it out even if its author could not undo it.
	force    bool
	requests []*access.Request
	// minted are the tokens of keys that are made, by the place of the key.
	minted map[int]string
}

// write asks whether the objects may be written, and completes keys among them,
// in place. before are the objects as they are now, by place; nil is none.
func (a *API) write(ctx context.Context, c *fiber.Ctx, objects []resource.Object, before []*resource.Object) (*change, error) {
	ch, err := a.newChange(c)
	if err != nil {
		return nil, err
	}
	for i := range objects {
		r := requestOf(c, access.Write, objects[i].Kind, objects[i].Metadata.Name)
		r.Object, r.Before = &objects[i], before[i]
		ch.requests = append(ch.requests, r)
		if err := a.deps.Guard.Allow(ctx, r); err != nil {
			return nil, err
		}
		if token := mint(&objects[i], before[i]); token != "" {
			ch.minted[i] = token
		}
	}
	return ch, ch.lockedOut(ctx, access.Change{Written: objects})
}

// remove asks whether an object may be deleted; before is it, nil is none.
func (a *API) remove(ctx context.Context, c *fiber.Ctx, k resource.Kind, name string, before *resource.Object) (*change, error) {
	ch, err := a.newChange(c)
	if err != nil {
		return nil, err
	}
	r := requestOf(c, access.Delete, k.Name, name)
	r.Before = before
	ch.requests = append(ch.requests, r)
	if err := a.deps.Guard.Allow(ctx, r); err != nil || before == nil {
		return ch, err
	}
	return ch, ch.lockedOut(ctx, access.Change{Deleted: []resource.Object{*before}})
}

func (a *API) newChange(c *fiber.Ctx) (*change, error) {
	force, err := flag(c, "force")
	return &change{api: a, force: force, minted: map[int]string{}}, err
}

func requestOf(c *fiber.Ctx, verb access.Verb, kind, name string) *access.Request {
	return &access.Request{Identity: access.Of(c.Context()), Route: c.Route().Path, Method: string(c.Request().Header.Method()), Verb: verb, Kind: kind, Name: name}
}

func (ch *change) lockedOut(ctx context.Context, c access.Change) error {
	if ch.force {
		return nil
	}
	for _, r := range ch.requests {
		if r.Kind != resource.KindPolicy {
			continue
		}
		if err := ch.api.deps.Guard.LockedOut(ctx, r, c); err != nil {
			return err
		}
	}
	return nil
}

// done notes what was written, and puts the tokens of new keys where they are
// shown this once. stored are the objects of write as they now stand; none is a deletion.
func (ch *change) done(c *fiber.Ctx, stored []resource.Object) {
	for i, r := range ch.requests {
		var after *resource.Object
		if i < len(stored) {
			after = &stored[i]
			if r.Before != nil && r.Before.Metadata.Revision == after.Metadata.Revision {
				continue // as it was
			}
		}
		ch.api.deps.Guard.Done(r, r.Before, after)
		if token := ch.minted[i]; token != "" && after != nil {
			showToken(after, token)
			c.Locals(localNoStore{}, true)
		}
	}
}

// localChanged marks a request that changed a resource, past the guard of its route.
type localChanged struct{}

type changed struct{ before, after *resource.Object }

// ChangedBy is what a request changed whose route is asked about as a whole; nil
// are those that were, or are, not there.
func ChangedBy(c *fiber.Ctx) (before, after *resource.Object) {
	ch, _ := c.Locals(localChanged{}).(changed)
	return ch.before, ch.after
}

// existing are the objects as they are now; nil are those that are not there.
func (a *API) existing(ctx context.Context, objects []resource.Object) ([]*resource.Object, error) {
	all := make([]*resource.Object, len(objects))
	for i := range objects {
		var err error
		if all[i], err = a.existingOne(ctx, objects[i].Kind, objects[i].Metadata.Name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (a *API) existingOne(ctx context.Context, kind, name string) (*resource.Object, error) {
	o, err := a.deps.Resources.Get(ctx, kind, name)
	if errors.Is(err, problem.ErrNotFound) {
		return nil, nil
	}
	return &o, err
}
