package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/policies/bundle"
	"github.com/signalbox-dev/signalbox/resource"
)

// BundleOptions say which policy bundles are fetched, and how.
type BundleOptions struct {
	PolicyBundles        []string
	PolicyBundlePoll     time.Duration
	PolicyBundleKeys     []string
	PolicyBundleAlg      string
	PolicyBundleScope    string
	PolicyBundleToken    string
	PolicyBundleCA       string
	PolicyBundleMaxBytes int64
}

func defaultBundles() BundleOptions {
	return BundleOptions{PolicyBundlePoll: 30 * time.Second, PolicyBundleAlg: bundle.DefaultConfig().Algorithm, PolicyBundleMaxBytes: bundle.DefaultConfig().MaxBytes}
}

func (o *BundleOptions) flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.PolicyBundles, "policy-bundle", o.PolicyBundles, "OPA bundles to take policies from: URL,… or NAME=URL,…")
	fs.DurationVar(&o.PolicyBundlePoll, "policy-bundle-poll", o.PolicyBundlePoll, "how often the policy bundles are asked for")
	fs.StringSliceVar(&o.PolicyBundleKeys, "policy-bundle-key", o.PolicyBundleKeys, "files with keys of which one must have signed the policy bundles: public keys (PEM), or a secret for HS256 and the like; empty: signatures are not looked at")
	fs.StringVar(&o.PolicyBundleAlg, "policy-bundle-alg", o.PolicyBundleAlg, "algorithm of the policy bundles' signatures")
	fs.StringVar(&o.PolicyBundleScope, "policy-bundle-scope", o.PolicyBundleScope, "scope that the policy bundles' signatures must have")
	fs.StringVar(&o.PolicyBundleToken, "policy-bundle-token", o.PolicyBundleToken, "file with the bearer token for the policy bundles")
	fs.StringVar(&o.PolicyBundleCA, "policy-bundle-ca", o.PolicyBundleCA, "file with the CA certificates that the bundle server's is checked against (PEM)")
	fs.Int64Var(&o.PolicyBundleMaxBytes, "policy-bundle-max-bytes", o.PolicyBundleMaxBytes, "bytes of a policy bundle at most, as it comes and unpacked")
}

// validate reports every fault, and builds the sources to that end.
func (o *BundleOptions) validate() (faults []error) {
	if o.PolicyBundlePoll < time.Second || o.PolicyBundlePoll > 24*time.Hour {
		faults = append(faults, fmt.Errorf("--policy-bundle-poll %s: want 1s to 24h", o.PolicyBundlePoll))
	}
	if _, err := o.sources(); err != nil {
		faults = append(faults, fmt.Errorf("--policy-bundle: %w", err))
	}
	return faults
}

