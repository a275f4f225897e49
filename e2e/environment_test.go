//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// environment is where a test runs the binary: what it is started with.
type environment struct {
	name string
	args func(t testing.TB) []string
}

// embedded runs everything in the one process.
func embeddedArgs(t testing.TB) []string {
	return []string{"serve", "--data", t.TempDir(), "--kafka-listen", freeAddr(t), "--redis-listen", freeAddr(t)}
}

// realArgs runs on Apache Kafka and Redis, with topics and keys of the test's own.
func realArgs(t testing.TB) []string {
	env := parts.Up(t, "kafka", "redis")
	name := unique(t)
	return []string{"serve", "--data", t.TempDir(), "--kafka", strings.Join(env.KafkaBrokers(), ","), "--redis", env.RedisURL(), "--topic-prefix", name + ".", "--redis-prefix", name + ":"}
}

// everywhere runs a test embedded and on the real parts.
func everywhere(t *testing.T, test func(t *testing.T, s *server)) {
	for _, env := range []environment{{"embedded", embeddedArgs}, {"real", realArgs}} {
		t.Run(env.name, func(t *testing.T) { test(t, start(t, env.args(t)...)) })
	}
}

// flagValue is the value of a flag in an argument list.
func flagValue(args []string, flag string) string {
	for i := range args {
		if args[i] == flag {
			return args[i+1]
		}
	}
	return ""
}
