package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"
)

// Config says where the log is and how it behaves. Start from DefaultConfig;
// zero values are not defaults unless the field says so.
type Config struct {
	// Brokers are seed addresses, host:port.
	Brokers []string
	// ClientID names this process to the broker.
	ClientID string
	// TopicPrefix stands before every topic name.
	TopicPrefix string
	// Partitions of the events topic when it is created, 1 to 10000.
	Partitions int
	// ReplicationFactor of created topics; -1 leaves it to the broker.
	ReplicationFactor int16
	// Retention of created topics; ignored when Embedded.
	Retention Retention
	// MaxMessageBytes bounds one record, and one batch, 1 KiB to 64 MiB.
	// Created topics are set to take it.
	MaxMessageBytes int32
	// TLS and SASL protect the connection; zero values are off.
	TLS  TLS
	SASL SASL
	// ConnectTimeout bounds how long Open waits for a broker's first answer; for
	// the topics to be made it waits six times as long.
	ConnectTimeout time.Duration
	// Dial replaces the dialer of the client; nil is TCP, with TLS on top when enabled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Group is the consumer group of Consume.
	Group string
	// InstanceID makes the membership static (KIP-345): the member does not
	// leave on a stop, so a restart within SessionTimeout moves no partition.
	// "" is dynamic: the member leaves on a clean stop.
	InstanceID string
	// SessionTimeout is how long the broker waits for a member that died
	// before it gives its partitions away; Kafka's own lower limit is 6s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long a member may take to hand over.
	RebalanceTimeout time.Duration
	// DrainTimeout bounds how long a stop waits for deliveries in flight. A
	// hand-over waits at most half of RebalanceTimeout, if that is less.
	DrainTimeout time.Duration
	// CommitInterval is how often progress is committed, if there is any.
	CommitInterval time.Duration
	// CommitRecords commits earlier, when that many records are settled.
	CommitRecords int
	// Window bounds, per partition, the records that were handed over and
	// cannot be committed yet, 1 to 1048576. A full window stops the hand-over.
	Window int
	// ParkedWindow bounds, per function and partition, the parked deliveries
	// that were handed over and are not settled, 1 to 1048576. One that waits for
	// long does not stop those behind it before there are 24,000 of them.
	ParkedWindow int
	// ParkedInterval is how often the log looks for deliveries that other
	// processes parked, 10ms to 1h. At every twentieth look it deletes what is
	// settled of parked topics.
	ParkedInterval time.Duration
	// QueueRecords and QueueBytes bound, per partition, what is fetched and
	// not yet handed over (one fetch may go over it). A full queue pauses the
	// fetching of that partition only.
	QueueRecords int
	QueueBytes   int
	// HandleRecords bounds the records of one call of the handler.
	HandleRecords int

	// MaxBufferedRecords and MaxBufferedBytes bound what is appended and not
	// yet acknowledged. Full: Append fails with ErrBacklog. Telemetry has a
	// quarter of these for itself, over which it is dropped, and what functions
	// print half of that beside it; parking as much as telemetry for itself.
	MaxBufferedRecords int
	MaxBufferedBytes   int
	// Linger waits for more records before a batch is sent; 0 sends at once,
	// and batches form while earlier ones are on their way.
	Linger time.Duration
	// Compression of batches: none, lz4, snappy or zstd. For 1 KiB of JSON lz4
	// costs this process no more than none, and half the bytes elsewhere.
	Compression string

	// Embedded says that the broker is eventlog/embedded: topics are never
	// compacted and never expire by themselves. The log trims them instead:
	// RetentionBytes holds for all topics together, and events and parked
	// deliveries that are not settled are never trimmed (Append fails with
	// ErrBacklog first).
	Embedded       bool
	RetentionBytes int64

	// Logger takes what happens to the connection and the group.
	Logger *slog.Logger
	// Hooks are told what is measured.
	Hooks Hooks
}

// Hooks are called for what is worth measuring. Nil functions are not called.
// They must not block and may be called from several goroutines at a time.
type Hooks struct {
	// Append: records of a topic were acknowledged, or failed.
	Append func(topic Topic, records, bytes int, took time.Duration, err error)
	// Commit: progress of so many partitions was committed, or failed.
	Commit func(partitions int, took time.Duration, err error)
	// Polled: records were fetched for the consumer.
	Polled func(records int)
	// Dropped: telemetry was dropped, because its buffer is full or the broker
	// refused it. key is the record's, and not to be kept.
	Dropped func(topic Topic, key []byte)
}

