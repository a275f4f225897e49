//go:build e2e

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/e2e/freeport"
	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/ledger/ledgertest"
	"github.com/signalbox-dev/signalbox/resource"
)

// The parts are private ones: the suite empties its Redis.

func TestConformanceRedis(t *testing.T) {
	url := parts.UpPrivate(t, "redis").RedisURL()
	ledgertest.Run(t, func(testing.TB) ledger.Config { return configOf(url) })
}

func TestConformanceTLS(t *testing.T) {
	env := parts.UpPrivate(t, "redis-tls")
	cfg := configOf(env.RedisTLSURL())
	if _, err := ledger.Open(t.Context(), cfg, nil); err == nil || strings.Contains(err.Error(), password(t, cfg.URL)) {
		t.Errorf("without the CA: %v", err)
	}
	cfg.CAFile = env.RedisTLSCA()
	ledgertest.Run(t, func(testing.TB) ledger.Config { return cfg })
	t.Run("a user with no more rights than needed", func(t *testing.T) { testRights(t, cfg) })
	t.Run("a wrong password", func(t *testing.T) {
		wrong := cfg
		wrong.URL = strings.Replace(cfg.URL, password(t, cfg.URL), "not-the-secret", 1)
		if _, err := ledger.Open(t.Context(), wrong, nil); !errors.Is(err, ledger.ErrUnavailable) || strings.Contains(err.Error(), "not-the-secret") {
			t.Errorf("open: %v", err)
		}
	})
}

func TestConformanceSentinel(t *testing.T) {
	cfg := sentinelConfig(t)
	ledgertest.Run(t, func(testing.TB) ledger.Config { return cfg })
}

func TestConformanceCluster(t *testing.T) {
	addrs := parts.UpPrivate(t, "redis-cluster").RedisClusterAddrs()
	cfg := configOf("redis+cluster://" + strings.Join(addrs, ","))
	ledgertest.Run(t, func(testing.TB) ledger.Config { return cfg })
	t.Run("a user with no more rights than needed", func(t *testing.T) { testRights(t, cfg) })
}

func TestOutageRedis(t *testing.T) {
	s := newProcess(t)
	s.Start(t)
	ledgertest.RunOutage(t, s)
}

// TestFailover moves the master and looks whether writes, claims and the
// watch follow, and nothing is lost.
func TestFailover(t *testing.T) {
	cfg := sentinelConfig(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := ledger.Open(ctx, cfg, new(ledgertest.History))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Put(ctx, link("before"), ledger.Any()); err != nil {
		t.Fatal(err)
	}
	revisions, done := make(chan uint64, 1024), make(chan error, 1)
	go func() { done <- l.Watch(ctx, func(r uint64) { revisions <- r }) }()
	defer func() { cancel(); <-done }()

	first := masterOf(t, cfg)
	if err := sentinelOf(t, cfg).Failover(ctx, "signalbox").Err(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var revision uint64
	for revision == 0 || masterOf(t, cfg) == first {
		select {
		case <-ctx.Done():
			t.Fatal("no write on a new master within a minute")
		case <-tick.C:
		}
		if o, err := l.Put(ctx, link("after"), ledger.Any()); err == nil {
			revision = o.Metadata.Revision
		} else if !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("put: %v", err)
		}
	}
	for got := uint64(0); got < revision; {
		select {
		case got = <-revisions:
		case <-ctx.Done():
			t.Fatalf("the watch ends at revision %d, want %d", got, revision)
		}
	}
	if _, err := l.Get(ctx, resource.KindLink, "before"); err != nil {
		t.Error(err)
	}
	if err := l.Claim(ctx, []event.Record{{Event: &event.Event{ID: "1"}}}, make([]event.Verdict, 1)); err != nil {
		t.Error(err)
	}
}

func link(name string) resource.Object {
	return resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindLink,
		Metadata: resource.Metadata{Name: name}, Spec: []byte(`{"function":"f","types":["*"]}`)}
}

func sentinelConfig(t *testing.T) ledger.Config {
	addrs, master := parts.UpPrivate(t, "redis-sentinel").RedisSentinels()
	return configOf("redis+sentinel://" + strings.Join(addrs, ",") + "/" + master)
}

func sentinelOf(t *testing.T, cfg ledger.Config) *redis.SentinelClient {
	_, rest, _ := strings.Cut(cfg.URL, "://")
	addr, _, _ := strings.Cut(rest, ",")
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { c.Close() })
	return c
}

