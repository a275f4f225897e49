package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/otel/export"
)

// Embedded is the value of --kafka and --redis that starts the part in this process.
const Embedded = "embedded"

// The roles a process can have.
const (
	RoleGateway    = "gateway"
	RoleDispatcher = "dispatcher"
)

// Options configure a process. Each field is one flag, one environment
// variable and one key of the configuration file: see Flags.
type Options struct {
	HTTP string
	AccessOptions
	Roles []string
	Data  string
	FrontOptions

	Kafka             string
	KafkaListen       string
	KafkaTLS          bool
	KafkaCA           string
	KafkaCert         string
	KafkaKey          string
	KafkaSASL         string
	KafkaUser         string
	KafkaPassword     string
	KafkaPartitions   int
	KafkaReplication  int
	TopicPrefix       string
	InstanceID        string
	EmbeddedRetention int64

	Redis       string
	RedisListen string
	RedisCA     string
	RedisCert   string
	RedisKey    string
	RedisPrefix string

	DedupWindow time.Duration
	DedupAway   string

	MaxBody         int
	MaxBatch        int
	MaxHeader       int
	AcceptTimeout   time.Duration
	MaxBacklog      int64
	MaxBacklogBytes int64
	WebhookOrigins  []string
	SecretsDir      string
	ClusterOptions
	DockerHost string
	ArtifactOptions

	MaxHops       int
	MaxChain      int
	MaxChainAge   time.Duration
	Slots         int
	QueueLength   int
	Window        int
	StopDelay     time.Duration
	DrainTimeout  time.Duration
	PolicyTimeout time.Duration
	BundleOptions

	OTLP        string
	OTLPSignals []string
	TraceSample float64
	TraceURL    string

	FunctionLogRate      int
	FunctionLogRetention time.Duration

	LogFormat string
	LogLevel  string
	PProf     string
}

// DefaultOptions are those of `signalbox serve`.
func DefaultOptions() Options {
	return Options{
		HTTP: "127.0.0.1:8080", AccessOptions: defaultAccess(), FrontOptions: defaultFront(), Roles: []string{RoleGateway, RoleDispatcher}, Data: ".signalbox",
		Kafka: Embedded, KafkaListen: "127.0.0.1:9092", KafkaPartitions: 10, KafkaReplication: -1,
		TopicPrefix: "signalbox.", EmbeddedRetention: 256 << 20,
		Redis: Embedded, RedisListen: "127.0.0.1:6379", RedisPrefix: "signalbox:",
		DedupWindow: 24 * time.Hour, DedupAway: "deliver",
		MaxBody: 1 << 20, MaxBatch: 1000, MaxHeader: 16 << 10, AcceptTimeout: 5 * time.Second, MaxBacklog: 10_000_000, WebhookOrigins: []string{"*"}, ClusterOptions: defaultCluster(), ArtifactOptions: defaultArtifacts(),
		MaxHops: 64, MaxChain: 100000, MaxChainAge: 7 * 24 * time.Hour, Slots: 4096, QueueLength: 1024, Window: 100000, DrainTimeout: 20 * time.Second, PolicyTimeout: 50 * time.Millisecond, BundleOptions: defaultBundles(),
		OTLPSignals: []string{export.Traces, export.Logs, export.Metrics}, TraceSample: 0.01,
		FunctionLogRate: 1000, FunctionLogRetention: 7 * 24 * time.Hour,
		LogFormat: "text", LogLevel: "info",
	}
}

