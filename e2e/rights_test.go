//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// right is one ACL of Kafka as docs/operations.md lists it.
type right struct {
	topic, group string // of which one is set
	prefixed     bool
	operations   []kmsg.ACLOperation
}

// leastRights are those of docs/operations.md for a prefix.
func leastRights(prefix string) []right {
	return []right{
		{topic: prefix, prefixed: true, operations: []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate, kmsg.ACLOperationDescribeConfigs}},
		{topic: prefix + "resources", operations: []kmsg.ACLOperation{kmsg.ACLOperationAlterConfigs}},
		{group: prefix + "dispatcher", operations: []kmsg.ACLOperation{kmsg.ACLOperationRead}},
		{group: prefix + "dispatcher.", prefixed: true, operations: []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationDelete}},
	}
}

// grant gives the user least these rights until the test ends.
func grant(t *testing.T, env parts.Env, rights []right) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(env.KafkaBrokers()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	adm := kadm.NewClient(cl)
	for _, r := range rights {
		pattern := kadm.ACLPatternLiteral
		if r.prefixed {
			pattern = kadm.ACLPatternPrefixed
		}
		acl := kadm.NewACLs().Allow("User:least").ResourcePatternType(pattern).Operations(r.operations...)
		acl.PrefixUserExcept()
		if r.topic != "" {
			acl.Topics(r.topic)
		} else {
			acl.Groups(r.group)
		}
		acl.AllowHosts()
		made, err := adm.CreateACLs(t.Context(), acl)
		for _, m := range made {
			err = errors.Join(err, m.Err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = adm.DeleteACLs(context.Background(), acl) })
	}
}

// leastArgs come to Kafka as the user least.
func leastArgs(t *testing.T, env parts.Env) []string {
	t.Setenv("SIGNALBOX_KAFKA_PASSWORD", env.Value("KAFKA_LEAST_PASSWORD"))
	return append(realArgs(t), "--kafka", strings.Join(env.KafkaSASLBrokers(), ","), "--kafka-ca", env.KafkaCA(), "--kafka-sasl", "SCRAM-SHA-512", "--kafka-user", env.Value("KAFKA_LEAST_USER"), "--log-level", "debug")
}

