package ledgertest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

// patience is how long the suite waits for what must happen.
const patience = 30 * time.Second

// soon is what is promised within a second, and how much longer a busy machine may take.
const soon = 5 * time.Second

// Run runs the suite. config names a running Redis, the same at each call; it
// is emptied (FLUSHALL) by some tests, so nothing else may use it meanwhile.
func Run(t *testing.T, config func(testing.TB) ledger.Config) {
	s := suite{config: config}
	for name, test := range map[string]func(*testing.T, suite){
		"resources": testResources,
		"set":       testApply,
		"writers":   testWriters,
		"history":   testHistory,
		"watch":     testWatch,
		"healing":   testHealing,
		"claims":    testClaims,
		"rates":     testRates,
		"chains":    testChains,
		"catalogue": testCatalogue,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

type suite struct {
	config func(testing.TB) ledger.Config
}

// fresh is a configuration with keys nobody has used.
func (s suite) fresh(t testing.TB) ledger.Config {
	cfg := s.config(t)
	cfg.KeyPrefix = "test-" + rand.Text()[:8] + ":"
	return cfg
}

// open opens a ledger until the end of the test.
func open(t testing.TB, cfg ledger.Config, h ledger.History) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), cfg, h)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// client is a plain client of the same Redis.
func client(t testing.TB, cfg ledger.Config) redis.UniversalClient {
	t.Helper()
	c, err := ledger.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// flush empties every node.
func flush(t testing.TB, c redis.UniversalClient) {
	t.Helper()
	if err := eachMaster(t.Context(), c, func(ctx context.Context, n redis.Cmdable) error { return n.FlushAll(ctx).Err() }); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func eachMaster(ctx context.Context, c redis.UniversalClient, fn func(context.Context, redis.Cmdable) error) error {
	if cc, ok := c.(*redis.ClusterClient); ok {
		return cc.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return fn(ctx, n) })
	}
	return fn(ctx, c)
}

// function is a resource of kind Function whose version tells copies apart.
func function(name, version string) resource.Object {
	spec, err := json.Marshal(resource.FunctionSpec{URL: "http://127.0.0.1:1", Version: version})
	if err != nil {
		panic(err)
	}
	return object(resource.KindFunction, name, string(spec))
}

func object(kind, name, spec string) resource.Object {
	return resource.Object{
		APIVersion: resource.APIVersion, Kind: kind,
		Metadata: resource.Metadata{Name: name}, Spec: json.RawMessage(spec),
	}
}

// versionOf reads back what function wrote.
func versionOf(t testing.TB, o resource.Object) string {
	t.Helper()
	var spec resource.FunctionSpec
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		t.Fatal(err)
	}
	return spec.Version
}

func put(t testing.TB, l *ledger.Ledger, o resource.Object) resource.Object {
	t.Helper()
	got, err := l.Put(t.Context(), o, ledger.Any())
	if err != nil {
		t.Fatalf("put %s: %v", o.Metadata.Name, err)
	}
	return got
}

func snapshot(t testing.TB, l *ledger.Ledger) (uint64, []resource.Object) {
	t.Helper()
	revision, objects, err := l.Snapshot(t.Context())
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return revision, objects
}

// watch collects the revisions that Watch reports until the end of the test.
func watch(t testing.TB, l *ledger.Ledger) <-chan uint64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	revisions, done := make(chan uint64, 1024), make(chan error, 1)
	go func() { done <- l.Watch(ctx, func(r uint64) { revisions <- r }) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("watch: %v", err)
			}
		case <-time.After(patience):
			t.Error("watch did not return when its context ended")
		}
	})
	return revisions
}

// await waits until revision (or a later one) is reported, and says how long it took.
func await(t testing.TB, revisions <-chan uint64, revision uint64) time.Duration {
	t.Helper()
	begin, late := time.Now(), time.After(patience)
	for {
		select {
		case r := <-revisions:
			if r >= revision {
				return time.Since(begin)
			}
		case <-late:
			t.Fatalf("revision %d was not reported within %s", revision, patience)
		}
	}
}
