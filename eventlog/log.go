package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Log is a connection to the event log. All methods may be called from several
// goroutines at a time; Consume may run once at a time.
type Log struct {
	cfg  Config
	log  *slog.Logger
	cl   *kgo.Client // appends, administers and reads back
	adm  *kadm.Client
	part kgo.TopicPartitioner

	names      map[Topic]string
	partitions map[Topic]int32 // as of Open

	events    budget // records appended for which somebody waits
	telemetry budget
	lines     budget // of Logs
	// telemetries are the records of telemetry that are not on their way.
	telemetries sync.Pool // of *telemetry
	parked      parkTopics
	cursors     sync.Mutex // one writer of cursors at a time
	tails       tails
	// stalled is set while appends run out of time, and cleared by the next
	// acknowledgement: a full buffer then means away, not busy.
	stalled  atomic.Bool
	full     atomic.Bool // the embedded log holds too much that is not settled
	stats    counters
	limits   limits
	denials  seldom // of the broker's authorizer
	throttle throttle
	// unpack keeps its buffers from one bounded read to the next.
	unpack kgo.Decompressor

	consuming atomic.Pointer[consumer]

	work    context.Context // of the workers
	stop    context.CancelFunc
	closing sync.Mutex // guards closed
	closed  bool
	workers sync.WaitGroup
	trim    chan struct{}
	trimmed atomic.Int64 // bytes appended since the last look at sizes
}

// Open connects to the brokers, creates the topics that are missing, and
// returns when all of them can be used. It fails with the address and the cause.
// The caller closes the Log.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("event log configuration: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{cfg: cfg, log: cfg.Logger, trim: make(chan struct{}, 1), names: make(map[Topic]string), unpack: kgo.DefaultDecompressor()}
	for _, t := range topics {
		l.names[t] = cfg.TopicPrefix + string(t)
	}
	l.events.set(cfg.MaxBufferedRecords, cfg.MaxBufferedBytes)
	l.telemetry.set(max(1, cfg.MaxBufferedRecords/4), max(1, cfg.MaxBufferedBytes/4))
	l.lines.set(max(1, cfg.MaxBufferedRecords/8), max(1, cfg.MaxBufferedBytes/8))
	l.telemetries.New = l.newTelemetry
	l.parked.budget.set(cfg.MaxBufferedRecords, max(cfg.MaxBufferedBytes, int(cfg.maxBytesOf(Dead))))
	l.parked.of = make(map[string]*parkTopic)
	l.tails.init()
	l.part = kgo.StickyKeyPartitioner(nil).ForTopic("")
	opts, err := l.producerOpts()
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	if l.cl, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	l.adm = kadm.NewClient(l.cl)
	if err := l.connect(ctx); err != nil {
		l.cl.Close()
		return nil, err
	}
	l.work, l.stop = context.WithCancel(context.Background())
	if cfg.Embedded {
		l.spawn(l.keepTrimmed)
	}
	return l, nil
}

// spawn runs f beside the log, which waits for it in Close; false when that
// was called.
func (l *Log) spawn(f func(context.Context)) bool {
	l.closing.Lock()
	defer l.closing.Unlock()
	if !l.closed {
		l.workers.Go(func() { f(l.work) })
	}
	return !l.closed
}

// topicPatience times ConnectTimeout is how long a broker that has answered may take to make the topics: it
// is slow, not away.
const topicPatience = 6

func (l *Log) connect(ctx context.Context) error {
	reached, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	if err := l.Ping(reached); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, topicPatience*l.cfg.ConnectTimeout)
	defer cancel()
	if err := l.createTopics(ctx); err != nil {
		return fmt.Errorf("event log at %s: %w", l.addresses(), err)
	}
	l.readLimits(ctx)
	l.keepVersions(ctx)
	return nil
}

// commonOpts are those of every client of this log.
func (c *Config) commonOpts() ([]kgo.Opt, error) {
	security, err := c.securityOpts()
	if err != nil {
		return nil, err
	}
	return append(security,
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(clientLogger{c.Logger}),
		kgo.DisableClientMetrics(),
		// How soon the client looks again for the leaders after an error: its
		// own 5s would be added to every outage.
		kgo.MetadataMinAge(250*time.Millisecond),
	), nil
}

