package policytest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// Run runs the Rego tests and the cases, in the order of files and lines. The
// error is resource.Faults when something does not compile, ErrNothing when
// there is nothing to run, or that of ctx.
func (s *Suite) Run(ctx context.Context) (Report, error) {
	var report Report
	d, err := s.compile()
	if err != nil {
		return report, err
	}
	results, err := s.runRego(ctx)
	if err != nil {
		return report, err
	}
	names := s.exportedNames()
	for i := range s.cases {
		c := &s.cases[i]
		if !s.selected(c.Name) {
			continue
		}
		r, err := c.run(ctx, d)
		if err != nil {
			return report, err
		}
		if c.exportable() {
			r.Exported = names[i]
		}
		results = append(results, r)
	}
	if len(results) == 0 && s.opts.Run == nil {
		return report, ErrNothing
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Name, b.Name))
	})
	for _, r := range results {
		report.add(r)
	}
	return report, nil
}

// run decides one case by the engine.
func (c *Case) run(ctx context.Context, d *decider) (Result, error) {
	r := Result{Kind: "case", File: c.file, Line: c.line, Name: c.Name}
	begun := time.Now()
	d.now = c.at()
	if c.Expect.choosing() {
		if err := c.choose(ctx, d, &r); err != nil {
			return r, err
		}
	}
	if c.Expect.Admitted != nil {
		c.admit(ctx, d, &r)
	}
	r.Milliseconds = milliseconds(time.Since(begun))
	r.Outcome = Pass
	if len(r.Problems) > 0 {
		r.Outcome = Fail
	}
	return r, ctx.Err()
}