// Flags registers every option on fs, with o's values as the defaults. It is
// the one table from which flags, environment variables, configuration keys
// and docs/configuration.md come.
func (o *Options) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.HTTP, "http", o.HTTP, "address the HTTP server listens on")
	o.AccessOptions.flags(fs)
	fs.StringSliceVar(&o.Roles, "roles", o.Roles, "what this process does: gateway, dispatcher or both")
	fs.StringVar(&o.Data, "data", o.Data, "directory of the embedded parts")

	fs.StringVar(&o.Kafka, "kafka", o.Kafka, "embedded, or Kafka brokers as host:port,…")
	fs.StringVar(&o.KafkaListen, "kafka-listen", o.KafkaListen, "address the embedded Kafka listens on")
	fs.BoolVar(&o.KafkaTLS, "kafka-tls", o.KafkaTLS, "speak TLS to Kafka (implied by the other kafka TLS options)")
	fs.StringVar(&o.KafkaCA, "kafka-ca", o.KafkaCA, "file with the CA certificates that Kafka's is checked against (PEM)")
	fs.StringVar(&o.KafkaCert, "kafka-cert", o.KafkaCert, "file with the client certificate for Kafka (PEM)")
	o.FrontOptions.flags(fs)
	fs.StringVar(&o.KafkaKey, "kafka-key", o.KafkaKey, "file with the client certificate's key (PEM)")
	fs.StringVar(&o.KafkaSASL, "kafka-sasl", o.KafkaSASL, "SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	fs.StringVar(&o.KafkaUser, "kafka-user", o.KafkaUser, "SASL user")
	fs.StringVar(&o.KafkaPassword, "kafka-password", o.KafkaPassword, "SASL password (better given by environment or file)")
	fs.IntVar(&o.KafkaPartitions, "kafka-partitions", o.KafkaPartitions, "partitions of the event topic when it is made")
	fs.IntVar(&o.KafkaReplication, "kafka-replication", o.KafkaReplication, "replicas of the topics when they are made; -1: the brokers' default")
	fs.StringVar(&o.TopicPrefix, "topic-prefix", o.TopicPrefix, "what the names of all topics begin with")
	fs.StringVar(&o.InstanceID, "instance-id", o.InstanceID, "stable name of this process in the consumer group (static membership); empty: none")
	fs.Int64Var(&o.EmbeddedRetention, "embedded-retention", o.EmbeddedRetention, "bytes the embedded Kafka keeps over all partitions")

	fs.StringVar(&o.SecretsDir, "secrets-dir", o.SecretsDir, "directory with a file for each secret that resources name; those it lacks come from SIGNALBOX_SECRET_… variables")
	fs.StringVar(&o.DockerHost, "docker-host", o.DockerHost, "container engine for functions that are images, such as unix:///run/podman/podman.sock; empty: DOCKER_HOST, else the usual sockets of Docker and Podman")

	o.ArtifactOptions.flags(fs)

	o.ClusterOptions.flags(fs)

	fs.StringVar(&o.Redis, "redis", o.Redis, "embedded, or redis://…, rediss://…, redis+sentinel://…/master, redis+cluster://…")
	fs.StringVar(&o.RedisListen, "redis-listen", o.RedisListen, "address the embedded Redis listens on")
	fs.StringVar(&o.RedisCA, "redis-ca", o.RedisCA, "file with the CA certificates that Redis's is checked against (PEM)")
	fs.StringVar(&o.RedisCert, "redis-cert", o.RedisCert, "file with the client certificate for Redis (PEM)")
	fs.StringVar(&o.RedisKey, "redis-key", o.RedisKey, "file with the client certificate's key (PEM)")
	fs.StringVar(&o.RedisPrefix, "redis-prefix", o.RedisPrefix, "what the names of all Redis keys begin with")

	fs.DurationVar(&o.DedupWindow, "dedup-window", o.DedupWindow, "how long a source and id is remembered")
	fs.StringVar(&o.DedupAway, "dedup-away", o.DedupAway, "while Redis is away: deliver (at least once) or hold")

	fs.IntVar(&o.MaxBody, "max-body", o.MaxBody, "bytes of a request's body at most")
	fs.IntVar(&o.MaxBatch, "max-batch", o.MaxBatch, "events of one batch at most")
	fs.IntVar(&o.MaxHeader, "max-header", o.MaxHeader, "bytes of a request's headers at most")
	fs.DurationVar(&o.AcceptTimeout, "accept-timeout", o.AcceptTimeout, "how long POST /events waits for the log before it answers 503")
	fs.Int64Var(&o.MaxBacklog, "max-backlog", o.MaxBacklog, "events and parked deliveries not done at which new events are refused (429); 0: no limit")
	fs.Int64Var(&o.MaxBacklogBytes, "max-backlog-bytes", o.MaxBacklogBytes, "bytes of disk, in one replica, that events and parked deliveries not done may take before new events are refused (429); 0: no limit")
	fs.StringSliceVar(&o.WebhookOrigins, "webhook-origins", o.WebhookOrigins, "origins granted by the CloudEvents webhook handshake; *: all")

	fs.IntVar(&o.MaxHops, "max-hops", o.MaxHops, "how many functions one chain may go through, one after the other")
	fs.IntVar(&o.MaxChain, "max-chain", o.MaxChain, "events of one chain, counted from the ninth generation on; 0: no bound")
	fs.DurationVar(&o.MaxChainAge, "max-chain-age", o.MaxChainAge, "how long after its first event a chain may go on; 0: for ever")
	fs.IntVar(&o.Slots, "slots", o.Slots, "calls of functions that this process makes at a time, shared by their weights")
	fs.IntVar(&o.QueueLength, "queue-length", o.QueueLength, "deliveries that wait for one function in this process; more are parked in the log")
	fs.IntVar(&o.Window, "window", o.Window, "events of one partition that may be under way")
	fs.DurationVar(&o.StopDelay, "stop-delay", o.StopDelay, "how long /readyz says 503 before a stop refuses requests, so that load balancers notice")
	fs.DurationVar(&o.DrainTimeout, "drain-timeout", o.DrainTimeout, "how long a stop waits for deliveries under way")
	fs.DurationVar(&o.PolicyTimeout, "policy-timeout", o.PolicyTimeout, "how long one evaluation of a policy may take")
	o.BundleOptions.flags(fs)

	fs.StringVar(&o.OTLP, "otlp", o.OTLP, "where traces, lines of functions and metrics go: http://host:4318 or grpc://host:4317; empty: the OTEL_* variables, else nowhere")
	fs.StringSliceVar(&o.OTLPSignals, "otlp-signals", o.OTLPSignals, "what goes there: traces, logs, metrics")
	fs.Float64Var(&o.TraceSample, "trace-sample", o.TraceSample, "share of new traces that is recorded, 0 to 1")
	fs.StringVar(&o.TraceURL, "trace-url", o.TraceURL, "address of a trace for people, with {trace} for its id, such as http://jaeger:16686/trace/{trace}; signalbox trace prints it")
	fs.IntVar(&o.FunctionLogRate, "function-log-rate", o.FunctionLogRate, "lines a second of one function that this process keeps, each KiB of a line counting as one; more are dropped and counted")
	fs.DurationVar(&o.FunctionLogRetention, "function-log-retention", o.FunctionLogRetention, "how long lines of functions are kept, for when the topic is made; the embedded Kafka keeps a sixteenth of its bytes")

	fs.StringVar(&o.LogFormat, "log-format", o.LogFormat, "text or json")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "debug, info, warn or error")
	fs.StringVar(&o.PProf, "pprof", o.PProf, "address that serves Go's profiles under /debug/pprof/; keep it on loopback; empty: none")
}