// offsetCommitKey is the API key of the request OffsetCommit.
const offsetCommitKey = 8

func (l *Log) producerOpts() ([]kgo.Opt, error) {
	opts, err := l.cfg.commonOpts()
	if err != nil {
		return nil, err
	}
	compressed, err := compression(l.cfg.Compression)
	if err != nil {
		return nil, err
	}
	sticky := kgo.StickyKeyPartitioner(nil) // murmur2, as Kafka's own clients
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(offsetCommitKey, 9) // later ones want ids of topics instead of names: see commitLast
	return append(opts,
		kgo.MaxVersions(versions),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(parkPartitioner{l.cfg.TopicPrefix, sticky, kgo.ManualPartitioner()}),
		compressed,
		kgo.ProducerLinger(l.cfg.Linger),
		kgo.ProducerBatchMaxBytesFn(l.batchBytesOf),
		// Our budgets are what bounds the buffer; these are never reached.
		kgo.MaxBufferedRecords(3*l.cfg.MaxBufferedRecords),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.WithHooks(&l.throttle),
	), nil
}

// deliveryTimeout is when the client gives up a record that it could not send
// at all; one that was sent is only given up by an answer.
const deliveryTimeout = 30 * time.Second

// Ping asks any broker whether it is there.
func (l *Log) Ping(ctx context.Context) error {
	err := l.cl.Ping(ctx)
	if err == nil {
		return nil
	}
	if saslRefused(err) {
		return fmt.Errorf("%w: kafka at %s refused SASL %s as user %q: %w",
			ErrUnavailable, l.addresses(), l.cfg.SASL.Mechanism, l.cfg.SASL.User, err)
	}
	return fmt.Errorf("%w: kafka at %s: %w%s", ErrUnavailable, l.addresses(), err, l.hint(err))
}

func saslRefused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}

// hint says what it often means when a broker hangs up: that it wants other
// security settings. Not every broker says so itself.
func (l *Log) hint(err error) string {
	switch {
	case !errors.Is(err, io.EOF):
		return ""
	case l.cfg.SASL.Mechanism == "" || !l.cfg.TLS.enabled():
		return " (does the broker want TLS or SASL?)"
	}
	return fmt.Sprintf(" (is SASL %s as user %q right?)", l.cfg.SASL.Mechanism, l.cfg.SASL.User)
}

func (l *Log) addresses() string { return strings.Join(l.cfg.Brokers, ",") }

func (l *Log) topicName(t Topic) string {
	if name, ok := l.names[t]; ok {
		return name
	}
	return l.cfg.TopicPrefix + string(t)
}

// PartitionOf is where a record with this key goes: the hash that Kafka's own
// clients use. -1 when there is no key, and any partition will do.
func (l *Log) PartitionOf(topic Topic, key []byte) int32 {
	if key == nil {
		return -1
	}
	return int32(l.part.Partition(&kgo.Record{Key: key}, int(l.partitions[topic])))
}

// Partitions is how many partitions the topic has, as of Open.
func (l *Log) Partitions(topic Topic) int32 {
	if topic.parked() {
		topic = Events
	}
	return l.partitions[topic]
}

// Close waits, as long as ctx allows, for what is appended to be acknowledged,
// and ends the connection. Consume must have returned.
func (l *Log) Close(ctx context.Context) error {
	l.closing.Lock()
	l.closed = true
	l.closing.Unlock()
	l.stop()
	l.workers.Wait()
	err := l.cl.Flush(ctx)
	left := l.events.records.Load() + l.telemetry.records.Load() + l.lines.records.Load() + l.parked.budget.records.Load()
	l.cl.Close()
	if err != nil {
		return fmt.Errorf("%w: %d records not acknowledged at close: %w", ErrUnavailable, left, err)
	}
	return nil
}

// clientLogger passes what the client says on to slog: its warnings are our
// debug lines, since it repeats them at every retry.
type clientLogger struct{ l *slog.Logger }

// Level implements kgo.Logger.
func (c clientLogger) Level() kgo.LogLevel {
	if c.l.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

// Log implements kgo.Logger.
func (c clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	if level == kgo.LogLevelError {
		to = slog.LevelWarn
	}
	c.l.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}
