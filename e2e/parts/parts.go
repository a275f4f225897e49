// Package parts starts real third-party parts (Kafka, Redis, Jaeger, clients that are not ours) for tests, by the
// scripts that lie beside it; README.md says what there is.
//
// A part that cannot be had fails the test and never skips it: a skipped test shows nothing.
package parts

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Env is what the started parts are reached by. An accessor whose part is not among those given to [Up] fails the
// test. Safe for use by several goroutines as far as the test it belongs to is.
type Env struct {
	tb     testing.TB
	dir    string // SIGNALBOX_PARTS_DIR; empty for the shared instance
	values map[string]string
}

// Up starts the named parts ("kafka", "redis", "redis-tls", "redis-sentinel", "redis-cluster", "jaeger", "kube",
// "podman", "golang-image", "slim-images", "clients", "signers", "schemathesis", "sdks", "opensearch", "oauth"; none: kafka, redis and jaeger), waits until each is ready and returns how to reach them.
//
// The instance is shared by all tests of all packages and keeps running afterwards, so a test gives its topics and
// keys names of its own and leaves the parts as they are; [UpPrivate] is for those that cannot. The first call on a
// machine downloads and builds, minutes long for Jaeger: run e2e/parts/up beforehand.
func Up(tb testing.TB, names ...string) Env {
	tb.Helper()
	return run(tb, os.Getenv("SIGNALBOX_PARTS_DIR"), "up", names...)
}

// UpPrivate is [Up] with an instance that belongs to the test alone and ends with it.
func UpPrivate(tb testing.TB, names ...string) Env {
	tb.Helper()
	dir := tb.TempDir()
	tb.Cleanup(func() { run(tb, dir, "down") })
	return run(tb, dir, "up", names...)
}

// RestartKafka restarts the broker of this instance, on the same ports and data, and returns once it is ready again. With
// kill it gets no chance to stop cleanly; it is then away for about ten seconds, until its own earlier registration has
// expired. The result holds its new process id beside all that was there before.
func (e Env) RestartKafka(kill bool) Env {
	e.tb.Helper()
	var args []string
	if kill {
		args = append(args, "--kill")
	}
	restarted := run(e.tb, e.dir, "kafka-restart", args...)
	values := maps.Clone(e.values)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, restarted.values)
	restarted.values = values
	return restarted
}

// run runs one of the scripts on an instance and reads the KEY=value lines it prints.
func run(tb testing.TB, dir, script string, args ...string) Env {
	tb.Helper()
	root, err := scripts()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, script), args...)
	if dir != "" {
		cmd.Env = append(os.Environ(), "SIGNALBOX_PARTS_DIR="+dir)
	}
	// Progress is to be seen while it happens: a build may outlast the test's timeout.
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("e2e/parts/%s %s: %v; its messages stand above", script, strings.Join(args, " "), err)
	}
	return Env{tb: tb, dir: dir, values: parse(string(out))}
}

// scripts finds e2e/parts from the working directory, which for a test is the folder of its package.
func scripts() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		root := filepath.Join(dir, "e2e", "parts")
		if _, err := os.Stat(filepath.Join(root, "up")); err == nil {
			return root, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no e2e/parts/up above %s", start)
		}
	}
}

func parse(lines string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(lines) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			values[key] = value
		}
	}
	return values
}

// Value returns the value of one of the script's keys, for instance KAFKA_BROKERS.
func (e Env) Value(key string) string {
	e.tb.Helper()
	value, ok := e.values[key]
	if !ok {
		e.tb.Fatalf("parts: no %s among %v: name its part in parts.Up", key, slices.Sorted(maps.Keys(e.values)))
	}
	return value
}