// EnvName is the environment variable of a flag: SIGNALBOX_ and the flag in
// upper case with dashes as underscores.
func EnvName(flag string) string {
	return "SIGNALBOX_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Resolve fills in every flag that the command line does not set: from the
// environment, else from the YAML file (keys are the flags' names). Every
// fault names the variable or the file and key.
func Resolve(flags *pflag.FlagSet, lookupEnv func(string) (string, bool), file string) error {
	values, err := readConfig(flags, file)
	if err != nil {
		return err
	}
	var faults []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			return
		}
		if v, ok := lookupEnv(EnvName(f.Name)); ok {
			if err := f.Value.Set(v); err != nil {
				faults = append(faults, fmt.Errorf("%s=%q: %w", EnvName(f.Name), v, err))
			}
			return
		}
		if v, ok := values[f.Name]; ok {
			if err := f.Value.Set(v); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %q: %w", file, f.Name, v, err))
			}
		}
	})
	return errors.Join(faults...)
}

// readConfig reads the configuration file as flag values; "" is no file.
func readConfig(flags *pflag.FlagSet, file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("--config %s: not a YAML mapping: %w", file, err)
	}
	values := make(map[string]string, len(raw))
	for k, v := range raw {
		if flags.Lookup(k) == nil {
			return nil, fmt.Errorf("--config %s: unknown key %q: want one of %s", file, k, strings.Join(flagNames(flags), ", "))
		}
		switch v := v.(type) {
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = fmt.Sprint(v[i])
			}
			values[k] = strings.Join(parts, ",")
		default:
			values[k] = fmt.Sprint(v)
		}
	}
	return values, nil
}

func flagNames(flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	sort.Strings(names)
	return names
}