// everyRight does what needs each of the rights: all topics, a cursor that is made and
// deleted, a parked delivery, a redrive, a restart.
func (s *server) everyRight(t *testing.T) {
	t.Helper()
	broken := true
	fn := newRecorder(t, func(w http.ResponseWriter, c call) {
		if c.id() == "dead" && broken {
			w.WriteHeader(http.StatusBadRequest)
		}
		if c.id() == "later" && c.header.Get("Signalbox-Attempt") == "1" {
			w.Header().Set("Retry-After", "2") // long enough to be parked
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	link := "---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: slow}\nspec: {function: f, types: [com.example.a], paused: %v}\n"
	s.apply(functionManifest("f", fn.URL, "com.example.never") + fmt.Sprintf(link, false))
	for _, id := range []string{"1", "dead", "later"} {
		s.emitID(id, "com.example.a", "{}")
	}
	fn.awaitCalls(t, 4)
	s.apply(fmt.Sprintf(link, true))
	s.emitID("paused", "com.example.a", "{}")
	s.stop()
	s.launch()
	s.awaitReady()
	s.apply(fmt.Sprintf(link, false))
	fn.awaitCalls(t, 5)
	s.emitID("last", "com.example.a", "{}")
	fn.awaitCalls(t, 6)
	if err := s.Delete(t.Context(), kindOf(t, "links"), "slow"); err != nil {
		t.Error(err)
	}
	if n := fn.count(); n["1"] != 1 || n["dead"] != 1 || n["later"] != 2 || n["paused"] != 1 || n["last"] != 1 {
		t.Errorf("delivered %v", n)
	}
	for line := range strings.Lines(s.out.String()) {
		if text := strings.ToLower(line); strings.Contains(text, "authoriz") || strings.Contains(text, "noperm") || strings.Contains(text, "level=error") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

func TestKafkaByAUserWithTheLeastRights(t *testing.T) {
	env := parts.Up(t, "kafka")
	args := leastArgs(t, env)
	grant(t, env, leastRights(flagValue(args, "--topic-prefix")))
	start(t, args...).everyRight(t)
}

func TestARightOfKafkaThatIsMissingIsNamed(t *testing.T) {
	env := parts.Up(t, "kafka")
	for name, x := range map[string]struct {
		drop func(prefix string, rights []right) []right
		says string
	}{
		"none at all": {func(string, []right) []right { return nil }, "lacks the right Describe (which Read and Write bring) on topic"},
		"Create":      {without(kmsg.ACLOperationCreate), "lacks the right Create on topic"},
		"Write":       {without(kmsg.ACLOperationWrite), "lacks the right Write on topic"},
		"Read":        {without(kmsg.ACLOperationRead), "lacks the right Read on topic"},
		"the group":   {func(_ string, rights []right) []right { return rights[:2] }, "lacks the right Read on group"},
	} {
		t.Run(name, func(t *testing.T) {
			args := leastArgs(t, env)
			prefix := flagValue(args, "--topic-prefix")
			grant(t, env, x.drop(prefix, leastRights(prefix)))
			s := &server{t: t, addr: freeAddr(t), program: []string{binary(t)}}
			s.args = append(args, "--http", s.addr)
			s.launch()
			defer s.kill()
			await(t, "the right to be named", func() error {
				s.tryEmit()
				if out := s.out.String(); !strings.Contains(out, x.says) {
					return errors.New(out)
				}
				return nil
			})
		})
	}
}

// tryEmit sends an event and does not mind what is answered.
func (s *server) tryEmit() {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/events", strings.NewReader("{}"))
	if err != nil {
		return
	}
	for k, v := range binaryHeader("1", "com.example.a") {
		req.Header.Set(k, v)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}

func without(op kmsg.ACLOperation) func(string, []right) []right {
	return func(_ string, rights []right) []right {
		var left []right
		for _, r := range rights {
			var ops []kmsg.ACLOperation
			for _, o := range r.operations {
				if o != op || r.topic == "" {
					ops = append(ops, o)
				}
			}
			if r.operations = ops; len(ops) > 0 {
				left = append(left, r)
			}
		}
		return left
	}
}

// redisRights are those of docs/operations.md for a prefix.
func redisRights(prefix string) []string {
	return append(strings.Fields("resetkeys resetchannels -@all +hello +auth +ping +info +multi +exec +eval +evalsha "+
		"+get +set +del +incr +pexpire +hget +hset +hsetnx +hdel +hgetall +hmget +hexists +hincrby +hlen +zadd +zcard +zrange +zrangebyscore +zrem "+
		"+time +publish +subscribe +unsubscribe"), "~"+prefix+"*", "~{"+prefix+"*", "&"+prefix+"*", "&{"+prefix+"*")
}

// redisAdmin may do everything at the Redis behind TLS.
func redisAdmin(t *testing.T, env parts.Env) *redis.Client {
	t.Helper()
	ca, err := os.ReadFile(env.RedisTLSCA())
	if err != nil {
		t.Fatal(err)
	}
	opts, err := redis.ParseURL(env.RedisTLSURL())
	if err != nil {
		t.Fatal(err)
	}
	opts.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	opts.TLSConfig.RootCAs.AppendCertsFromPEM(ca)
	c := redis.NewClient(opts)
	t.Cleanup(func() { c.Close() })
	return c
}

// redisUser makes one with these rights, and returns the URL that it comes by.
func redisUser(t *testing.T, env parts.Env, admin *redis.Client, rights []string) string {
	t.Helper()
	name := unique(t)
	args := []any{"acl", "setuser", name, "reset", "on", ">canary-redis-password"}
	for _, r := range rights {
		args = append(args, r)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Do(context.Background(), "acl", "deluser", name) })
	u, err := url.Parse(env.RedisTLSURL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "canary-redis-password")
	return u.String()
}

func TestRedisByAUserWithTheLeastRights(t *testing.T) {
	env := parts.Up(t, "redis-tls")
	admin := redisAdmin(t, env)
	args := realArgs(t)
	at := redisUser(t, env, admin, redisRights(flagValue(args, "--redis-prefix")))
	s := start(t, append(args, "--redis", at, "--redis-ca", env.RedisTLSCA(), "--log-level", "debug")...)
	s.everyRight(t)
	user, _ := url.Parse(at)
	log, err := admin.Do(t.Context(), "acl", "log").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range log {
		if text := fmt.Sprint(entry); strings.Contains(text, user.User.Username()) {
			t.Error("denied: ", text)
		}
	}
}

func TestARightOfRedisThatIsMissingIsNamed(t *testing.T) {
	env := parts.Up(t, "redis-tls")
	admin := redisAdmin(t, env)
	for drop, says := range map[string]string{"-evalsha": "NOPERM this user has no permissions to run the 'evalsha' command", "resetkeys": "NOPERM this user has no permissions to access one of the keys", "resetchannels": "can't publish to the channel"} {
		t.Run(drop, func(t *testing.T) {
			args := realArgs(t)
			at := redisUser(t, env, admin, append(redisRights(flagValue(args, "--redis-prefix")), drop))
			s := &server{t: t, addr: freeAddr(t), program: []string{binary(t)}}
			s.args = append(args, "--redis", at, "--redis-ca", env.RedisTLSCA(), "--http", s.addr)
			s.launch()
			defer s.kill()
			await(t, "the right to be named", func() error {
				out := s.out.String()
				if !strings.Contains(out, says) {
					return errors.New(out)
				}
				return nil
			})
		})
	}
}
