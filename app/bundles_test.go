package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/policies/bundle"
	"github.com/signalbox-dev/signalbox/resource"
)

// keptPolicies is a ledger in memory that carries out every change.
type keptPolicies struct {
	revision uint64
	objects  []resource.Object
	changes  int
	// refuse is answered to the next changes, one each.
	refuse []error
}

func (k *keptPolicies) Snapshot(context.Context) (uint64, []resource.Object, error) {
	return k.revision, slices.Clone(k.objects), nil
}

func (k *keptPolicies) Change(_ context.Context, edits []ledger.Edit) ([]resource.Object, error) {
	k.changes++
	if len(k.refuse) > 0 {
		err := k.refuse[0]
		k.refuse = k.refuse[1:]
		return nil, err
	}
	k.revision++
	out := make([]resource.Object, len(edits))
	for i, e := range edits {
		k.objects = others(k.objects, []resource.Object{e.Object})
		if !e.Delete {
			out[i] = e.Object
			out[i].Metadata.Revision = k.revision
			k.objects = append(k.objects, out[i])
		}
	}
	return out, nil
}

// policies are name and revision annotation of what is kept.
func (k *keptPolicies) policies() string {
	var out []string
	for _, o := range k.objects {
		out = append(out, o.Metadata.Name+" "+o.Metadata.Annotations[bundle.RevisionAnnotation])
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// scripted is a source that answers as it is told. mu is held while it is told,
// or asked what it was asked.
type scripted struct {
	mu     sync.Mutex
	bundle *bundle.Bundle
	err    error
	asked  []time.Time
}

func (s *scripted) Name() string { return "authz" }

func (s *scripted) Fetch(_ context.Context, etag string) (*bundle.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	switch {
	case s.err != nil:
		return nil, s.err
	case etag != "" && etag == s.bundle.ETag:
		return nil, bundle.ErrNotModified
	}
	return s.bundle, nil
}

// bundleOf is a bundle of modules of package signalbox.trigger.
func bundleOf(t *testing.T, revision string, modules map[string]string) *bundle.Bundle {
	t.Helper()
	b := &bundle.Bundle{Revision: revision, ETag: `"` + revision + `"`}
	for name, rules := range modules {
		o := policyOf(t, "authz."+name, rules)
		o.Metadata.Annotations = map[string]string{bundle.Annotation: "authz", bundle.RevisionAnnotation: revision}
		b.Objects = append(b.Objects, o)
	}
	return b
}

func newPolls(k *keptPolicies, s *scripted) *bundlePolls {
	return &bundlePolls{
		sources: []bundleSource{s}, ledger: k, await: func(context.Context, uint64) {}, first: func(context.Context) error { return nil },
		poll: 30 * time.Second, metrics: metrics.New(), log: slog.New(slog.DiscardHandler), now: time.Now,
	}
}

func TestPoliciesFollowTheBundle(t *testing.T) {
	other := policyOf(t, "mine", "")
	k := &keptPolicies{objects: []resource.Object{other}}
	s := &scripted{}
	p, b := newPolls(k, s), &polled{source: s}
	pull := func(wantChanged int, want string) {
		t.Helper()
		changed, err := p.pull(t.Context(), b)
		if err != nil || changed != wantChanged || k.policies() != want {
			t.Fatalf("%d changed, %v: %s, want %d: %s", changed, err, k.policies(), wantChanged, want)
		}
	}
	s.bundle = bundleOf(t, "1", map[string]string{"a": "default p := 1", "b": ""})
	pull(2, "authz.a 1, authz.b 1, mine ")
	pull(0, "authz.a 1, authz.b 1, mine ")
	if k.changes != 1 {
		t.Errorf("%d changes: what is unchanged is written", k.changes)
	}
	k.objects = others(k.objects, []resource.Object{policyOf(t, "authz.b", "")}) // somebody deletes it
	pull(1, "authz.a 1, authz.b 1, mine ")
	// a module is renamed: both together would conflict
	s.bundle = bundleOf(t, "2", map[string]string{"c": "default p := 2", "b": ""})
	pull(3, "authz.b 2, authz.c 2, mine ")
}

func TestABundleThatIsWrongChangesNothing(t *testing.T) {
	clash := policyOf(t, "authz.x", "")
	for name, tt := range map[string]struct {
		modules map[string]string
		want    string
	}{
		"a rule of the wrong shape":     {map[string]string{"a": "q := 1", "b": "deny := 1"}, "Policy/authz.b"},
		"a rule that conflicts":         {map[string]string{"a": "default p := 1", "b": "default p := 2"}, "p"},
		"a policy that is not its own":  {map[string]string{"a": "q := 1", "x": ""}, "Policy/authz.x: is there already, and not from bundle authz"},
		"a conflict with what is there": {map[string]string{"a": "default mine := 2"}, "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keptPolicies{objects: []resource.Object{clash, policyOf(t, "mine", "default mine := 1")}}
			s := &scripted{bundle: bundleOf(t, "1", tt.modules)}
			p := newPolls(k, s)
			_, err := p.pull(t.Context(), &polled{source: s})
			var faults resource.Faults
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) || k.changes != 0 {
				t.Errorf("%v, %d changes; want %s", err, k.changes, tt.want)
			}
		})
	}
}

