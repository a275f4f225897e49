package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// maxPasts bounds the revisions that are kept compiled: who looks into the past
// looks at events of one time.
const maxPasts = 6

// revisions puts the resources together as they were. It is safe for concurrent use.
type revisions struct {
	history *eventlog.History
	// cfg is how policies are compiled; nobody hears of what they do.
	cfg policies.Config

	mu sync.Mutex
	// pasts are the ones used last, the newest at the end.
	pasts []*past
}

func newRevisions(log *eventlog.Log, cfg policies.Config) *revisions {
	cfg.Logger, cfg.MemoSize = slog.New(slog.DiscardHandler), 0
	return &revisions{history: log.History(), cfg: cfg}
}

// past is the resources of one revision.
type past struct {
	revision uint64
	set      resource.Set
	engine   *policies.Engine
	// gaps are resources of which it is not known what they were.
	gaps []string

	mu sync.Mutex // serialises who sets clock
	// clock is the time that the engine is asked at.
	clock time.Time
}

// At returns the resources as they were at a revision, compiled. What is found
// never changes. An error says that the history cannot be read.
func (r *revisions) At(ctx context.Context, revision uint64) (*past, error) {
	if p := r.known(revision); p != nil {
		return p, nil
	}
	versions, err := r.versions(ctx)
	if err != nil {
		return nil, err
	}
	p, err := r.compile(revision, versions)
	if err == nil && newestOf(versions) >= revision { // else some of it may be on its way to the history
		r.keep(p)
	}
	return p, err
}

func (r *revisions) known(revision uint64) *past {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.pasts, func(p *past) bool { return p.revision == revision })
	if i < 0 {
		return nil
	}
	p := r.pasts[i]
	r.pasts = append(slices.Delete(r.pasts, i, i+1), p)
	return p
}

func (r *revisions) keep(p *past) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pasts = append(r.pasts, p)
	r.pasts = r.pasts[max(0, len(r.pasts)-maxPasts):]
}

func newestOf(versions []eventlog.Version) (newest uint64) {
	for i := range versions {
		newest = max(newest, versions[i].Revision)
	}
	return newest
}

// versions are all that the history has, with their revisions. Those written
// before versions were numbered have it in their JSON; a deletion has it in the
// record before it, or else counts as the newest change before it.
func (r *revisions) versions(ctx context.Context) ([]eventlog.Version, error) {
	var all []eventlog.Version
	var mark, newest uint64
	err := r.history.Versions(ctx, func(v eventlog.Version) error {
		if v.Revision == 0 {
			v.Revision = revisionOf(v.Value)
		}
		if v.Key == ledger.RevisionKey {
			mark = v.Revision
			return nil
		}
		if v.Revision == 0 {
			v.Revision = max(mark, newest)
		}
		newest = max(newest, v.Revision)
		all = append(all, v)
		return nil
	})
	return all, gatewayError(err)
}

// revisionOf is the revision in a resource's JSON, or in that of a mark.
func revisionOf(value []byte) uint64 {
	var v struct {
		Revision uint64            `json:"revision"`
		Metadata resource.Metadata `json:"metadata"`
	}
	_ = json.Unmarshal(value, &v) // a deletion has none
	return max(v.Revision, v.Metadata.Revision)
}

// compile takes of each key the last version up to the revision.
func (r *revisions) compile(revision uint64, versions []eventlog.Version) (*past, error) {
	p := &past{revision: revision}
	last := map[string]*eventlog.Version{}
	first := map[string]*eventlog.Version{}
	for i := range versions {
		v := &versions[i]
		if f := first[v.Key]; f == nil || v.Revision < f.Revision {
			first[v.Key] = v
		}
		if have := last[v.Key]; v.Revision <= revision && (have == nil || v.Revision >= have.Revision) {
			last[v.Key] = v
		}
	}
	var objects []resource.Object
	for key, v := range first {
		var o resource.Object
		if have := last[key]; have != nil {
			if have.Value != nil && json.Unmarshal(have.Value, &o) == nil {
				objects = append(objects, o)
			}
			continue
		}
		if json.Unmarshal(v.Value, &o) == nil && replaced(&o) {
			p.gaps = append(p.gaps, key)
		}
	}
	slices.Sort(p.gaps)
	slices.SortFunc(objects, func(a, b resource.Object) int {
		return slices.Compare([]string{a.Kind, a.Metadata.Name}, []string{b.Kind, b.Metadata.Name})
	})
	p.set, _ = resource.NewSet(revision, objects)
	cfg := r.cfg
	cfg.Clock = func() time.Time { return p.clock }
	var err error
	if p.engine, err = policies.New(cfg); err != nil {
		return nil, err
	}
	if faults := p.engine.Load(p.set); len(faults) > 0 {
		return nil, fmt.Errorf("the resources of revision %d: %w", revision, faults.Err())
	}
	return p, nil
}

// replacedAfter is how much later than its creation a resource may be written
// by the change that created it.
const replacedAfter = time.Second

// replaced reports whether a version is not the first one of its resource.
func replaced(o *resource.Object) bool {
	created, ok := o.Metadata.Created()
	return ok && o.Metadata.UpdatedAt.Sub(created) > replacedAfter
}

// explain judges an event by the resources of then, at a time.
func (p *past) explain(ctx context.Context, rec *event.Record, at time.Time) (policies.Explanation, error) {
	return p.engine.Snapshot().Explain(ctx, rec.Event, rec.Key(), at)
}

// admit asks the admission policies of then.
func (p *past) admit(ctx context.Context, a policies.Admission, at time.Time) policies.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = at
	return p.engine.Admit(ctx, a)
}

// change is a number and when it was made.
type change struct {
	revision uint64
	at       time.Time
}

// before returns the last change that was recorded before a time; zero when
// there is none. Changes become known to a dispatcher a moment later, so this is
// an estimate.
func (r *revisions) before(ctx context.Context, t time.Time) (found change, err error) {
	versions, err := r.versions(ctx)
	for i := range versions {
		if v := &versions[i]; !v.Time.After(t) && v.Revision > found.revision {
			found = change{v.Revision, v.Time}
		}
	}
	return found, err
}
