package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// Prefix is what every route of the API begins with.
const Prefix = "/api/v1"

// patchAttempts bounds how often a patch is computed again when somebody else
// changed the resource in between.
const patchAttempts = 5

// Location is the path of a resource.
func Location(k resource.Kind, name string) string {
	return Prefix + "/" + k.Plural + "/" + name
}

// List answers the resources of a kind, sorted by name, a page at a time.
func (a *API) List(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		q, sel, err := a.listQuery(c)
		if err != nil {
			return err
		}
		return a.within(func(ctx context.Context) error {
			all, err := a.deps.Resources.List(ctx, k.Name)
			if err != nil {
				return err
			}
			return page(c, sel.page(all, q.Cursor, q.Limit), objectJSON)
		})
	}
}

func (a *API) listQuery(c *fiber.Ctx) (history.Query, selector, error) {
	sel, err := parseSelector(strings.Clone(c.Query("selector")))
	if err != nil {
		return history.Query{}, nil, err
	}
	q := history.Query{Limit: a.config.DefaultLimit}
	if s := c.Query("limit"); s != "" {
		if q.Limit, err = a.limit(s); err != nil {
			return q, nil, err
		}
	}
	q.Cursor, err = decodeCursor(c.Query("cursor"))
	return q, sel, err
}

// Get answers one resource; 304 when the client has that revision.
func (a *API) Get(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		name := nameOf(c)
		return a.within(func(ctx context.Context) error {
			o, err := a.deps.Resources.Get(ctx, k.Name, name)
			if err != nil {
				return named(k, name, err)
			}
			if tag := etag(&o); tagIn(c.Get(fiber.HeaderIfNoneMatch), tag) {
				c.Set(fiber.HeaderETag, tag)
				return c.SendStatus(fiber.StatusNotModified)
			}
			return answerObject(c, fiber.StatusOK, &o)
		})
	}
}

// Add answers 201 with the resource, 409 where it exists.
func (a *API) Add(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		o, err := decode(c, k)
		if err != nil {
			return err
		}
		return a.put(c, k, o, Condition{Absent: true})
	}
}

// Update adds or replaces. With a revision (metadata.revision or If-Match) it
// replaces only that one.
func (a *API) Update(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		o, err := decode(c, k)
		if err != nil {
			return err
		}
		if err := sameName(c, &o); err != nil {
			return err
		}
		cond, err := condition(c, o.Metadata.Revision)
		if err != nil {
			return err
		}
		return a.put(c, k, o, cond)
	}
}

func (a *API) put(c *fiber.Ctx, k resource.Kind, o resource.Object, cond Condition) error {
	return a.within(func(ctx context.Context) error {
		before, err := a.existingOne(ctx, k.Name, o.Metadata.Name)
		if err != nil {
			return err
		}
		one := []resource.Object{o}
		ch, err := a.write(ctx, c, one, []*resource.Object{before})
		if err != nil {
			return err
		}
		stored, created, err := a.deps.Resources.Put(ctx, one[0], cond)
		if err != nil {
			return precondition(c, named(k, o.Metadata.Name, err))
		}
		one[0] = stored
		ch.done(c, one)
		stored = one[0]
		status := fiber.StatusOK
		if created {
			status = fiber.StatusCreated
			c.Set(fiber.HeaderLocation, Location(k, stored.Metadata.Name))
		}
		return answerObject(c, status, &stored)
	})
}

// Patch changes a resource by a JSON merge patch (RFC 7396).
func (a *API) Patch(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if mediaType(c.Get(fiber.HeaderContentType)) != mergePatchType {
			c.Set("Accept-Patch", mergePatchType)
			return problem.New(problem.UnsupportedMediaType, "Content-Type: want %s", mergePatchType)
		}
		patch, err := parsePatch(c.Context().Request.Body())
		if err != nil {
			return err
		}
		cond, err := condition(c, patch.revision())
		if err != nil {
			return err
		}
		return a.within(func(ctx context.Context) error { return a.patch(ctx, c, k, patch, cond) })
	}
}

