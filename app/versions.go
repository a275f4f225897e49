package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

// maxKept bounds the versions of a function beside the one in force; those
// that traffic or a link names do not count as too many.
const maxKept = 10

// writeAttempts bounds how often a write of functions is planned again because
// somebody else changed them meanwhile.
const writeAttempts = 10

// plan is a write as the ledger carries it out: what was asked for, and what
// becomes of the versions of its functions.
type plan struct {
	edits []ledger.Edit
	// answers are the edits that the objects asked for became, in their order.
	answers []int
	// after is what was asked for and every version of the functions in it, as they will stand.
	after []resource.Object
	// created says for each function asked for whether there was none.
	created map[string]bool
}

// planWrite plans the writing of objects over what there is; the condition is
// that of its functions.
func planWrite(current, objects []resource.Object, c gateway.Condition) (*plan, error) {
	p := &plan{created: map[string]bool{}}
	shelves := map[string]*shelf{}
	for i := range objects {
		o := &objects[i]
		if o.Kind == resource.KindFunction {
			s := shelves[o.Metadata.Name]
			if s == nil {
				s = newShelf(current, o.Metadata.Name)
				shelves[o.Metadata.Name] = s
			}
			if err := s.put(*o); err != nil {
				return nil, err
			}
		}
	}
	var links map[string][]string
	if len(shelves) > 0 {
		links = linkedVersions(append(others(slices.Clone(current), objects), objects...))
	}
	for _, name := range slices.Sorted(maps.Keys(shelves)) {
		s := shelves[name]
		if err := s.allows(c); err != nil {
			return nil, err
		}
		s.trim(links)
		s.plan(p)
	}
	for i := range objects {
		o := &objects[i]
		if o.Kind != resource.KindFunction {
			p.add(ledger.Edit{Object: *o})
			p.answers = append(p.answers, len(p.edits)-1)
			continue
		}
		s := shelves[o.Metadata.Name]
		p.answers = append(p.answers, s.edit[versionOf(o)])
		p.created[s.name] = s.was == nil
	}
	return p, nil
}

func (p *plan) add(e ledger.Edit) {
	p.edits = append(p.edits, e)
	if !e.Delete {
		p.after = append(p.after, e.Object)
	}
}

// shelf is one function with its versions: as they are, and as they shall be.
type shelf struct {
	name string
	// was is in force, nil none; had are the others by version.
	was *resource.Object
	had map[string]resource.Object
	// now and kept are the same after the write.
	now  resource.Object
	kept map[string]resource.Object
	// edit finds the edit of each version.
	edit map[string]int
}

func newShelf(current []resource.Object, name string) *shelf {
	s := &shelf{name: name, had: map[string]resource.Object{}, edit: map[string]int{}}
	for i := range current {
		o := &current[i]
		if o.Kind != resource.KindFunction {
			continue
		}
		if o.Metadata.Name == name {
			s.was, s.now = o, *o
		} else if function, version, kept := resource.CutVersion(o.Metadata.Name); kept && function == name {
			s.had[version] = *o
		}
	}
	s.kept = maps.Clone(s.had)
	return s
}

// put brings o into force. What was in force, and has another version, is
// kept; one without a name is replaced, since nothing could name it.
func (s *shelf) put(o resource.Object) error {
	version := versionOf(&o)
	if before := versionOf(&s.now); before != "" && before != version {
		kept, err := keptOf(s.now, before)
		if err != nil {
			return err
		}
		s.kept[before] = kept
	}
	delete(s.kept, version)
	s.now = o
	return nil
}

// versionOf is the version of a function; "" for an unnamed one, and for none.
func versionOf(o *resource.Object) string {
	spec, _ := specOf(o)
	return spec.Version
}

func specOf(o *resource.Object) (spec resource.FunctionSpec, err error) {
	if len(o.Spec) > 0 {
		err = json.Unmarshal(o.Spec, &spec)
	}
	return spec, err
}

// keptOf is o as it stands beside the one in force. Its traffic is of no use
// there, and nothing may name versions by it.
func keptOf(o resource.Object, version string) (resource.Object, error) {
	name, _, _ := resource.CutVersion(o.Metadata.Name)
	o.Metadata.Name, o.Metadata.UID = resource.VersionName(name, version), ""
	o.Metadata.Revision = 0
	return withoutTraffic(o)
}

func withoutTraffic(o resource.Object) (resource.Object, error) {
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return o, err
	}
	if _, split := spec["traffic"]; !split {
		return o, nil
	}
	delete(spec, "traffic")
	var err error
	o.Spec, err = json.Marshal(spec)
	return o, err
}

