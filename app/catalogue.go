package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

// typeDesk is the catalogue of types: it gathers what this process delivers,
// merges it into the ledger, and answers with what all of them saw. It is a
// gateway.Catalogue.
type typeDesk struct {
	cfg     catalogue.Config
	local   *catalogue.Catalogue
	ledger  *ledger.Ledger
	schemas *schemaDesk
	log     *slog.Logger
	// every is the time between two merges.
	every time.Duration
	// read says up to which offset of each partition the events were read back from
	// the log before anything was delivered; it does not change afterwards. They are
	// not counted twice.
	read []int64
	set  atomic.Pointer[typedSet]
}

// typedSet is what the resources in force say of types.
type typedSet struct {
	listeners *graph.Listeners
	// functions are those of links, declared the emitters of types.
	functions map[string]string
	declared  map[string][]string
	// listed are types that resources name, whether events came or not.
	listed []string
}

// mergeEvery is the time between two merges into a Redis of others, and into the embedded one.
const (
	mergeEvery         = 5 * time.Second
	mergeEveryEmbedded = time.Second
)

func (a *App) openTypes() error {
	cfg := catalogue.DefaultConfig()
	local, err := catalogue.New(cfg)
	if err != nil {
		return err
	}
	a.types = &typeDesk{cfg: cfg, local: local, ledger: a.ledger, schemas: &a.schemas, log: a.log, every: mergeEvery}
	if a.opts.Redis == Embedded {
		a.types.every = mergeEveryEmbedded
	}
	return nil
}

// recall notes an event of the log's tail, where the ledger keeps nothing. It
// is called before anything is delivered, in the order of each partition.
func (d *typeDesk) recall(rec *event.Record) {
	for int(rec.Partition) >= len(d.read) {
		d.read = append(d.read, -1)
	}
	d.read[rec.Partition] = rec.Offset
	d.local.Observe(rec.Event, rec.Timestamp)
}

// observe notes an event that was chosen for.
func (d *typeDesk) observe(rec *event.Record) {
	if int(rec.Partition) < len(d.read) && rec.Offset <= d.read[rec.Partition] {
		return
	}
	d.local.Observe(rec.Event, rec.Timestamp)
}

// ran notes what a run shows: what the function emits, and what a policy did.
func (d *typeDesk) ran(run *event.Run, class string) {
	for i := range run.Replies {
		d.local.Emitted(run.Function, run.Replies[i].Type)
	}
	switch link, added := strings.CutPrefix(run.Link, "policy:"); {
	case added && run.Outcome == event.Delivered:
		policy, _, _ := strings.Cut(link, "/")
		d.local.Decided(catalogue.Effect{Policy: policy, Function: run.Function})
	case !added && class == string(dispatcher.ClassPolicy):
		if rest, ok := strings.CutPrefix(run.Reason, "denied: policy "); ok {
			policy, _, _ := strings.Cut(rest, ":")
			d.local.Decided(catalogue.Effect{Policy: policy, Link: run.Link})
		}
	}
}

// run merges now and then until ctx ends, and once more then.
func (d *typeDesk) run(ctx context.Context) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		d.merge(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			d.merge(last)
			return nil
		}
	}
}

// merge brings what was gathered into the ledger; what it does not take waits.
func (d *typeDesk) merge(ctx context.Context) {
	deltas, effects := d.local.Drain()
	if len(deltas)+len(effects) == 0 {
		return
	}
	if err := d.ledger.MergeTypes(ctx, d.cfg, deltas, effects); err != nil {
		d.local.Restore(deltas, effects)
		d.log.Debug("types of events not merged, they will be", "error", err)
	}
}

// recallRuns reads back what functions were seen to emit, where the ledger keeps nothing.
func (d *typeDesk) recallRuns(ctx context.Context, log *eventlog.Log) error {
	const last = 2000 // of each partition
	return log.Read(ctx, eventlog.Runs, eventlog.Last(last), eventlog.ReadOptions{}, func(r event.Record) error {
		if run, err := event.ParseRun(r.Message); err == nil {
			d.ran(&run, "")
		}
		return nil
	})
}