// at is the time that policies see.
func (c *Case) at() time.Time {
	if c.Time.IsZero() {
		return time.Now()
	}
	return c.Time
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (c *Case) choose(ctx context.Context, d *decider, r *Result) error {
	snap := d.engine.Snapshot()
	got, chooseErr := snap.Choose(ctx, c.event, c.Key, d.now, nil)
	why, err := snap.Explain(ctx, c.event, c.Key, d.now)
	if err != nil {
		return err
	}
	for _, l := range why.Links {
		r.Why = append(r.Why, Why{Link: l.Name, Why: l.Why, Chosen: l.Chosen})
	}
	if chooseErr != nil || c.Expect.Error != "" {
		r.problem(c.failure(chooseErr))
		return nil
	}
	made := madeOf(&got)
	made.compare(&c.Expect, r)
	return nil
}

// failure says what is wrong with an error, or with there being none.
func (c *Case) failure(err error) string {
	switch {
	case err == nil:
		return fmt.Sprintf("error: want %q, got none", c.Expect.Error)
	case c.Expect.Error == "" || !strings.Contains(err.Error(), c.Expect.Error):
		return fmt.Sprintf("error: want %s, got %q", quoted(c.Expect.Error, "none"), err)
	}
	return ""
}

func quoted(s, none string) string {
	if s == "" {
		return none
	}
	return fmt.Sprintf("%q", s)
}

// made is a choice as cases speak of it.
type made struct {
	chosen, targets map[string]bool
	// denied has the reasons by link.
	denied map[string]string
}

func madeOf(c *policies.Choice) made {
	m := made{chosen: map[string]bool{}, targets: map[string]bool{}, denied: map[string]string{}}
	for _, t := range c.Targets {
		if fn, added := addedFunction(t.Link.Metadata.Name); added {
			m.targets[fn] = true
		} else if !t.Link.Spec.Paused {
			m.chosen[t.Link.Metadata.Name] = true
		}
	}
	for _, d := range c.Denied {
		if _, told := m.denied[d.Link]; !told {
			m.denied[d.Link] = d.Reason
		}
	}
	return m
}

// addedFunction is the function in policy:<policy>/<function>.
func addedFunction(link string) (string, bool) {
	rest, added := strings.CutPrefix(link, "policy:")
	_, fn, _ := strings.Cut(rest, "/")
	return fn, added
}

// compare adds to r what is not as expected.
func (m *made) compare(x *Expect, r *Result) {
	for _, l := range x.Chosen {
		if !m.chosen[l] {
			r.problem("chosen: " + l + " is missing: " + r.why(l))
		}
	}
	for _, l := range x.NotChosen {
		if m.chosen[l] {
			r.problem("chosen: " + l + " is not wanted: " + r.why(l))
		}
	}
	for _, l := range sorted(x.Denied) {
		got, denied := m.denied[l]
		switch {
		case !denied:
			r.problem("denied: " + l + " is missing: " + r.why(l))
		case x.Denied[l] != "" && got != x.Denied[l]:
			r.problem(fmt.Sprintf("denied: %s: want reason %q, got %q", l, x.Denied[l], got))
		}
	}
	for _, fn := range x.Targets {
		if !m.targets[fn] {
			r.problem("targets: " + fn + " is missing")
		}
	}
	if x.Exact {
		m.compareRest(x, r)
	}
}

// compareRest names what is there beyond what is expected.
func (m *made) compareRest(x *Expect, r *Result) {
	for _, l := range sorted(m.chosen) {
		if !slices.Contains(x.Chosen, l) && !slices.Contains(x.NotChosen, l) {
			r.problem("chosen: " + l + " is not wanted: " + r.why(l))
		}
	}
	for _, l := range sorted(m.denied) {
		if _, told := x.Denied[l]; !told {
			r.problem(fmt.Sprintf("denied: %s is not wanted: %s", l, m.denied[l]))
		}
	}
	for _, fn := range sorted(m.targets) {
		if !slices.Contains(x.Targets, fn) {
			r.problem("targets: " + fn + " is not wanted")
		}
	}
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (r *Result) problem(text string) {
	if text != "" {
		r.Problems = append(r.Problems, text)
	}
}

// why is what explain says of a link.
func (r *Result) why(link string) string {
	for _, w := range r.Why {
		if w.Link == link {
			return w.Why
		}
	}
	return "there is no such link"
}

// admit asks the admission or the management policies.
func (c *Case) admit(ctx context.Context, d *decider, r *Result) {
	v := c.verdict(ctx, d)
	want := *c.Expect.Admitted
	switch {
	case v.Err != nil:
		r.problem("admitted: " + v.Err.Error())
	case v.Allowed != want && want:
		r.problem("admitted: want true, got false: " + v.Reason)
	case v.Allowed != want:
		r.problem("admitted: want false, got true")
	case !want && c.Expect.Reason != "" && v.Reason != c.Expect.Reason:
		r.problem(fmt.Sprintf("reason: want %q, got %q", c.Expect.Reason, v.Reason))
	}
}

func (c *Case) route() string {
	if c.Route == "" && c.Management == nil {
		return "/events"
	}
	return c.Route
}

func (c *Case) verdict(ctx context.Context, d *decider) policies.Verdict {
	if c.Management == nil {
		return d.engine.Admit(ctx, c.admission())
	}
	m, err := c.management()
	if err != nil {
		return policies.Verdict{Err: err}
	}
	return d.engine.Manage(ctx, m)
}

func (c *Case) admission() policies.Admission {
	return policies.Admission{Event: c.event, Identity: c.Identity, Route: c.route(), Method: c.Method}
}

func (c *Case) management() (policies.Management, error) {
	m := policies.Management{Identity: c.Identity, Route: c.Route, Method: c.Method, Verb: c.Management.Verb}
	if c.Management.Resource == nil {
		return m, nil
	}
	b, err := json.Marshal(c.Management.Resource)
	if err != nil {
		return m, fmt.Errorf("management.resource: %w", err)
	}
	m.Resource = &resource.Object{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m.Resource); err != nil {
		return m, fmt.Errorf("management.resource: %w: want a resource: kind, metadata and spec", err)
	}
	return m, nil
}