// Validate reports every fault, each naming the flag and what is allowed.
func (o *Options) Validate() error {
	var faults []error
	check := func(ok bool, flag string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("--%s %v: want %s", flag, value, allowed))
		}
	}
	check(len(o.Roles) > 0, "roles", o.Roles, "gateway, dispatcher or both")
	for _, r := range o.Roles {
		check(r == RoleGateway || r == RoleDispatcher, "roles", r, "gateway, dispatcher or both")
	}
	faults = append(faults, o.validateAccess(check)...)
	check(slices.Contains([]string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, o.KafkaSASL), "kafka-sasl", o.KafkaSASL, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	check(o.KafkaPartitions >= 1 && o.KafkaPartitions <= 10000, "kafka-partitions", o.KafkaPartitions, "1 to 10000")
	check(o.KafkaReplication == -1 || o.KafkaReplication >= 1 && o.KafkaReplication <= 100, "kafka-replication", o.KafkaReplication, "1 to 100, or -1")
	check(o.EmbeddedRetention >= 16<<20, "embedded-retention", o.EmbeddedRetention, "at least 16777216 (16 MiB)")
	check(o.DedupWindow >= time.Minute && o.DedupWindow <= 30*24*time.Hour, "dedup-window", o.DedupWindow, "1m to 720h")
	check(o.DedupAway == "deliver" || o.DedupAway == "hold", "dedup-away", o.DedupAway, "deliver or hold")
	check(o.MaxBody >= 1<<10 && o.MaxBody <= 64<<20, "max-body", o.MaxBody, "1024 to 67108864 bytes")
	check(o.MaxBatch >= 1 && o.MaxBatch <= 100000, "max-batch", o.MaxBatch, "1 to 100000")
	check(o.MaxHeader >= 1<<10 && o.MaxHeader <= 1<<20, "max-header", o.MaxHeader, "1024 to 1048576 bytes")
	check(o.AcceptTimeout >= 10*time.Millisecond && o.AcceptTimeout <= 5*time.Minute, "accept-timeout", o.AcceptTimeout, "10ms to 5m")
	check(o.MaxBacklog >= 0 && o.MaxBacklog <= 1e12, "max-backlog", o.MaxBacklog, "0 to 1000000000000")
	check(o.MaxBacklogBytes >= 0 && o.MaxBacklogBytes <= 1e15, "max-backlog-bytes", o.MaxBacklogBytes, "0 to 1000000000000000")
	faults = append(faults, o.FrontOptions.validate()...)
	check(o.MaxHops >= 1 && o.MaxHops <= 10000, "max-hops", o.MaxHops, "1 to 10000")
	check(o.MaxChain >= 0 && o.MaxChain <= 1000000000, "max-chain", o.MaxChain, "0 to 1000000000")
	check(o.MaxChainAge >= 0 && o.MaxChainAge <= 10*365*24*time.Hour, "max-chain-age", o.MaxChainAge, "0 to 87600h")
	check(o.Slots >= 1 && o.Slots <= 100000, "slots", o.Slots, "1 to 100000")
	check(o.QueueLength >= 1 && o.QueueLength <= 1<<20, "queue-length", o.QueueLength, "1 to 1048576")
	check(o.Window >= 1 && o.Window <= 1<<20, "window", o.Window, "1 to 1048576")
	check(o.StopDelay >= 0 && o.StopDelay <= 5*time.Minute, "stop-delay", o.StopDelay, "0 to 5m")
	check(o.DrainTimeout >= 0 && o.DrainTimeout <= 10*time.Minute, "drain-timeout", o.DrainTimeout, "0 to 10m")
	check(o.PolicyTimeout >= time.Millisecond && o.PolicyTimeout <= 10*time.Second, "policy-timeout", o.PolicyTimeout, "1ms to 10s")
	faults = append(faults, o.BundleOptions.validate()...)
	faults = append(faults, o.ClusterOptions.validate()...)
	faults = append(faults, o.ArtifactOptions.validate()...)
	check(o.TraceSample >= 0 && o.TraceSample <= 1, "trace-sample", o.TraceSample, "0 to 1")
	for _, signal := range o.OTLPSignals {
		check(slices.Contains([]string{export.Traces, export.Logs, export.Metrics}, signal), "otlp-signals", signal, "some of traces, logs and metrics")
	}
	check(o.TraceURL == "" || strings.Contains(o.TraceURL, "{trace}"), "trace-url", o.TraceURL, "a URL with {trace} in it")
	check(o.FunctionLogRate >= 0 && o.FunctionLogRate <= 1e6, "function-log-rate", o.FunctionLogRate, "0 to 1000000")
	check(o.FunctionLogRetention >= time.Minute && o.FunctionLogRetention <= 10*365*24*time.Hour, "function-log-retention", o.FunctionLogRetention, "1m to 87600h")
	check(o.LogFormat == "text" || o.LogFormat == "json", "log-format", o.LogFormat, "text or json")
	check(slices.Contains([]string{"debug", "info", "warn", "error"}, o.LogLevel), "log-level", o.LogLevel, "debug, info, warn or error")
	if o.Kafka == Embedded || o.Redis == Embedded {
		if err := writableDir(o.Data); err != nil {
			faults = append(faults, fmt.Errorf("--data %s: %w", o.Data, err))
		}
	}
	return errors.Join(faults...)
}

func (o *Options) has(role string) bool { return slices.Contains(o.Roles, role) }

// writableDir makes the directory when it is not there.
func writableDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return pe.Err
		}
		return err
	}
	return nil
}