// watchTypes is the component: it recalls what it must, and merges.
func (a *App) watchTypes(ctx context.Context) error {
	if a.opts.Redis == Embedded {
		if err := a.types.recallRuns(ctx, a.events); err != nil && ctx.Err() == nil {
			a.log.Warn("what functions emitted before is not known", "error", err)
		}
	}
	return a.types.run(ctx)
}

// use takes the types that resources name.
func (d *typeDesk) use(set *resource.Set) {
	t := &typedSet{listeners: graph.NewListeners(set.Links), functions: map[string]string{}, declared: map[string][]string{}}
	for _, l := range set.Links {
		t.functions[l.Metadata.Name] = l.Spec.Function
		for _, typ := range l.Spec.Types {
			if !strings.HasSuffix(typ, "*") {
				t.listed = append(t.listed, typ)
			}
		}
	}
	for _, fn := range set.Functions {
		for _, typ := range fn.Spec.Emits {
			if !strings.HasSuffix(typ, "*") && !slices.Contains(t.declared[typ], fn.Metadata.Name) {
				t.declared[typ] = append(t.declared[typ], fn.Metadata.Name)
				t.listed = append(t.listed, typ)
			}
		}
	}
	slices.Sort(t.listed)
	t.listed = slices.Compact(t.listed)
	d.set.Store(t)
}

// complete adds what the resources say of a type.
func (d *typeDesk) complete(t *catalogue.Type) {
	s := d.set.Load()
	if s == nil {
		return
	}
	for _, link := range s.listeners.Of(t.Name) {
		t.Listeners = append(t.Listeners, catalogue.Listener{Link: link, Function: s.functions[link]})
	}
	t.DeclaredBy = append(t.DeclaredBy, s.declared[t.Name]...)
	t.Schemas = append(t.Schemas, d.schemas.names(t.Name)...)
}

// unseen is a type that resources name, and of which no event came.
func unseen(name string) catalogue.Type {
	return catalogue.Type{
		Name: name, Sources: []string{}, ContentTypes: []string{}, EmittedBy: []string{}, DeclaredBy: []string{}, Listeners: []catalogue.Listener{}, Schemas: []string{},
	}
}

// Types implements gateway.Catalogue.
func (d *typeDesk) Types(ctx context.Context) ([]catalogue.Type, error) {
	all, err := d.ledger.Types(ctx)
	if err != nil {
		return nil, ledgerError(err)
	}
	if s := d.set.Load(); s != nil {
		seen := make(map[string]bool, len(all))
		for i := range all {
			seen[all[i].Name] = true
		}
		for _, name := range s.listed {
			if !seen[name] {
				all = append(all, unseen(name))
			}
		}
	}
	for i := range all {
		d.complete(&all[i])
	}
	slices.SortFunc(all, func(a, b catalogue.Type) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Type implements gateway.Catalogue.
func (d *typeDesk) Type(ctx context.Context, name string) (catalogue.Type, error) {
	t, err := d.ledger.Type(ctx, name)
	if errors.Is(err, ledger.ErrNotFound) {
		s := d.set.Load()
		if s == nil || !slices.Contains(s.listed, name) {
			return t, fmt.Errorf("no event of type %q was seen, and no resource names it: %w", name, gateway.ErrNotFound)
		}
		t, err = unseen(name), nil
	}
	if err != nil {
		return t, ledgerError(err)
	}
	d.complete(&t)
	return t, nil
}

// observed is what the graph shows beside the resources; what cannot be had is left out.
func (d *typeDesk) observed(ctx context.Context) graph.Observed {
	var seen graph.Observed
	types, err := d.ledger.Types(ctx)
	if err == nil {
		var effects []catalogue.Effect
		effects, err = d.ledger.Effects(ctx)
		for _, e := range effects {
			seen.Policies = append(seen.Policies, graph.Effect(e))
		}
	}
	if err != nil {
		d.log.Warn("the graph is shown without what was observed", "error", err)
	}
	for i := range types {
		t := &types[i]
		if t.Count > 0 {
			seen.Types = append(seen.Types, graph.SeenType{Name: t.Name, Rate: t.Rate1h})
		}
		for _, fn := range t.EmittedBy {
			seen.Emits = append(seen.Emits, graph.Emit{Function: fn, Type: t.Name})
		}
	}
	return seen
}
