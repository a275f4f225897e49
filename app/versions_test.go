package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	redisserver "github.com/signalbox-dev/signalbox/ledger/embedded"
	"github.com/signalbox-dev/signalbox/resource"
)

// shop is a resourceStore on a Redis of its own.
type shop struct {
	*resourceStore
	t *testing.T
}

func openShop(t *testing.T) shop {
	t.Helper()
	redis, err := redisserver.Start(redisserver.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	cfg := ledger.DefaultConfig()
	cfg.URL, cfg.Volatile = redis.URL(), true
	l, err := ledger.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return shop{&resourceStore{ledger: l, await: func(context.Context, uint64) {}, replays: &replayDesk{ledger: l}}, t}
}

// fnObject is function f in a version, with whatever else its spec says.
func fnObject(version, more string) resource.Object {
	return resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "f"},
		Spec: []byte(fmt.Sprintf(`{"url":"http://f.example/%s","version":%q%s}`, version, version, more)),
	}
}

func linkTo(name, function string) resource.Object {
	return resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindLink, Metadata: resource.Metadata{Name: name},
		Spec: []byte(fmt.Sprintf(`{"function":%q,"types":["t"]}`, function)),
	}
}

func (s shop) apply(objects ...resource.Object) []resource.Object {
	s.t.Helper()
	stored, err := s.Apply(s.t.Context(), objects, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return stored
}

// stand lists the versions there are: that in force, then the others by name.
func (s shop) stand() string {
	s.t.Helper()
	all, err := s.List(s.t.Context(), resource.KindFunction)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for i := range all {
		if name, _, _ := resource.CutVersion(all[i].Metadata.Name); name != "f" {
			continue
		}
		if all[i].Metadata.Name == "f" {
			names = append([]string{versionOf(&all[i])}, names...)
			continue
		}
		if want := "f@" + versionOf(&all[i]); all[i].Metadata.Name != want {
			s.t.Errorf("%s holds version %q", all[i].Metadata.Name, versionOf(&all[i]))
		}
		names = append(names, all[i].Metadata.Name)
	}
	return strings.Join(names, " ")
}

func (s shop) stands(want string) {
	s.t.Helper()
	if got := s.stand(); got != want {
		s.t.Errorf("there is %q, want %q", got, want)
	}
}

func TestAVersionStaysWhenAnotherFollows(t *testing.T) {
	s := openShop(t)
	s.apply(fnObject("", ""))
	s.apply(fnObject("v1", ""))
	s.stands("v1") // what has no name is replaced
	s.apply(fnObject("v1", `,"concurrency":3`))
	s.stands("v1")
	s.apply(fnObject("v2", `,"traffic":[{"version":"v1","weight":9},{"version":"v2","weight":1}]`))
	s.stands("v2 f@v1")
	if kept, err := s.Get(t.Context(), resource.KindFunction, "f@v1"); err != nil || !strings.Contains(string(kept.Spec), `"concurrency":3`) {
		t.Errorf("%s, %v", kept.Spec, err)
	}
	if o, created, err := s.Put(t.Context(), fnObject("v3", ""), gateway.Condition{}); err != nil || created || versionOf(&o) != "v3" {
		t.Errorf("%v %t %v", o, created, err)
	}
	s.stands("v3 f@v1 f@v2")
	if o, err := s.Get(t.Context(), resource.KindFunction, "f@v2"); err != nil || strings.Contains(string(o.Spec), "traffic") {
		t.Errorf("a kept version has traffic: %s, %v", o.Spec, err)
	}
	s.apply(fnObject("v1", ""))
	s.stands("v1 f@v2 f@v3")
	s.apply(fnObject("", ""))
	s.stands(" f@v1 f@v2 f@v3")
}

func TestAWriteThatChangesNothingLeavesEverythingAsItIs(t *testing.T) {
	s := openShop(t)
	both := []resource.Object{fnObject("v1", ""), fnObject("v2", ""), linkTo("l", "f@v1")}
	first := s.apply(both...)
	if first[0].Metadata.Name != "f@v1" || first[1].Metadata.Name != "f" || first[2].Metadata.Name != "l" || versionOf(&first[1]) != "v2" {
		t.Errorf("answered %v", first)
	}
	again := s.apply(both...)
	for i := range again {
		if again[i].Metadata.Revision != first[i].Metadata.Revision {
			t.Errorf("%s has revision %d, then %d", first[i].Metadata.Name, first[i].Metadata.Revision, again[i].Metadata.Revision)
		}
	}
	s.stands("v2 f@v1")
}

func TestTrafficIsCheckedAgainstTheVersionsThereWillBe(t *testing.T) {
	s := openShop(t)
	s.apply(fnObject("v1", ""))
	traffic := func(a, b string) string {
		return fmt.Sprintf(`,"traffic":[{"version":%q,"weight":1},{"version":%q,"weight":1}]`, a, b)
	}
	_, err := s.Apply(t.Context(), []resource.Object{fnObject("v2", traffic("v2", "v9"))}, false)
	var faults resource.Faults
	if !errors.As(err, &faults) || faults[0].Resource != "Function/f" || faults[0].Field != "spec.traffic[1].version" || !strings.Contains(faults[0].Problem, "v2, v1") {
		t.Errorf("%v", err)
	}
	s.stands("v1")
	if _, err := s.Apply(t.Context(), []resource.Object{fnObject("v2", traffic("v2", "v1"))}, true); err != nil {
		t.Errorf("only checked: %v", err)
	}
	s.stands("v1")
	s.apply(fnObject("v2", traffic("v2", "v1")))
	s.stands("v2 f@v1")
}

func TestTheOldestVersionsThatNothingNamesAreForgotten(t *testing.T) {
	s := openShop(t)
	for i := range 14 {
		traffic := ""
		if i >= 2 {
			traffic = fmt.Sprintf(`,"traffic":[{"version":"v00","weight":1},{"version":"v%02d","weight":1}]`, i)
		}
		s.apply(fnObject(fmt.Sprintf("v%02d", i), traffic))
		if i == 1 {
			s.apply(linkTo("l", "f@v01"))
		}
	}
	s.stands("v13 f@v00 f@v01 f@v05 f@v06 f@v07 f@v08 f@v09 f@v10 f@v11 f@v12")
}

func TestRollback(t *testing.T) {
	s := openShop(t)
	if _, err := s.Rollback(t.Context(), "f", ""); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("of no function: %v", err)
	}
	s.apply(fnObject("v1", `,"traffic":[{"version":"v1","weight":1}]`))
	if _, err := s.Rollback(t.Context(), "f", ""); !errors.Is(err, gateway.ErrNoVersion) {
		t.Errorf("to no version: %v", err)
	}
	s.apply(fnObject("v2", ""))
	s.apply(fnObject("v3", `,"traffic":[{"version":"v1","weight":9},{"version":"v3","weight":1}]`))
	if _, err := s.Rollback(t.Context(), "f", "v9"); !errors.Is(err, gateway.ErrNoVersion) || !strings.Contains(err.Error(), "v3, v1, v2") {
		t.Errorf("to a version that is not there: %v", err)
	}
	for _, step := range []struct{ to, want string }{
		{"", "v2 f@v1 f@v3"}, {"", "v3 f@v1 f@v2"}, {"v1", "v1 f@v2 f@v3"}, {"", "v3 f@v1 f@v2"}, {"v3", "v3 f@v1 f@v2"},
	} {
		o, err := s.Rollback(t.Context(), "f", step.to)
		if err != nil || o.Metadata.Name != "f" || strings.Contains(string(o.Spec), "traffic") {
			t.Errorf("%v, %v", o, err)
		}
		s.stands(step.want)
	}
}

