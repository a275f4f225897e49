package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// regoDir is a directory of Rego that is kept in force.
type regoDir struct {
	t   *testing.T
	dir string
	m   *manifestDir
}

func newRegoDir(t *testing.T) *regoDir {
	d := &regoDir{t: t, dir: t.TempDir()}
	d.m = &manifestDir{dir: d.dir, store: openShop(t), log: quiet()}
	return d
}

func (d *regoDir) write(file, text string) {
	d.t.Helper()
	full := filepath.Join(d.dir, file)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *regoDir) remove(file string) {
	d.t.Helper()
	if err := os.RemoveAll(filepath.Join(d.dir, file)); err != nil {
		d.t.Fatal(err)
	}
}

// applies applies the directory and wants the summary, or a fault that holds it.
func (d *regoDir) applies(want string) {
	d.t.Helper()
	got, err := d.m.apply(d.t.Context())
	if err != nil {
		got = err.Error()
	}
	if err == nil && got != want || err != nil && !strings.Contains(got, want) {
		d.t.Errorf("%q, want %q", got, want)
	}
}

const allowDefault = "package signalbox.admission\n\ndefault allow := true\n"

func TestRegoOfADirectoryIsKeptInForce(t *testing.T) {
	d := newRegoDir(t)
	d.write("allow.rego", allowDefault)
	d.write("teams/data.json", `{"quiet": true}`)
	d.write("allow_test.rego", "package allow_test\n\ntest_x if true\n")
	d.applies("policy/allow, policy/teams.data")
	d.remove("allow.rego")
	d.write("teams/allow.rego", allowDefault) // with the other one it would be a second default
	d.applies("policy/teams.allow, policy/teams.data; removed policy/allow")
	d.write("more.rego", allowDefault)
	d.applies("multiple default rules")
	d.write("more.rego", "package signalbox.admission\n\ndeny contains nonsense(1)\n")
	d.applies(filepath.Join(d.dir, "more.rego") + ":3:")
	d.remove("more.rego")
	d.write("m.yaml", "apiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: teams.allow}\nspec: {rego: package x}\n")
	d.applies("m.yaml:3: metadata.name: Policy/teams.allow stands twice: in " + filepath.Join(d.dir, "teams", "allow.rego") + " too")
	d.remove("m.yaml")
	d.applies("policy/teams.allow, policy/teams.data")
}

func TestADirectoryBelowIsWatchedToo(t *testing.T) {
	d := newRegoDir(t)
	applied := make(chan string, 16)
	d.m.applied = func(summary string, err error) {
		if err != nil {
			summary = err.Error()
		}
		applied <- summary
	}
	d.m.first = func() {}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.m.run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(want string) {
		t.Helper()
		late := time.After(20 * time.Second)
		for {
			select {
			case got := <-applied:
				if strings.Contains(got, want) {
					return
				}
			case <-late:
				t.Fatalf("never applied %q", want)
			}
		}
	}
	await("holds no resources")
	d.write("a/b/p.rego", "package p\n")
	await("policy/a.b.p")
	d.write("a/b/q.rego", "package q\n")
	await("policy/a.b.q")
	d.remove("a/b/p.rego")
	await("removed policy/a.b.p")
	d.write(".hidden/x.rego", "package x\n")
	d.write("a/z.rego", "package z\n")
	await("policy/a.b.q, policy/a.z")
}

func TestALibraryThatIsNeededIsNotTakenAway(t *testing.T) {
	s := openShop(t)
	library := objectOf(t, resource.KindPolicy, "library", map[string]any{"rego": "package acme\n\np(x) if x"})
	user := policyOf(t, "user", "\nimport data.acme\n\ndeny contains \"p\" if acme.p(input.event.x)")
	if _, err := s.Apply(t.Context(), []resource.Object{library, user}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), resource.KindPolicy, "library"); !errors.Is(err, gateway.ErrInUse) || !strings.Contains(err.Error(), "without it Policy/user does not compile") {
		t.Errorf("while it is needed: %v", err)
	}
	for _, name := range []string{"user", "library"} {
		if err := s.Remove(t.Context(), resource.KindPolicy, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