// patch computes the patch on what is there and writes it if that is still
// there; when the client named no revision, a change in between means again.
func (a *API) patch(ctx context.Context, c *fiber.Ctx, k resource.Kind, patch mergePatch, cond Condition) error {
	name := nameOf(c)
	for attempt := 1; ; attempt++ {
		old, err := a.deps.Resources.Get(ctx, k.Name, name)
		if err != nil {
			return named(k, name, err)
		}
		o, err := patch.apply(&old)
		if err != nil {
			return err
		}
		based := cond
		if based.Revision == 0 {
			based.Revision = old.Metadata.Revision
		}
		one := []resource.Object{o}
		ch, err := a.write(ctx, c, one, []*resource.Object{&old})
		if err != nil {
			return err
		}
		stored, _, err := a.deps.Resources.Put(ctx, one[0], based)
		switch {
		case err == nil:
			ch.done(c, []resource.Object{stored})
			return answerObject(c, fiber.StatusOK, &stored)
		case !errors.Is(err, problem.ErrConflict) || cond.Revision != 0 || attempt == patchAttempts:
			return precondition(c, named(k, name, err))
		}
	}
}

// Delete answers 204.
func (a *API) Delete(k resource.Kind) fiber.Handler {
	return func(c *fiber.Ctx) error {
		name := nameOf(c)
		rev, err := revision(c)
		if err != nil {
			return err
		}
		cond, err := condition(c, rev)
		if err != nil {
			return err
		}
		return a.within(func(ctx context.Context) error {
			before, err := a.existingOne(ctx, k.Name, name)
			if err != nil {
				return err
			}
			ch, err := a.remove(ctx, c, k, name, before)
			if err != nil {
				return err
			}
			if err := a.deps.Resources.Delete(ctx, k.Name, name, cond.Revision); err != nil {
				return precondition(c, named(k, name, err))
			}
			ch.done(c, nil)
			return c.SendStatus(fiber.StatusNoContent)
		})
	}
}

// Rollback brings an earlier version of a function into force again: the one
// that the body names, else the one before.
func (a *API) Rollback(c *fiber.Ctx) error {
	name := nameOf(c)
	var in struct {
		Version string `json:"version"`
	}
	if body := c.Context().Request.Body(); len(body) > 0 {
		if t := mediaType(c.Get(fiber.HeaderContentType)); t != "" && t != fiber.MIMEApplicationJSON {
			return problem.New(problem.UnsupportedMediaType, "Content-Type: want %s", fiber.MIMEApplicationJSON)
		}
		if err := decodeStrictly(body, &in); err != nil {
			return problem.New(problem.InvalidRequest, "body: %v: want an object with version, or nothing", err)
		}
	}
	return a.within(func(ctx context.Context) error {
		before, err := a.existingOne(ctx, resource.KindFunction, name)
		if err != nil {
			return err
		}
		o, err := a.deps.Resources.Rollback(ctx, name, in.Version)
		if err != nil {
			return err
		}
		c.Locals(localChanged{}, changed{before, &o})
		return answerObject(c, fiber.StatusOK, &o)
	})
}

// nameOf is the resource's name that the path says; the '@' of a version may
// be escaped in it.
func nameOf(c *fiber.Ctx) string {
	name, err := url.PathUnescape(c.Params("name"))
	if err != nil {
		return strings.Clone(c.Params("name"))
	}
	return strings.Clone(name)
}

// sameName refuses a body that names another resource than the path.
func sameName(c *fiber.Ctx, o *resource.Object) error {
	if name := nameOf(c); o.Metadata.Name != name {
		return resource.Faults{{Field: "metadata.name", Problem: fmt.Sprintf("%q: the path says %q", o.Metadata.Name, parameter.Clip(name))}}
	}
	return nil
}

// named says which resource an error is about.
func named(k resource.Kind, name string, err error) error {
	for _, s := range []error{problem.ErrNotFound, problem.ErrExists, problem.ErrConflict, problem.ErrInUse} {
		if errors.Is(err, s) {
			return fmt.Errorf("%s %s: %w", k.Name, parameter.Clip(name), err)
		}
	}
	return err
}