func TestDeletingVersions(t *testing.T) {
	s := openShop(t)
	remove := func(name string, revision uint64) error {
		return s.Delete(t.Context(), resource.KindFunction, name, revision)
	}
	s.apply(fnObject("v1", ""), linkTo("l", "f@v1"))
	s.apply(fnObject("v2", ""))
	s.apply(fnObject("v3", `,"traffic":[{"version":"v2","weight":1},{"version":"v3","weight":0}]`))
	for name, want := range map[string]struct {
		err  error
		says string
	}{
		"f@v1": {gateway.ErrInUse, "link l"}, "f@v2": {gateway.ErrInUse, "the traffic of f"}, "f@v3": {gateway.ErrNotFound, "it is in force"},
		"f@v9": {gateway.ErrNotFound, ""}, "g": {gateway.ErrNotFound, ""}, "g@v1": {gateway.ErrNotFound, ""},
	} {
		if err := remove(name, 0); !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v, want %v %s", name, err, want.err, want.says)
		}
	}
	now := s.apply(fnObject("v3", ""))[0]
	if err := remove("f@v2", now.Metadata.Revision); !errors.Is(err, gateway.ErrConflict) {
		t.Errorf("of another revision: %v", err)
	}
	if err := remove("f@v2", 0); err != nil {
		t.Error(err)
	}
	s.stands("v3 f@v1")
	if err := remove("f", now.Metadata.Revision+100); !errors.Is(err, gateway.ErrConflict) {
		t.Errorf("of another revision: %v", err)
	}
	if err := remove("f", now.Metadata.Revision); err != nil {
		t.Error(err)
	}
	s.stands("")
}

func TestConditionsOfAWriteHold(t *testing.T) {
	s := openShop(t)
	first := s.apply(fnObject("v1", ""))[0].Metadata.Revision
	s.apply(fnObject("v2", ""))
	for name, c := range map[string]struct {
		cond gateway.Condition
		want error
	}{
		"there is one": {gateway.Condition{Absent: true}, gateway.ErrExists}, "it has changed": {gateway.Condition{Revision: first}, gateway.ErrConflict},
	} {
		if _, _, err := s.Put(t.Context(), fnObject("v3", ""), c.cond); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.stands("v2 f@v1")
}

func TestNoVersionIsLostWhenManyWriteAtOnce(t *testing.T) {
	s := openShop(t)
	var versions []string
	var all sync.WaitGroup
	for i := range 8 {
		version := fmt.Sprint("v", i)
		versions = append(versions, version)
		all.Go(func() {
			if _, _, err := s.Put(t.Context(), fnObject(version, ""), gateway.Condition{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := strings.Fields(strings.ReplaceAll(s.stand(), "f@", ""))
	slices.Sort(got)
	if !slices.Equal(got, versions) {
		t.Errorf("there are %v, want %v", got, versions)
	}
}

func TestMoreResourcesThanTheLedgerTakesAtATimeAreRefused(t *testing.T) {
	s := openShop(t)
	s.most = 1
	two := []resource.Object{{Kind: resource.KindFunction}, {Kind: resource.KindLink}}
	if _, err := s.resourceStore.Apply(t.Context(), two, false); err == nil || !strings.Contains(err.Error(), "want at most 1") {
		t.Errorf("%v", err)
	}
}
