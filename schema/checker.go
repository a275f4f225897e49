package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Checker holds the schemas of one set, compiled. It never changes and is safe
// for concurrent use. The nil Checker has no schemas.
type Checker struct {
	cfg Config
	// exact and prefixes are the schemas by the types they are for; lengths are
	// those of the prefixes, ascending.
	exact    map[string][]*program
	prefixes map[string][]*program
	lengths  []int
	uris     map[string]*program
	// explaining is held while the places of an event's faults are gathered.
	explaining chan struct{}
}

const (
	// maxExplained is up to how many bytes of data the places are told.
	maxExplained = 256 << 10
	// explainedSteps bounds the subschemas evaluated to find the places, beside one
	// for every eight bytes.
	explainedSteps = 20_000
)

// Failure is a schema that an event does not satisfy.
type Failure struct {
	// Schema is the name of the resource, Revision its revision.
	Schema   string
	Revision uint64
	// Warn: the event is to be let in all the same.
	Warn bool
	// Violations are where and why, at least one and at most Config.MaxViolations;
	// Total is how many there are.
	Violations []Violation
	Total      int
}

// Compile compiles the schemas of a set. Faults name the schemas left out,
// with the place in them; the Checker has the others.
func Compile(set resource.Set, cfg Config) (*Checker, resource.Faults) {
	c := &Checker{cfg: cfg, exact: map[string][]*program{}, prefixes: map[string][]*program{}, uris: map[string]*program{}, explaining: make(chan struct{}, 1)}
	if err := cfg.validate(); err != nil {
		return c, resource.Faults{{Problem: "configuration: " + err.Error()}}
	}
	docs, good, faults := gather(set.Schemas)
	for _, s := range good {
		p, err := newProgram(s, docs)
		if err != nil {
			faults = append(faults, faultOf(s, err))
			continue
		}
		c.add(s, p)
	}
	slices.Sort(c.lengths)
	c.lengths = slices.Compact(c.lengths)
	return c, faults
}

// CheckSchemas compiles the schemas of a set as Compile does, for their faults.
func CheckSchemas(set resource.Set) resource.Faults {
	_, faults := Compile(set, DefaultConfig())
	return faults
}

func (c *Checker) add(s *resource.Schema, p *program) {
	if s.Spec.URI != "" {
		c.uris[s.Spec.URI] = p
	}
	for _, t := range s.Spec.Types {
		if prefix, ok := strings.CutSuffix(t, "*"); ok {
			c.prefixes[prefix] = appendOnce(c.prefixes[prefix], p)
			c.lengths = append(c.lengths, len(prefix))
			continue
		}
		c.exact[t] = appendOnce(c.exact[t], p)
	}
}

// Check returns the schemas that e does not satisfy, those that refuse it
// first; nil when it satisfies all. An event is checked by every schema of its
// type, and by the one whose URI is its dataschema. Without any it costs next
// to nothing.
func (c *Checker) Check(e *event.Event) []Failure {
	if c == nil || len(c.exact)+len(c.lengths)+len(c.uris) == 0 {
		return nil
	}
	var room [4]*program
	programs := c.appendFor(room[:0], e.Type, e.DataSchema)
	if len(programs) == 0 {
		return nil
	}
	return c.check(programs, e)
}

// Names lists the schemas that events of a type are checked by, sorted.
func (c *Checker) Names(typ string) []string {
	if c == nil {
		return nil
	}
	var names []string
	for _, p := range c.appendFor(nil, typ, "") {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// appendFor appends the schemas of a type and a dataschema, each once.
func (c *Checker) appendFor(dst []*program, typ, uri string) []*program {
	dst = append(dst, c.exact[typ]...)
	for _, n := range c.lengths {
		if n > len(typ) {
			break
		}
		for _, p := range c.prefixes[typ[:n]] {
			dst = appendOnce(dst, p)
		}
	}
	if uri != "" {
		if p := c.uris[uri]; p != nil {
			dst = appendOnce(dst, p)
		}
	}
	return dst
}

func appendOnce(dst []*program, p *program) []*program {
	if slices.Contains(dst, p) {
		return dst
	}
	return append(dst, p)
}

func (c *Checker) check(programs []*program, e *event.Event) []Failure {
	v, err := data(e, c.cfg.MaxDepth)
	var failures []Failure
	for _, p := range programs {
		f := Failure{Schema: p.name, Revision: p.revision, Warn: p.warn}
		if err != nil {
			f.Violations, f.Total = []Violation{{Problem: cut(err.Error(), maxProblem)}}, 1
		} else {
			f.Violations, f.Total = c.run(p, v, len(e.Data))
		}
		if f.Total > 0 {
			failures = append(failures, f)
		}
	}
	slices.SortStableFunc(failures, func(a, b Failure) int {
		switch {
		case a.Warn == b.Warn:
			return strings.Compare(a.Schema, b.Schema)
		case a.Warn:
			return 1
		}
		return -1
	})
	return failures
}

// data reads the event's data as JSON.
func data(e *event.Event, maxDepth int) (any, error) {
	if !isJSON(e.DataContentType) {
		return nil, fmt.Errorf("the data is %s: want JSON, since a schema is for it", cut(e.DataContentType, 100))
	}
	if len(e.Data) == 0 {
		return nil, errors.New("the event has no data: want JSON, since a schema is for it")
	}
	v, err := parse(e.Data, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("the data cannot be read as JSON: %w", err)
	}
	return v, nil
}

// isJSON tells */json and */*+json; no content type is JSON (CloudEvents JSON
// format, section 3.1).
func isJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "" || strings.HasSuffix(t, "/json") || strings.HasSuffix(t, "+json")
}

// run checks data of n bytes by one schema: first whether it satisfies it, which
// keeps nothing, and only then where not.
func (c *Checker) run(p *program, v any, n int) ([]Violation, int) {
	s, err := p.take()
	if err != nil {
		return []Violation{{Problem: "the schema cannot be used: " + cut(err.Error(), 100)}}, 1
	}
	defer p.give(s)
	s.meter.left = min(c.cfg.Steps+n, c.cfg.MaxSteps)
	switch err := validate(s.not, v); {
	case errors.Is(err, errSteps):
		return []Violation{{Problem: "the data takes too many steps to check"}}, 1
	case err != nil:
		return nil, 0 // it does not satisfy the negation
	}
	if n > maxExplained {
		return unexplained(), 1
	}
	return c.explain(s, v, n)
}

// explain says where data does not satisfy a schema. Each place costs up to some
// thousand bytes until the first ones are chosen, so it is done for one event at
// a time, with few steps.
func (c *Checker) explain(s *copyOf, v any, n int) ([]Violation, int) {
	c.explaining <- struct{}{}
	defer func() { <-c.explaining }()
	s.meter.left = explainedSteps + n/8
	err := validate(s.is, v)
	var tree *jsonschema.ValidationError
	if errors.As(err, &tree) {
		return violations(tree, c.cfg.MaxViolations, message.NewPrinter(language.English))
	}
	return unexplained(), 1
}

func unexplained() []Violation {
	return []Violation{{Problem: "the data does not satisfy the schema; where cannot be told of data so large or so deep"}}
}

// validate is errSteps when the meter ran out.
func validate(s *jsonschema.Schema, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errSteps {
				panic(r)
			}
			err = errSteps
		}
	}()
	return s.Validate(v)
}
