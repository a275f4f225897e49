package api

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// Catalogue knows the types of events that were seen, that functions declare to
// emit and that links listen to. Errors wrap problem.ErrUnavailable. Safe for
// concurrent use.
type Catalogue interface {
	// Types lists all, sorted by name, without samples.
	Types(ctx context.Context) ([]catalogue.Type, error)
	// Type returns one, or problem.ErrNotFound.
	Type(ctx context.Context, name string) (catalogue.Type, error)
}

var typeParameters = []string{"type", "limit", "cursor"}

// Types lists the types of events.
func (a *API) Types(c *fiber.Ctx) error {
	if a.deps.Catalogue == nil {
		return problem.New(problem.Unavailable, "the catalogue is not available here")
	}
	q, err := a.query(c, typeParameters...)
	if err != nil {
		return err
	}
	after, err := decodeCursor(q.Cursor)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		all, err := a.deps.Catalogue.Types(ctx)
		if err != nil {
			return err
		}
		return page(c, typePage(all, q.Type, after, q.Limit), func(t *catalogue.Type) ([]byte, error) { return json.Marshal(t) })
	})
}

// typePage are those of a pattern ("" is any) that come after a name.
func typePage(all []catalogue.Type, pattern, after string, limit int) history.Page[catalogue.Type] {
	var p history.Page[catalogue.Type]
	at, found := slices.BinarySearchFunc(all, after, func(t catalogue.Type, name string) int { return strings.Compare(t.Name, name) })
	if found {
		at++
	}
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	for ; at < len(all); at++ {
		if name := all[at].Name; pattern != "" && name != pattern && !(isPrefix && strings.HasPrefix(name, prefix)) {
			continue
		}
		if len(p.Items) == limit {
			p.Next = encodeCursor(p.Items[limit-1].Name)
			break
		}
		p.Items = append(p.Items, all[at])
	}
	return p
}

// Type answers one type of events with a sample.
func (a *API) Type(c *fiber.Ctx) error {
	if a.deps.Catalogue == nil {
		return problem.New(problem.Unavailable, "the catalogue is not available here")
	}
	name, err := url.PathUnescape(c.Params("name"))
	if err != nil {
		return problem.New(problem.InvalidQuery, "the type in the path: %v", err)
	}
	name = strings.Clone(name)
	return a.within(func(ctx context.Context) error {
		t, err := a.deps.Catalogue.Type(ctx, name)
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, &t)
	})
}
