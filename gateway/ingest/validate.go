package ingest

import (
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// Validator checks the data of events against schemas.
type Validator interface {
	// Validate returns where the data do not satisfy the schemas that refuse the
	// event; none lets it in. What is only to be warned of, and what is refused, it
	// counts and notes itself. It is asked after the admission policy, about every
	// event, so it must cost next to nothing where no schema applies. Safe for
	// concurrent use.
	Validate(a Admission) []problem.Violation
}

const (
	// maxViolations bounds what is told about one event, maxBad the events of a
	// batch that are told about.
	maxViolations = 20
	maxBad        = 100
)

// validate asks about every event; one that satisfies a schema not refuses all.
func (h *Handler) validate(a Arrival, events []*event.Event) error {
	if h.deps.Validator == nil {
		return nil
	}
	var p *problem.Problem
	for i, e := range events {
		v := h.deps.Validator.Validate(Admission{Event: e, Route: a.Route, Identity: a.Identity})
		if len(v) == 0 {
			continue
		}
		v = v[:min(len(v), maxViolations)]
		if p == nil {
			p = problem.New(problem.Schema, "%s", told(v))
			p.Violations = v
		}
		if !a.Batch {
			break
		}
		if p.Index == nil {
			p.Index = &i
			p.Detail = fmt.Sprintf("event %d: %s", i, p.Detail)
		}
		if p.Errors = append(p.Errors, problem.Item{Index: i, Detail: told(v)}); len(p.Errors) == maxBad {
			break
		}
	}
	if p == nil {
		return nil
	}
	return p
}

// told sums up violations in a line: the first one, and how many more there are.
func told(v []problem.Violation) string {
	var b strings.Builder
	if v[0].Path != "" {
		b.WriteString(v[0].Path + ": ")
	}
	fmt.Fprintf(&b, "%s (schema %s)", v[0].Detail, v[0].Schema)
	if n := len(v) - 1; n > 0 {
		fmt.Fprintf(&b, ", and %d more", n)
	}
	return b.String()
}