func masterOf(t *testing.T, cfg ledger.Config) string {
	addr, err := sentinelOf(t, cfg).GetMasterAddrByName(context.Background(), "signalbox").Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(addr, ":")
}

// rights are those DESIGN.md names.
const rights = "~signalbox:* ~{signalbox:* &{signalbox:* -@all +ping +select +get +set +del +incr +hget +hgetall +hlen +hset +hsetnx +hdel " +
	"+hincrby +hmget +hexists +zadd +zcard +zrange +zrangebyscore +zrem +time +pexpire +publish +subscribe +unsubscribe +multi +exec +eval +evalsha +cluster|slots +cluster|shards +command"

func testRights(t *testing.T, cfg ledger.Config) {
	ctx := t.Context()
	admin, err := ledger.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	args := []any{"acl", "setuser", "app", "on", ">s3cret"}
	for _, r := range strings.Fields(rights) {
		args = append(args, r)
	}
	if c, ok := admin.(*redis.ClusterClient); ok {
		err = c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return n.Do(ctx, args...).Err() })
	} else {
		err = admin.Do(ctx, args...).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	scheme, hosts, _ := strings.Cut(cfg.URL, "://")
	cfg.URL = scheme + "://app:s3cret@" + hosts[strings.LastIndex(hosts, "@")+1:]
	l, err := ledger.Open(ctx, cfg, new(ledgertest.History))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	watchCtx, stop := context.WithCancel(ctx)
	seen, done := make(chan uint64, 16), make(chan error, 1)
	go func() { done <- l.Watch(watchCtx, func(r uint64) { seen <- r }) }()
	_, errApply := l.Apply(ctx, []resource.Object{link("a"), link("b")})
	errDelete := l.Delete(ctx, resource.KindLink, "a", ledger.Any())
	_, _, errSnapshot := l.Snapshot(ctx)
	errClaim := l.Claim(ctx, []event.Record{{Event: &event.Event{ID: "1"}}}, make([]event.Verdict, 1))
	_, _, errLookup := l.Lookup(ctx, "", "1")
	_, errHeal := l.Heal(ctx)
	_, _, errRate := l.TakeRate(ctx, "f", 10, 1)
	_, errChain := l.CountChain(ctx, "c", 1)
	errMerge := l.MergeTypes(ctx, catalogue.DefaultConfig(), []catalogue.Delta{
		{Type: "t", Count: 1, First: 1, Last: time.Now().UnixMilli(), Minutes: map[int64]uint64{1: 1}, Sources: []string{"/s"}}, {Type: "old", Count: 1, First: 1, Last: 2},
	}, []catalogue.Effect{{Policy: "p"}})
	_, errTypes := l.Types(ctx)
	_, errType := l.Type(ctx, "t")
	_, errEffects := l.Effects(ctx)
	if err := errors.Join(errMerge, errTypes, errType, errEffects, errApply, errDelete, errSnapshot, errClaim, errLookup, errHeal, errRate, errChain); err != nil {
		t.Error(err)
	}
	<-seen
	stop()
	<-done
}

func password(t *testing.T, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := u.User.Password()
	return p
}

// process is a redis-server of the test's own, which it may kill and stop.
type process struct {
	port string
	dir  string
	cmd  *exec.Cmd
}

func newProcess(t *testing.T) *process {
	addr, err := freeport.Addr() // none that a client may get while the server is away
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	p := &process{port: port, dir: t.TempDir()}
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) Config() ledger.Config {
	cfg := configOf("redis://127.0.0.1:" + p.port)
	cfg.Timeout = time.Second
	return cfg
}

func (p *process) Start(t testing.TB) {
	p.cmd = exec.Command("redis-server", "--port", p.port, "--bind", "127.0.0.1", "--dir", p.dir, "--save", "", "--appendonly", "no")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + p.port})
	defer c.Close()
	late, again := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for c.Ping(context.Background()).Err() != nil {
		select {
		case <-late:
			t.Fatal("redis-server does not answer")
		case <-again.C:
		}
	}
}

func (p *process) Stop(testing.TB) { p.kill() }

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *process) Freeze(t testing.TB) { p.signal(t, syscall.SIGSTOP) }
func (p *process) Thaw(t testing.TB)   { p.signal(t, syscall.SIGCONT) }

func (p *process) signal(t testing.TB, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", s, err))
	}
}