func (o *BundleOptions) sources() ([]*bundle.Source, error) {
	var sources []*bundle.Source
	var errs []error
	seen := map[string]bool{}
	for _, s := range o.PolicyBundles {
		cfg := bundle.DefaultConfig()
		var err error
		if cfg.Name, cfg.URL, err = bundle.Parse(s); err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[cfg.Name] {
			errs = append(errs, fmt.Errorf("two bundles are named %s: give them names, as NAME=URL", cfg.Name))
		}
		seen[cfg.Name] = true
		cfg.KeyFiles, cfg.Algorithm, cfg.Scope = o.PolicyBundleKeys, o.PolicyBundleAlg, o.PolicyBundleScope
		cfg.TokenFile, cfg.CAFile, cfg.MaxBytes = o.PolicyBundleToken, o.PolicyBundleCA, o.PolicyBundleMaxBytes
		source, err := bundle.New(cfg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sources = append(sources, source)
	}
	return sources, errors.Join(errs...)
}

// bundleSource is one bundle on its server.
type bundleSource interface {
	Name() string
	Fetch(ctx context.Context, etag string) (*bundle.Bundle, error)
}

// changes is what keeping policies as a bundle says needs of the ledger.
type changes interface {
	Snapshot(ctx context.Context) (revision uint64, objects []resource.Object, err error)
	Change(ctx context.Context, edits []ledger.Edit) ([]resource.Object, error)
}

// bundlePolls keeps the policies of every bundle as its server says. Several
// processes may do it at once: who finds nothing to change writes nothing.
type bundlePolls struct {
	sources []bundleSource
	ledger  changes
	await   func(ctx context.Context, revision uint64)
	// first waits until resources were loaded.
	first   func(ctx context.Context) error
	poll    time.Duration
	metrics *metrics.Metrics
	// decisions are told of every change; nil: nobody is.
	decisions *decisionLog
	log       *slog.Logger
	now       func() time.Time
}

// deleted are the resources that edits delete.
func deleted(edits []ledger.Edit) []resource.Object {
	var gone []resource.Object
	for _, e := range edits {
		if e.Delete {
			gone = append(gone, e.Object)
		}
	}
	return gone
}

func (a *App) openBundles() (*bundlePolls, error) {
	sources, err := a.opts.BundleOptions.sources()
	if err != nil || len(sources) == 0 {
		return nil, err
	}
	p := &bundlePolls{ledger: a.ledger, await: a.reloads.await, first: a.reloads.first, poll: a.opts.PolicyBundlePoll, metrics: a.metrics, decisions: a.decisions, log: a.log, now: time.Now}
	for _, s := range sources {
		p.sources = append(p.sources, s)
	}
	return p, nil
}

// run polls every bundle until ctx ends.
func (p *bundlePolls) run(ctx context.Context) error {
	if p.first(ctx) != nil {
		return nil // stopped before anything was loaded
	}
	var wg sync.WaitGroup
	for _, s := range p.sources {
		wg.Go(func() { p.follow(ctx, &polled{source: s}) })
	}
	wg.Wait()
	return nil
}

// polled is a bundle and what is known of it.
type polled struct {
	source bundleSource
	// last is what the server gave last that could be read; nil is nothing yet.
	last *bundle.Bundle
	// failures in a row, and what the last one said.
	failures int
	said     string
}

// follow polls one bundle: at the interval, and after a failure first soon and
// then ever later, up to the interval.
func (p *bundlePolls) follow(ctx context.Context, b *polled) {
	for {
		changed, err := p.pull(ctx, b)
		if ctx.Err() != nil {
			return
		}
		p.report(b, changed, err)
		pause := time.NewTimer(p.pause(b.failures))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// pause is drawn from the upper tenth of the interval, so that processes that
// start together do not ask together for long; after failures from the upper
// half of a second, two, four and so on.
func (p *bundlePolls) pause(failures int) time.Duration {
	if failures == 0 {
		return p.poll - rand.N(p.poll/10+1) // #nosec G404 -- jitter
	}
	d := min(p.poll, time.Second<<min(failures-1, 20))
	return d - rand.N(d/2+1) // #nosec G404 -- jitter
}

// pull fetches the bundle if it is another than before, and brings the policies
// in line with it in any case: somebody may have changed them.
func (p *bundlePolls) pull(ctx context.Context, b *polled) (changed int, err error) {
	etag := ""
	if b.last != nil {
		etag = b.last.ETag
	}
	fetched, err := b.source.Fetch(ctx, etag)
	switch {
	case err == nil:
		b.last = fetched
	case !errors.Is(err, bundle.ErrNotModified) || b.last == nil:
		return 0, err
	}
	return p.apply(ctx, b.source.Name(), b.last)
}

// report counts and logs how a poll ended; a failure only when it says
// something new.
func (p *bundlePolls) report(b *polled, changed int, err error) {
	name, result := b.source.Name(), "unchanged"
	switch {
	case err != nil:
		result = "failed"
		if b.failures++; b.said != err.Error() {
			p.log.Error("policy bundle not taken, what was in force stays so", "bundle", name, "error", err)
		}
		b.said = err.Error()
	case changed > 0:
		result = "applied"
		p.log.Info("policy bundle in force", "bundle", name, "revision", b.last.Revision, "policies", len(b.last.Objects), "changed", changed)
	case b.failures > 0:
		p.log.Info("policy bundle is as it was", "bundle", name, "revision", b.last.Revision)
	}
	if err == nil {
		b.failures, b.said = 0, ""
		p.metrics.BundleFresh(name).Set(float64(p.now().Unix()))
	}
	p.metrics.BundlePolls(name, result).Inc()
}

// applyAttempts is how often a change is begun again because another process
// changed the same policies meanwhile.
const applyAttempts = 5

// apply makes the policies of the bundle those of b, all or none, and returns
// how many changed.
func (p *bundlePolls) apply(ctx context.Context, name string, b *bundle.Bundle) (changed int, err error) {
	for range applyAttempts {
		var revision uint64
		if changed, revision, err = p.try(ctx, name, b); !errors.Is(err, ledger.ErrConflict) && !errors.Is(err, ledger.ErrExists) && !errors.Is(err, ledger.ErrNotFound) {
			if err == nil && changed > 0 {
				p.await(ctx, revision)
			}
			return changed, err
		}
	}
	return 0, err
}

func (p *bundlePolls) try(ctx context.Context, name string, b *bundle.Bundle) (changed int, revision uint64, err error) {
	_, current, err := p.ledger.Snapshot(ctx)
	if err != nil {
		return 0, 0, err
	}
	edits, err := bundleEdits(current, name, b)
	if err != nil || len(edits) == 0 {
		return 0, 0, err
	}
	stored, err := p.ledger.Change(ctx, edits)
	for _, o := range stored {
		revision = max(revision, o.Metadata.Revision)
	}
	if err == nil {
		p.decisions.changed(map[string]any{"kind": "bundle", "name": name}, current, stored, deleted(edits))
	}
	return len(edits), revision, err
}

// bundleEdits are what makes the policies of the bundle those of b. They are
// checked as they will stand, together with everything else.
func bundleEdits(current []resource.Object, name string, b *bundle.Bundle) (edits []ledger.Edit, err error) {
	before := map[string]resource.Object{}
	for _, o := range current {
		if o.Kind == resource.KindPolicy {
			before[o.Metadata.Name] = o
		}
	}
	var after, gone []resource.Object
	var faults resource.Faults
	for _, o := range b.Objects {
		was, there := before[o.Metadata.Name]
		delete(before, o.Metadata.Name)
		switch {
		case there && was.Metadata.Annotations[bundle.Annotation] != name:
			faults = append(faults, resource.Fault{Resource: o.Kind + "/" + o.Metadata.Name, Problem: "is there already, and not from bundle " + name})
			continue
		case there && samePolicyObject(&was, &o):
			continue
		case there:
			edits = append(edits, ledger.Edit{Object: o, If: ledger.IfRevision(was.Metadata.Revision)})
		default:
			edits = append(edits, ledger.Edit{Object: o, If: ledger.MustNotExist()})
		}
		after = append(after, o)
	}
	for _, was := range before {
		if was.Metadata.Annotations[bundle.Annotation] == name {
			gone = append(gone, was)
			edits = append(edits, ledger.Edit{Object: was, Delete: true, If: ledger.IfRevision(was.Metadata.Revision)})
		}
	}
	if len(faults) > 0 || len(edits) == 0 {
		return nil, faults.Err()
	}
	together := append(others(others(current, gone), after), after...)
	set, faults := resource.NewSet(0, together)
	return edits, append(faults, policies.CheckSet(set)...).Err()
}

// samePolicyObject compares what a bundle says about a policy.
func samePolicyObject(a, b *resource.Object) bool {
	return bytes.Equal(a.Spec, b.Spec) && maps.Equal(a.Metadata.Annotations, b.Metadata.Annotations) && len(a.Metadata.Labels) == len(b.Metadata.Labels)
}
