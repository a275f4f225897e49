package app

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	logbroker "github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/ledger"
	redisserver "github.com/signalbox-dev/signalbox/ledger/embedded"
	"github.com/signalbox-dev/signalbox/otel/export"
	"github.com/signalbox-dev/signalbox/otel/tracing"
)

// consumerGroup is the group of all dispatchers.
const consumerGroup = "signalbox-dispatcher"

// embeddedDedupIDs bounds the ids that the in-process deduplication keeps: 40 bytes each.
const embeddedDedupIDs = 500_000

func (a *App) openTracing(ctx context.Context) error {
	cfg := tracing.DefaultConfig()
	cfg.Endpoint = a.opts.OTLP
	cfg.Off = !slices.Contains(a.opts.OTLPSignals, export.Traces)
	cfg.SampleRatio = a.opts.TraceSample
	cfg.Version = Version()
	cfg.Topic = a.topic(eventlog.Events)
	cfg.Log = a.log
	cfg.Lost = func(spans int, err error) {
		a.metrics.TraceSpansDropped.Add(float64(spans))
		if err != nil {
			a.metrics.TraceExportFailures.Inc()
		}
	}
	var err error
	a.traces, err = tracing.Open(ctx, cfg)
	return err
}

// openExport sends lines of functions and metrics to a collector, if there is one.
func (a *App) openExport(ctx context.Context) error {
	cfg := export.DefaultConfig()
	cfg.Endpoint, cfg.Signals, cfg.Version, cfg.Log = a.opts.OTLP, a.opts.OTLPSignals, Version(), a.log
	cfg.Gatherer, cfg.Lost = a.metrics.Gatherer(), a.metrics.Unsent
	var err error
	a.exported, err = export.Open(ctx, cfg)
	return err
}

// kafkaConfig says where the log is, and who comes there.
func (o *Options) kafkaConfig() eventlog.Config {
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.TopicPrefix = strings.Split(o.Kafka, ","), o.TopicPrefix
	cfg.TLS = eventlog.TLS{Enable: o.KafkaTLS, CAFile: o.KafkaCA, CertFile: o.KafkaCert, KeyFile: o.KafkaKey}
	cfg.SASL = eventlog.SASL{Mechanism: o.KafkaSASL, User: o.KafkaUser, Password: o.KafkaPassword}
	return cfg
}

// openLog starts the embedded broker, if asked for, and connects.
func (a *App) openLog(ctx context.Context) error {
	o := &a.opts
	cfg := o.kafkaConfig()
	if o.Kafka == Embedded {
		broker, err := logbroker.Start(logbroker.Config{DataDir: filepath.Join(o.Data, "kafka"), Listen: o.KafkaListen, Logger: a.log})
		if err != nil {
			return err
		}
		a.broker = broker
		cfg.Brokers, cfg.Embedded, cfg.RetentionBytes = []string{broker.Addr()}, true, o.EmbeddedRetention
	}
	cfg.Partitions, cfg.ReplicationFactor = o.KafkaPartitions, int16(o.KafkaReplication)
	cfg.Group, cfg.InstanceID = consumerGroup, o.InstanceID
	if o.TopicPrefix != DefaultOptions().TopicPrefix {
		cfg.Group = o.TopicPrefix + "dispatcher" // another prefix is another system on the same brokers
	}
	cfg.Retention.Logs = o.FunctionLogRetention
	cfg.DrainTimeout, cfg.Window = o.DrainTimeout, o.Window
	cfg.MaxMessageBytes = max(cfg.MaxMessageBytes, int32(2*o.MaxBody))
	cfg.Logger = a.log
	cfg.Hooks = a.logHooks()
	var err error
	if a.events, err = eventlog.Open(ctx, cfg); err != nil {
		return fmt.Errorf("--kafka: %w", err)
	}
	a.decisions = &decisionLog{log: a.events, now: time.Now}
	return nil
}

// embeddedPatience is how long the embedded Redis may take to answer: it cannot be
// away, and is slow only where everything is.
const embeddedPatience = 15 * time.Second

// openLedger starts the embedded Redis, if asked for, and connects. What the
// embedded one does not keep comes from the log: resources by healing, and
// what was seen lately by reading the tail.
func (a *App) openLedger(ctx context.Context) error {
	o := &a.opts
	ledger.RouteClientLogs(a.log)
	cfg := ledger.DefaultConfig()
	cfg.URL, cfg.CAFile, cfg.CertFile, cfg.KeyFile = o.Redis, o.RedisCA, o.RedisCert, o.RedisKey
	cfg.KeyPrefix, cfg.DedupWindow, cfg.Logger = o.RedisPrefix, o.DedupWindow, a.log
	if o.Redis == Embedded {
		redis, err := redisserver.Start(redisserver.Config{Listen: o.RedisListen, Logger: a.log})
		if err != nil {
			return err
		}
		a.redis = redis
		cfg.URL, cfg.Volatile, cfg.Timeout = redis.URL(), true, embeddedPatience
	}
	var err error
	if a.ledger, err = ledger.Open(ctx, cfg, a.events.History()); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	a.dedup = a.ledger
	if err := a.openTypes(); err != nil {
		return err
	}
	if o.Redis != Embedded {
		return nil
	}
	if err := a.events.History().Compact(ctx); err != nil {
		return err
	}
	memory := ledger.NewMemoryDedup(o.DedupWindow, embeddedDedupIDs)
	a.dedup = memory
	return fillDedup(ctx, a.events, memory, a.types.recall)
}

// tailRecords is how many records of each partition's end are read back to
// fill the in-process deduplication.
const tailRecords = 20_000

// fillDedup claims what stands in the log's tail. Of an id with several copies in
// one partition the first was delivered, since a partition is read in order. With
// copies in several partitions the id is left unclaimed: which of them was
// delivered is not known any more, and a wrong guess would drop the other one.
// Each of also is given every event.
func fillDedup(ctx context.Context, log *eventlog.Log, memory *ledger.MemoryDedup, also ...func(*event.Record)) error {
	type key struct{ source, id string }
	seen := map[key]event.Position{}
	copies := map[key]bool{}
	err := log.Read(ctx, eventlog.Events, eventlog.Last(tailRecords), eventlog.ReadOptions{}, func(r event.Record) error {
		if r.Event == nil {
			return nil
		}
		for _, f := range also {
			f(&r)
		}
		k := key{r.Event.Source, r.Event.ID}
		first, again := seen[k]
		switch {
		case !again:
			seen[k] = r.Position
		case first.Partition != r.Partition:
			copies[k] = true
		}
		return nil
	})
	for k, pos := range seen {
		if !copies[k] {
			memory.Fill(event.Record{Position: pos, Event: &event.Event{Source: k.source, ID: k.id}})
		}
	}
	return err
}
