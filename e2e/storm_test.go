//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/history"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// storm is a system of one gateway and three dispatchers, with a proxy between
// them and each of Kafka and Redis, under traffic.
type storm struct {
	t            *testing.T
	parts        parts.Env
	redisPID     int
	kafka, redis *proxy
	args         []string
	gateway      *server
	dispatchers  []*server
	traffic      *traffic
}

// trouble is something that happens to a storm's system, and is over when run returns.
type trouble struct {
	name string
	// repeats: deliveries may be repeated, since progress or ownership can be lost by it.
	repeats bool
	run     func(s *storm)
	// long: only when there are several rounds.
	long bool
}

// troubles are what every system meets one day.
var troubles = []trouble{
	{name: "Kafka is cut off", repeats: true, run: func(s *storm) { s.during(1500*time.Millisecond, s.kafka.cut()) }},
	{name: "Kafka's connections are reset", repeats: true, run: func(s *storm) {
		s.during(time.Second, s.kafka.spoil("reset_peer", "upstream", map[string]int{"timeout": 0}))
	}},
	{name: "Kafka is slow", run: func(s *storm) {
		s.during(3*time.Second, s.kafka.spoil("latency", "downstream", map[string]int{"latency": 200, "jitter": 150}))
	}},
	{name: "Kafka's answers are lost", repeats: true, run: func(s *storm) {
		s.during(2*time.Second, s.kafka.spoil("timeout", "downstream", map[string]int{"timeout": 0}))
	}},
	{name: "Redis is cut off", run: func(s *storm) { s.during(time.Second, s.redis.cut()) }},
	{name: "Redis's connections are reset", run: func(s *storm) {
		s.during(500*time.Millisecond, s.redis.spoil("reset_peer", "downstream", map[string]int{"timeout": 0}))
	}},
	{name: "Redis is slow", run: func(s *storm) {
		s.during(2*time.Second, s.redis.spoil("latency", "upstream", map[string]int{"latency": 100, "jitter": 50}))
	}},
	{name: "Redis's answers are lost", run: func(s *storm) {
		s.during(2*time.Second, s.redis.spoil("timeout", "downstream", map[string]int{"timeout": 0}))
	}},
	{name: "Redis is flushed", run: func(s *storm) { redisDo(s.t, s.parts.RedisURL(), "FLUSHALL") }},
	{name: "Redis is killed and comes back empty", run: func(s *storm) {
		crash(s.t, s.redisPID)
		s.redisPID = reviveRedis(s.t, s.parts.RedisURL())
	}},
	{name: "the broker is restarted", repeats: true, run: func(s *storm) { s.parts = s.parts.RestartKafka(false) }},
	{name: "the broker is killed", repeats: true, run: func(s *storm) { s.parts = s.parts.RestartKafka(true) }, long: true},
	{name: "a dispatcher is killed", repeats: true, run: func(s *storm) {
		s.dispatchers[0].kill()
		s.dispatchers[0].launch()
		s.dispatchers[0].awaitReady()
	}},
	{name: "a dispatcher is stopped and started", run: func(s *storm) {
		s.dispatchers[1].stop()
		s.dispatchers[1].launch()
		s.dispatchers[1].awaitReady()
	}},
	{name: "a fourth dispatcher comes and goes", run: func(s *storm) {
		fourth := start(s.t, append(slices.Clip(s.args), "--roles", "dispatcher")...)
		s.traffic.awaitMore(s.t, 200)
		fourth.stop()
	}},
	{name: "the gateway is killed", run: func(s *storm) {
		s.gateway.kill()
		s.gateway.launch()
		s.gateway.awaitReady()
	}},
}

// during lets a fault last, and ends it.
func (s *storm) during(d time.Duration, mend func()) {
	timer := time.NewTimer(d)
	<-timer.C
	mend()
}

// TestStormLosesNothing does to a system what networks, machines and people
// do, one thing after the other in random order, and checks the history. SIGNALBOX_STORMS
// is how many rounds, by default one, maybe none; SIGNALBOX_CRASH_SEED the seed.
func TestStormLosesNothing(t *testing.T) {
	rounds := fromEnvironment(t, "SIGNALBOX_STORMS", 1)
	if rounds == 0 {
		return
	}
	seed := fromEnvironment(t, "SIGNALBOX_CRASH_SEED", uint64(time.Now().UnixNano()))
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	c := newCrowd(t)
	s := startStorm(t, c)
	for round := range rounds {
		if s.round(c, fmt.Sprint("round-", round), random.Perm(len(troubles)), rounds > 1); t.Failed() {
			break
		}
	}
	c.verifyNoStrays(t)
}

func startStorm(t *testing.T, c *crowd) *storm {
	t.Helper()
	env := parts.UpPrivate(t, "kafka", "redis")
	redisURL, err := url.Parse(env.RedisURL())
	if err != nil {
		t.Fatal(err)
	}
	listen, upstream := env.KafkaProxy()
	s := &storm{t: t, parts: env, redisPID: env.RedisPID(), kafka: startProxy(t, listen, upstream), redis: startProxy(t, freeAddr(t), redisURL.Host)}
	redisURL.Host = s.redis.p.Listen
	s.args = []string{"serve", "--kafka", listen, "--redis", redisURL.String(), "--accept-timeout", "2s"}
	s.gateway = start(t, append(slices.Clip(s.args), "--roles", "gateway")...)
	for range 3 {
		s.dispatchers = append(s.dispatchers, start(t, append(slices.Clip(s.args), "--roles", "dispatcher")...))
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range append(slices.Clone(s.dispatchers), s.gateway) {
				t.Logf("%v printed:\n%s", p.args, p.out)
			}
		}
	})
	s.gateway.applyTo(c.manifests(), s.dispatchers...)
	return s
}

// awaitCalm waits until what was sent up to now is delivered: all partitions
// have owners that work. One link tells; those that park take their time.
func (s *storm) awaitCalm() {
	s.t.Helper()
	plain, now := history.Rules{Links: crashLinks[:1]}, time.Now()
	await(s.t, "deliveries to go on", func() error {
		if n := s.traffic.MissingOf(plain, now); n > 0 {
			return fmt.Errorf("%d are missing", n)
		}
		return nil
	})
}

// round is all troubles once, under one traffic.
func (s *storm) round(c *crowd, name string, order []int, long bool) {
	f := c.send(s.t, s.gateway.addr, name)
	s.traffic = f
	f.awaitMore(s.t, 100)
	for _, i := range order {
		if long || !troubles[i].long {
			s.meet(troubles[i])
		}
	}
	f.stop()
	f.settle(s.gateway)
	f.verify(s.t)
}

// meet is one trouble: it is over when events are accepted and delivered again.
func (s *storm) meet(what trouble) {
	began := time.Now()
	over := func() {}
	if what.repeats {
		over = s.traffic.Fault(what.name)
	}
	what.run(s)
	s.traffic.awaitMore(s.t, 100)
	s.awaitCalm()
	over()
	s.t.Logf("%s: over after %s", what.name, time.Since(began).Round(time.Millisecond))
	s.traffic.awaitMore(s.t, 200)
}
