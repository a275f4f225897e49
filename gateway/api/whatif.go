package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// WhatIfs computes what other links and policies would make of recorded events.
type WhatIfs interface {
	// WhatIf answers for a part of the log: as much as a few seconds allow. A
	// candidate that is wrong is resource.Faults, as when it is applied; other
	// resources in force than with the cursor's first request are
	// problem.ErrConflict. Errors wrap problem.ErrUnavailable when log or ledger
	// are away, or when others ask for too much at the same time. Safe for
	// concurrent use.
	WhatIf(ctx context.Context, q history.WhatIf) (history.WhatIfAnswer, error)
}

// The examples of a difference that are given unless asked otherwise, and at most.
const (
	defaultExamples = 3
	maxExamples     = 20
)

// whatIfBody is the request's body.
type whatIfBody struct {
	Objects  []json.RawMessage `json:"objects"`
	Remove   []string          `json:"remove"`
	Since    string            `json:"since"`
	Until    string            `json:"until"`
	Where    string            `json:"where"`
	Limit    int               `json:"limit"`
	Examples *int              `json:"examples"`
	Cursor   string            `json:"cursor"`
}

// WhatIf says what a candidate set of resources would have made of recorded events.
func (a *API) WhatIf(c *fiber.Ctx) error {
	if a.deps.WhatIfs == nil {
		return problem.New(problem.Unavailable, "what-if is not available here")
	}
	if t := mediaType(c.Get(fiber.HeaderContentType)); t != "" && t != fiber.MIMEApplicationJSON {
		return problem.New(problem.UnsupportedMediaType, "Content-Type: want %s", fiber.MIMEApplicationJSON)
	}
	var in whatIfBody
	if err := decodeStrictly(c.Context().Request.Body(), &in); err != nil {
		return problem.New(problem.InvalidRequest, "body: %v: want an object with objects, remove, since, until, where, limit, examples and cursor", err)
	}
	q, err := a.whatIf(&in)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		out, err := a.deps.WhatIfs.WhatIf(ctx, q)
		if err != nil {
			return err
		}
		return answer(c, fiber.StatusOK, &out)
	})
}

func (a *API) whatIf(in *whatIfBody) (q history.WhatIf, err error) {
	q = history.WhatIf{Where: in.Where, Limit: in.Limit, Examples: defaultExamples, Cursor: in.Cursor}
	if q.Objects, err = candidates(in.Objects); err != nil {
		return q, err
	}
	for _, name := range in.Remove {
		r, err := resourceName(name)
		if err != nil {
			return q, err
		}
		q.Remove = append(q.Remove, r)
	}
	now := a.deps.Now()
	if in.Since != "" {
		if q.Since, err = parameter.Time("since", in.Since, now); err != nil {
			return q, err
		}
	}
	if in.Until != "" {
		if q.Until, err = parameter.Time("until", in.Until, now); err != nil {
			return q, err
		}
	}
	if in.Examples != nil {
		q.Examples = *in.Examples
	}
	switch {
	case len(q.Objects)+len(q.Remove) == 0:
		err = problem.New(problem.InvalidRequest, "objects and remove: want at least one change")
	case q.Limit < 0:
		err = problem.New(problem.InvalidRequest, "limit %d: want 0 (no limit) or more", q.Limit)
	case q.Examples < 0 || q.Examples > maxExamples:
		err = problem.New(problem.InvalidRequest, "examples %d: want 0 to %d", q.Examples, maxExamples)
	case !q.Until.IsZero() && q.Until.Before(q.Since):
		err = problem.New(problem.InvalidRequest, "until is before since")
	}
	return q, err
}

// candidates reads the objects; nothing may stand twice.
func candidates(documents []json.RawMessage) ([]resource.Object, error) {
	objects := make([]resource.Object, 0, len(documents))
	var faults resource.Faults
	seen := map[string]bool{}
	for i, d := range documents {
		o, err := resource.DecodeOne(d)
		if fs, ok := err.(resource.Faults); ok { //nolint:errorlint // DecodeOne returns nothing else
			for _, f := range fs {
				f.Line, f.Field = 0, strings.TrimSuffix(fmt.Sprintf("objects[%d].%s", i, f.Field), ".")
				faults = append(faults, f)
			}
			continue
		} else if err != nil {
			return nil, err
		}
		key := o.Kind + "/" + o.Metadata.Name
		if seen[key] {
			faults = append(faults, resource.Fault{Field: fmt.Sprintf("objects[%d].metadata.name", i), Problem: key + " stands twice"})
		}
		seen[key] = true
		objects = append(objects, o)
	}
	return objects, faults.Err()
}

// resourceName reads Kind/name; the kind is written as anywhere else.
func resourceName(s string) (history.ResourceName, error) {
	kind, name, ok := strings.Cut(s, "/")
	k, err := resource.LookupKind(kind)
	if !ok || name == "" || err != nil {
		return history.ResourceName{}, problem.New(problem.InvalidRequest, "remove %q: want kind/name, such as Link/thumbs", parameter.Clip(s))
	}
	return history.ResourceName{Kind: k.Name, Name: name}, nil
}
