// Package embedded is a Kafka broker inside this process, for a laptop: one
// node that keeps its log under a directory and syncs every batch to disk
// before it acknowledges it. It speaks the Kafka protocol on a TCP port, so
// other programs can use it too. It is franz-go's kfake, with what that needs
// to be trusted with data: one process per directory, bounded segments, no
// compaction, no expiry. The size of the log is kept by eventlog (Config.Embedded).
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says where the broker keeps its log and listens.
type Config struct {
	// DataDir is created when it is missing. One process at a time may use it.
	DataDir string
	// Listen is host:port; port 0 is any free one.
	Listen string
	// NoSync acknowledges before the data is on disk: faster, and loses the
	// last moments when the machine (not the process) dies.
	NoSync bool
	// Logger takes the broker's warnings; nil is nowhere.
	Logger *slog.Logger
}

// DefaultConfig listens on Kafka's port on loopback and keeps the log under .signalbox.
func DefaultConfig() Config {
	return Config{DataDir: filepath.Join(".signalbox", "kafka"), Listen: "127.0.0.1:9092"}
}

func (c *Config) validate() error {
	var faults []error
	if c.DataDir == "" {
		faults = append(faults, errors.New("DataDir \"\": want a directory"))
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		faults = append(faults, fmt.Errorf("Listen %q: want host:port", c.Listen))
	}
	return errors.Join(faults...)
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *os.File
	addr    string
	close   sync.Once
}

// ErrInUse: another process works on the data directory.
var ErrInUse = errors.New("data directory is in use by another process")

// Start loads the log and returns when clients can connect. The caller closes
// the Broker.
func Start(cfg Config) (*Broker, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	began := time.Now()
	b := &Broker{lock: lock}
	if b.cluster, err = kfake.NewCluster(b.options(cfg)...); err != nil {
		lock.Close()
		return nil, startError(cfg, err)
	}
	cfg.Logger.Debug("embedded Kafka started", "address", b.addr, "data", cfg.DataDir, "took", time.Since(began))
	return b, nil
}

func startError(cfg Config, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("embedded Kafka: %s is taken by another program: choose another address with --kafka-listen: %w", cfg.Listen, err)
	}
	return fmt.Errorf("embedded Kafka on %s, data in %s: %w", cfg.Listen, cfg.DataDir, err)
}

func (b *Broker) options(cfg Config) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("signalbox-embedded"),
		kfake.DataDir(filepath.Join(cfg.DataDir, "log")),
		kfake.WithLogger(logger{cfg.Logger}),
		kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, cfg.Listen)
			if err == nil {
				b.addr = l.Addr().String()
			}
			return l, err
		}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":      "16777216",
			"log.retention.ms":       "-1",
			"log.retention.bytes":    "-1",
			"log.cleaner.backoff.ms": "60000",
			// A project that rests for weeks must not start from the beginning.
			"offsets.retention.minutes": "52560000",
		}),
	}
	if !cfg.NoSync {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// Addr is host:port as listened on.
func (b *Broker) Addr() string { return b.addr }

// Close saves the state, which makes the next start fast, and gives the
// directory free. Clients should be closed before.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() {
		b.cluster.Close()
		err = b.lock.Close()
	})
	return err
}

// logger passes the broker's warnings and errors on.
type logger struct{ l *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelWarn
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelInfo, kfake.LogLevelDebug, kfake.LogLevelNone:
		return
	}
	l.l.Log(context.Background(), to, "embedded Kafka: "+fmt.Sprintf(format, args...))
}