// DefaultConfig is the configuration for a broker at 127.0.0.1:9092.
func DefaultConfig() Config {
	return Config{
		Brokers:            []string{"127.0.0.1:9092"},
		ClientID:           "signalbox",
		TopicPrefix:        "signalbox.",
		Partitions:         10,
		ReplicationFactor:  -1,
		Retention:          Retention{Events: 7 * 24 * time.Hour, Dead: 30 * 24 * time.Hour, Runs: 7 * 24 * time.Hour, Logs: 7 * 24 * time.Hour},
		MaxMessageBytes:    1 << 20,
		ConnectTimeout:     10 * time.Second,
		Group:              "signalbox-dispatcher",
		SessionTimeout:     6 * time.Second,
		RebalanceTimeout:   30 * time.Second,
		DrainTimeout:       10 * time.Second,
		CommitInterval:     200 * time.Millisecond,
		CommitRecords:      5000,
		Window:             100000,
		ParkedWindow:       500,
		ParkedInterval:     3 * time.Second,
		QueueRecords:       1000,
		QueueBytes:         2 << 20,
		HandleRecords:      256,
		MaxBufferedRecords: 20000,
		MaxBufferedBytes:   64 << 20,
		Compression:        "lz4",
		RetentionBytes:     256 << 20,
		Logger:             slog.New(slog.DiscardHandler),
	}
}

// prefixPattern is what Kafka allows in a topic name.
var prefixPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,200}$`)

// Validate returns every fault of the configuration, joined, each naming the
// field and what is allowed; nil when there is none.
func (c *Config) Validate() error {
	var faults []error
	add := func(ok bool, field string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s %v: want %s", field, value, want))
		}
	}
	add(len(c.Brokers) > 0, "Brokers", c.Brokers, "at least one host:port")
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		add(err == nil && host != "" && port != "", "Brokers", fmt.Sprintf("%q", withoutUser(b)), "host:port")
	}
	add(prefixPattern.MatchString(c.TopicPrefix), "TopicPrefix", fmt.Sprintf("%q", c.TopicPrefix), "at most 200 letters, digits, '.', '_' and '-'")
	add(c.Group != "", "Group", `""`, "a name")
	add(c.ReplicationFactor == -1 || c.ReplicationFactor > 0, "ReplicationFactor", c.ReplicationFactor, "1 or more, or -1 for the broker's default")
	between := func(field string, v, low, high int64) {
		add(low <= v && v <= high, field, v, fmt.Sprintf("%d to %d", low, high))
	}
	between("Partitions", int64(c.Partitions), 1, 10000)
	between("MaxMessageBytes", int64(c.MaxMessageBytes), 1<<10, 64<<20)
	between("CommitRecords", int64(c.CommitRecords), 1, 1<<30)
	between("Window", int64(c.Window), 1, 1<<20)
	between("ParkedWindow", int64(c.ParkedWindow), 1, 1<<20)
	between("QueueRecords", int64(c.QueueRecords), 1, 1<<20)
	between("QueueBytes", int64(c.QueueBytes), 1<<10, 1<<30)
	between("HandleRecords", int64(c.HandleRecords), 1, 1<<20)
	between("MaxBufferedRecords", int64(c.MaxBufferedRecords), 1, 1<<30)
	between("MaxBufferedBytes", int64(c.MaxBufferedBytes), int64(c.MaxMessageBytes), 1<<40)
	if c.Embedded {
		between("RetentionBytes", c.RetentionBytes, 8<<20, 1<<50)
	}
	duration := func(field string, v, low, high time.Duration) {
		add(low <= v && v <= high, field, v, fmt.Sprintf("%v to %v", low, high))
	}
	duration("ConnectTimeout", c.ConnectTimeout, time.Millisecond, time.Hour)
	duration("SessionTimeout", c.SessionTimeout, 100*time.Millisecond, 30*time.Minute)
	duration("RebalanceTimeout", c.RebalanceTimeout, 100*time.Millisecond, time.Hour)
	duration("DrainTimeout", c.DrainTimeout, 0, time.Hour)
	duration("CommitInterval", c.CommitInterval, time.Millisecond, time.Hour)
	duration("ParkedInterval", c.ParkedInterval, 10*time.Millisecond, time.Hour)
	duration("Linger", c.Linger, 0, time.Minute)
	_, err := compression(c.Compression)
	add(err == nil, "Compression", fmt.Sprintf("%q", c.Compression), "none, lz4, snappy or zstd")
	faults = append(faults, c.SASL.faults()...)
	return errors.Join(faults...)
}

// withoutUser is an address without what somebody took for the place of a
// password, for errors.
func withoutUser(broker string) string {
	if at := strings.LastIndexByte(broker, '@'); at >= 0 {
		return "…" + broker[at:]
	}
	return broker
}