// allows checks the condition under which the function is written.
func (s *shelf) allows(c gateway.Condition) error {
	switch {
	case c.Absent && s.was != nil:
		return gateway.ErrExists
	case c.Revision == 0 || s.was != nil && s.was.Metadata.Revision == c.Revision:
		return nil
	}
	e := &ledger.ConflictError{Kind: resource.KindFunction, Name: s.name, Want: c.Revision}
	if s.was != nil {
		e.Have = s.was.Metadata.Revision
	}
	return ledgerError(e)
}

// trim forgets the oldest versions when there are too many, but none that is named.
func (s *shelf) trim(links map[string][]string) {
	byAge := slices.SortedFunc(maps.Keys(s.kept), func(a, b string) int { return compareAge(s.kept[a], s.kept[b]) })
	for _, version := range byAge {
		if len(s.kept) <= maxKept {
			return
		}
		if len(s.namedBy(version, links)) == 0 {
			delete(s.kept, version)
		}
	}
}

// compareAge puts the version first that was kept first.
func compareAge(a, b resource.Object) int {
	age := func(o resource.Object) uint64 {
		if o.Metadata.Revision == 0 {
			return math.MaxUint64 // by this very write
		}
		return o.Metadata.Revision
	}
	switch x, y := age(a), age(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return strings.Compare(a.Metadata.Name, b.Metadata.Name)
}

// namedBy lists what names a version of the function.
func (s *shelf) namedBy(version string, links map[string][]string) (who []string) {
	spec, _ := specOf(&s.now)
	for _, t := range spec.Traffic {
		if t.Version == version {
			who = append(who, "the traffic of "+s.name)
		}
	}
	for _, l := range links[resource.VersionName(s.name, version)] {
		who = append(who, "link "+l)
	}
	return who
}

// linkedVersions are the links that name a version, by what they name.
func linkedVersions(objects []resource.Object) map[string][]string {
	named := map[string][]string{}
	for i := range objects {
		var spec resource.LinkSpec
		if objects[i].Kind == resource.KindLink && json.Unmarshal(objects[i].Spec, &spec) == nil && strings.Contains(spec.Function, "@") {
			named[spec.Function] = append(named[spec.Function], objects[i].Metadata.Name)
		}
	}
	return named
}

// plan adds the edits that make the shelf what it shall be. Each is under the
// condition that nobody has changed the resource since it was looked at.
func (s *shelf) plan(p *plan) {
	p.add(ledger.Edit{Object: s.now, If: unchanged(s.was)})
	s.edit[versionOf(&s.now)] = len(p.edits) - 1
	for _, version := range slices.Sorted(maps.Keys(s.kept)) {
		o, before := s.kept[version], (*resource.Object)(nil)
		had, there := s.had[version]
		if there {
			before = &had
		}
		if there && o.Metadata.Revision != 0 {
			p.after = append(p.after, o) // as it was
			continue
		}
		p.add(ledger.Edit{Object: o, If: unchanged(before)})
		s.edit[version] = len(p.edits) - 1
	}
	for _, version := range slices.Sorted(maps.Keys(s.had)) {
		if _, stays := s.kept[version]; !stays {
			had := s.had[version]
			p.add(ledger.Edit{Object: had, Delete: true, If: unchanged(&had)})
		}
	}
}

func unchanged(o *resource.Object) ledger.Condition {
	if o == nil {
		return ledger.MustNotExist()
	}
	return ledger.IfRevision(o.Metadata.Revision)
}

// overtaken reports whether a planned write failed because somebody else was quicker.
func overtaken(err error) bool {
	return errors.Is(err, ledger.ErrConflict) || errors.Is(err, ledger.ErrExists) || errors.Is(err, ledger.ErrNotFound)
}

// change plans a change of functions on what there is and carries it out,
// again and again while others change the same functions.
func (s *resourceStore) change(ctx context.Context, planned func(current []resource.Object) (*plan, error)) ([]resource.Object, *plan, error) {
	for attempt := 1; ; attempt++ {
		_, current, err := s.ledger.Snapshot(ctx)
		if err != nil {
			return nil, nil, ledgerError(err)
		}
		p, err := planned(current)
		if err != nil {
			return nil, nil, err
		}
		stored, err := s.ledger.Change(ctx, p.edits)
		if err == nil {
			s.await(ctx, newestRevision(stored))
			return stored, p, nil
		}
		if attempt == writeAttempts || !overtaken(err) {
			return nil, nil, ledgerError(err)
		}
	}
}

func newestRevision(objects []resource.Object) (revision uint64) {
	for i := range objects {
		revision = max(revision, objects[i].Metadata.Revision)
	}
	return revision
}

// Rollback implements gateway.Resources.
func (s *resourceStore) Rollback(ctx context.Context, name, version string) (resource.Object, error) {
	stored, p, err := s.change(ctx, func(current []resource.Object) (*plan, error) {
		o, err := newShelf(current, name).earlier(version)
		if err != nil {
			return nil, err
		}
		return s.planChecked(ctx, current, []resource.Object{o}, gateway.Condition{})
	})
	if err != nil {
		return resource.Object{}, err
	}
	return stored[p.answers[0]], nil
}

// earlier is a version as it comes into force again, "" the one that was in
// force before. It gets all the traffic.
func (s *shelf) earlier(version string) (resource.Object, error) {
	switch {
	case s.was == nil:
		return resource.Object{}, fmt.Errorf("function %s: %w", s.name, gateway.ErrNotFound)
	case version == "" && len(s.had) == 0:
		return resource.Object{}, fmt.Errorf("%w: function %s has no version before %s", gateway.ErrNoVersion, s.name, inForce(s.was))
	case version == "":
		version = slices.MaxFunc(slices.Collect(maps.Keys(s.had)), func(a, b string) int { return compareAge(s.had[a], s.had[b]) })
	}
	o, kept := s.had[version]
	if !kept && versionOf(s.was) == version {
		o, kept = *s.was, true
	}
	if !kept {
		return resource.Object{}, fmt.Errorf("%w: function %s has no version %q: want one of %s", gateway.ErrNoVersion, s.name, version, s.versions())
	}
	o.Metadata.Name, o.Metadata.UID = s.name, ""
	return withoutTraffic(o)
}

func inForce(o *resource.Object) string {
	if v := versionOf(o); v != "" {
		return v
	}
	return "the one in force, which has no name"
}

// versions lists the versions for people.
func (s *shelf) versions() string {
	return strings.Join(append([]string{inForce(s.was)}, slices.Sorted(maps.Keys(s.had))...), ", ")
}

// deleteFunction deletes a function with all its versions.
func (s *resourceStore) deleteFunction(ctx context.Context, name string, revision uint64) error {
	_, _, err := s.change(ctx, func(current []resource.Object) (*plan, error) {
		f := newShelf(current, name)
		if f.was == nil {
			return nil, gateway.ErrNotFound
		}
		if err := f.allows(gateway.Condition{Revision: revision}); err != nil {
			return nil, err
		}
		p := &plan{}
		p.add(ledger.Edit{Object: *f.was, Delete: true, If: unchanged(f.was)})
		for _, version := range slices.Sorted(maps.Keys(f.had)) {
			had := f.had[version]
			p.add(ledger.Edit{Object: had, Delete: true, If: unchanged(&had)})
		}
		return p, nil
	})
	return err
}

// deleteVersion deletes a version that is not in force, unless something names it.
func (s *resourceStore) deleteVersion(ctx context.Context, name, version string, revision uint64) error {
	_, _, err := s.change(ctx, func(current []resource.Object) (*plan, error) {
		f := newShelf(current, name)
		had, kept := f.had[version]
		if !kept {
			return nil, fmt.Errorf("%w%s", gateway.ErrNotFound, f.hint(version))
		}
		if revision != 0 && had.Metadata.Revision != revision {
			return nil, ledgerError(&ledger.ConflictError{Kind: had.Kind, Name: had.Metadata.Name, Have: had.Metadata.Revision, Want: revision})
		}
		if who := f.namedBy(version, linkedVersions(current)); len(who) > 0 {
			return nil, fmt.Errorf("%w: %s names it", gateway.ErrInUse, strings.Join(who, ", "))
		}
		p := &plan{}
		p.add(ledger.Edit{Object: had, Delete: true, If: unchanged(&had)})
		if f.was != nil { // what it says of the traffic must still hold
			p.add(ledger.Edit{Object: *f.was, If: unchanged(f.was)})
		}
		return p, nil
	})
	return err
}

// hint says why a version that there is cannot be deleted alone.
func (s *shelf) hint(version string) string {
	if s.was != nil && versionOf(s.was) == version {
		return fmt.Sprintf(" among those kept: it is in force, and goes with function %s", s.name)
	}
	return ""
}