// Environ returns all KEY=value pairs, sorted, for the environment of a process.
func (e Env) Environ() []string {
	pairs := make([]string, 0, len(e.values))
	for key, value := range e.values {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}

func (e Env) list(key string) []string {
	e.tb.Helper()
	return strings.Split(e.Value(key), ",")
}

func (e Env) pid(key string) int {
	e.tb.Helper()
	pid, err := strconv.Atoi(e.Value(key))
	if err != nil {
		e.tb.Fatalf("parts: %s: %v", key, err)
	}
	return pid
}

// KafkaBrokers returns the host:port of the plain text listener (part kafka).
func (e Env) KafkaBrokers() []string { e.tb.Helper(); return e.list("KAFKA_BROKERS") }

// OpenSearch returns the base URL of an index (part opensearch).
func (e Env) OpenSearch() string { e.tb.Helper(); return e.Value("OPENSEARCH_URL") }

// KafkaProxy returns where a proxy must listen, and the broker's listener that it passes on to: clients that come to
// this listener are told to connect to the proxy (part kafka).
func (e Env) KafkaProxy() (listen, upstream string) {
	e.tb.Helper()
	return e.Value("KAFKA_PROXY"), e.Value("KAFKA_BEHIND_PROXY")
}

// KafkaSASLBrokers returns the host:port of the SASL_SSL listener of the same broker (part kafka).
func (e Env) KafkaSASLBrokers() []string { e.tb.Helper(); return e.list("KAFKA_SASL_BROKERS") }

// KafkaUser returns the user and the password for SCRAM-SHA-512 on the SASL_SSL listener (part kafka).
func (e Env) KafkaUser() (user, password string) {
	e.tb.Helper()
	return e.Value("KAFKA_SASL_USER"), e.Value("KAFKA_SASL_PASSWORD")
}

// KafkaCA returns the path of the PEM file with the CA of the SASL_SSL listener (part kafka).
func (e Env) KafkaCA() string { e.tb.Helper(); return e.Value("KAFKA_CA") }

// KafkaPID returns the broker's process id, which [Env.RestartKafka] changes (part kafka).
func (e Env) KafkaPID() int { e.tb.Helper(); return e.pid("KAFKA_PID") }

// RedisURL returns the redis:// URL of the single server (part redis).
func (e Env) RedisURL() string { e.tb.Helper(); return e.Value("REDIS_URL") }

// RedisPID returns the process id of the single server (part redis).
func (e Env) RedisPID() int { e.tb.Helper(); return e.pid("REDIS_PID") }

// RedisTLSURL returns the rediss:// URL, with user and password, of the server behind TLS (part redis-tls).
func (e Env) RedisTLSURL() string { e.tb.Helper(); return e.Value("REDIS_TLS_URL") }

// RedisTLSCA returns the path of the PEM file with the CA of that server (part redis-tls).
func (e Env) RedisTLSCA() string { e.tb.Helper(); return e.Value("REDIS_TLS_CA") }

// RedisSentinels returns the host:port of each Sentinel and the name of the master they watch (part redis-sentinel).
func (e Env) RedisSentinels() (addrs []string, master string) {
	e.tb.Helper()
	return e.list("REDIS_SENTINEL_ADDRS"), e.Value("REDIS_SENTINEL_MASTER")
}

// RedisClusterAddrs returns the host:port of each node of the cluster (part redis-cluster).
func (e Env) RedisClusterAddrs() []string { e.tb.Helper(); return e.list("REDIS_CLUSTER_ADDRS") }

// OAuth returns the base URL of the OpenID provider, below which each path is an issuer (part oauth).
func (e Env) OAuth() string { e.tb.Helper(); return e.Value("OAUTH_URL") }

// JaegerOTLP returns the base URL that takes OTLP over HTTP, without /v1/traces (part jaeger).
func (e Env) JaegerOTLP() string { e.tb.Helper(); return e.Value("JAEGER_OTLP_HTTP") }

// JaegerQuery returns the base URL of the query API, without /api (part jaeger).
func (e Env) JaegerQuery() string { e.tb.Helper(); return e.Value("JAEGER_QUERY") }

// KubeConfig returns the path of a kubeconfig of the cluster's administrator (part kube).
func (e Env) KubeConfig() string { e.tb.Helper(); return e.Value("KUBE_CONFIG") }

// KubeServer returns the https:// URL of the API server and the path of the PEM file with its CA (part kube).
func (e Env) KubeServer() (url, ca string) {
	e.tb.Helper()
	return e.Value("KUBE_SERVER"), e.Value("KUBE_CA")
}

// RestartKube kills the API server of this instance and starts it again, on the same port and data (part kube).
func (e Env) RestartKube() { e.tb.Helper(); run(e.tb, e.dir, "kube-restart") }

// Schemathesis returns the start of a command line that runs it (part schemathesis).
func (e Env) Schemathesis() []string {
	e.tb.Helper()
	return []string{e.Value("SCHEMATHESIS_PYTHON"), "-c", "import sys; from schemathesis.cli import schemathesis; sys.argv[0] = 'st'; schemathesis()"}
}

// Python returns the path of an interpreter that has the CloudEvents SDK, Confluent's Kafka client and Flask
// (part clients).
func (e Env) Python() string { e.tb.Helper(); return e.Value("CLIENTS_PYTHON") }

// NodePath returns the NODE_PATH under which Node.js finds the CloudEvents SDK (part clients).
func (e Env) NodePath() string { e.tb.Helper(); return e.Value("CLIENTS_NODE_PATH") }

// Client returns the path of a program in e2e/parts/clients, for instance emit.py.
func (e Env) Client(name string) string {
	e.tb.Helper()
	root, err := scripts()
	if err != nil {
		e.tb.Fatal(err)
	}
	path := filepath.Join(root, "clients", name)
	if _, err := os.Stat(path); err != nil {
		e.tb.Fatal(err)
	}
	return path
}

// PodmanEnviron returns the KEY=value pairs that make podman use the configuration and storage of the instance (part
// podman).
func (e Env) PodmanEnviron() []string {
	e.tb.Helper()
	var pairs []string
	for _, key := range []string{"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF"} {
		pairs = append(pairs, key+"="+e.Value(key))
	}
	return pairs
}

// GolangImageFlags returns the flags of podman build under which a Dockerfile finds the stand-in builder image (part
// golang-image, which starts podman too).
func (e Env) GolangImageFlags() []string {
	e.tb.Helper()
	return strings.Fields(e.Value("GOLANG_IMAGE_FLAGS"))
}

// PodmanSocket returns the path of the socket of podman's Docker API (part podman-api, which starts podman too).
func (e Env) PodmanSocket() string { e.tb.Helper(); return e.Value("PODMAN_SOCKET") }

// DockerSocket returns the path of the socket of Docker's engine (part dockerd).
func (e Env) DockerSocket() string { e.tb.Helper(); return e.Value("DOCKER_SOCKET") }

// Bucket is an S3 bucket (part bucket).
type Bucket struct{ Endpoint, Name, AccessKey, SecretKey string }

// Bucket returns the bucket, which every user of the instance shares (part bucket).
func (e Env) Bucket() Bucket {
	e.tb.Helper()
	return Bucket{e.Value("S3_ENDPOINT"), e.Value("S3_BUCKET"), e.Value("S3_ACCESS_KEY"), e.Value("S3_SECRET_KEY")}
}

// SDKs is what our SDKs are tested with (part sdks): programs of the oldest
// versions they claim; Tools is a Python with mypy and build.
type SDKs struct{ Python, Node, GoToolchain, Tools, TSC, NodeModules string }

// SDKs returns where they are (part sdks).
func (e Env) SDKs() SDKs {
	e.tb.Helper()
	modules := e.Value("SDKS_NODE_MODULES")
	return SDKs{
		Python: e.Value("SDKS_PYTHON"), Node: e.Value("SDKS_NODE"), GoToolchain: e.Value("SDKS_GO"), NodeModules: modules,
		Tools: e.Value("SDKS_TOOLS"), TSC: filepath.Join(modules, "typescript", "bin", "tsc"),
	}
}