func TestAWrongBundleIsTriedAgainWhenTheRestHasChanged(t *testing.T) {
	k := &keptPolicies{objects: []resource.Object{policyOf(t, "mine", "default p := 1")}}
	s := &scripted{bundle: bundleOf(t, "1", map[string]string{"a": "default p := 2"})}
	p, b := newPolls(k, s), &polled{source: s}
	if _, err := p.pull(t.Context(), b); err == nil {
		t.Fatal("two defaults compile")
	}
	k.objects = nil
	if n, err := p.pull(t.Context(), b); err != nil || n != 1 { // not modified, by its tag
		t.Errorf("%d changed, %v", n, err)
	}
}

func TestAnotherProcessMayBeFaster(t *testing.T) {
	k := &keptPolicies{refuse: []error{ledger.ErrConflict, fmt.Errorf("x: %w", ledger.ErrExists)}}
	s := &scripted{bundle: bundleOf(t, "1", map[string]string{"a": ""})}
	p := newPolls(k, s)
	if n, err := p.pull(t.Context(), &polled{source: s}); err != nil || n != 1 || k.changes != 3 {
		t.Errorf("%d changed by %d changes, %v", n, k.changes, err)
	}
	k.refuse = slices.Repeat([]error{ledger.ErrConflict}, 99)
	s.bundle = bundleOf(t, "2", map[string]string{"a": ""})
	if _, err := p.pull(t.Context(), &polled{source: s}); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("%v", err)
	}
}

func TestAServerThatIsDownIsAskedSoonAndThenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keptPolicies{}
		s := &scripted{err: errors.New("connection refused"), bundle: bundleOf(t, "1", map[string]string{"a": ""})}
		p := newPolls(k, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.run(ctx) }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		s.mu.Lock()
		if n := len(s.asked); n < 12 || n > 30 { // 1, 2, 4, 8, 16 s, then 15 to 30 s
			t.Errorf("asked %d times in 5 minutes", n)
		}
		if first := s.asked[1].Sub(s.asked[0]); first > time.Second || first < time.Second/2 {
			t.Errorf("asked again after %s", first)
		}
		s.err = nil
		s.mu.Unlock()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if k.policies() != "authz.a 1" {
			t.Errorf("once it is back: %q", k.policies())
		}
		count := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.asked) }
		n := count()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if asked := count() - n; asked < 20 || asked > 23 {
			t.Errorf("asked %d times in 10 minutes", asked)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestBundleOptionsSayWhatIsWrong(t *testing.T) {
	o := defaultBundles()
	if faults := o.validate(); len(faults) > 0 {
		t.Errorf("the defaults: %v", faults)
	}
	o.PolicyBundles = []string{"http://host/a.tar.gz", "a=http://other/x", "ftp://x"}
	o.PolicyBundlePoll, o.PolicyBundleAlg = time.Millisecond, "XX"
	text := errors.Join(o.validate()...).Error()
	for _, want := range []string{"--policy-bundle-poll 1ms: want 1s to 24h", "two bundles are named a", `"ftp://x": want an http or https URL`, "Algorithm"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

func TestWhatABundleSaysIsCompared(t *testing.T) {
	a := policyOf(t, "p", "")
	b := a
	b.Metadata.Revision, b.Metadata.UID, b.Metadata.UpdatedAt = 7, "x", time.Now()
	if !samePolicyObject(&a, &b) {
		t.Error("what the ledger adds counts")
	}
	b.Spec = json.RawMessage(`{"rego":"package other"}`)
	if samePolicyObject(&a, &b) {
		t.Error("another module is the same")
	}
}
