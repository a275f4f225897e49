package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/otel/logging"
	"github.com/signalbox-dev/signalbox/sink"
)

// SinkOptions configure a process that keeps topics in an index. Kafka is as
// Options have it.
type SinkOptions struct {
	Options
	Topics []string
	URL    string
	Prefix string
	User   string
	// Password and APIKey are secrets: better given by the environment.
	Password string
	APIKey   string
	CA       string
	Group    string
	Batch    int
	Bytes    int
}

// DefaultSinkOptions are those of `signalbox sink opensearch`.
func DefaultSinkOptions() SinkOptions {
	o := SinkOptions{Options: DefaultOptions(), Topics: []string{"runs", "logs"}, Group: "signalbox-sink-opensearch"}
	o.Kafka = "127.0.0.1:9092"
	c := sink.DefaultConfig()
	o.Prefix, o.Batch, o.Bytes = c.Prefix, c.BatchRecords, c.BatchBytes
	return o
}

// sharedFlags are those of Options that a sink has too.
var sharedFlags = [...]string{
	"kafka", "kafka-tls", "kafka-ca", "kafka-cert", "kafka-key", "kafka-sasl", "kafka-user", "kafka-password", "topic-prefix", "log-format", "log-level",
}

// Flags registers the options on fs.
func (o *SinkOptions) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.URL, "index-url", o.URL, "base URL of the OpenSearch or Elasticsearch")
	fs.StringSliceVar(&o.Topics, "topics", o.Topics, "what is kept there: "+strings.Join(sink.Topics(), ", "))
	fs.StringVar(&o.Prefix, "index-prefix", o.Prefix, "what the names of all indexes begin with; topic and day follow")
	fs.StringVar(&o.User, "index-user", o.User, "user to present")
	fs.StringVar(&o.Password, "index-password", o.Password, "his password; better given by "+EnvName("index-password"))
	fs.StringVar(&o.APIKey, "index-api-key", o.APIKey, "API key to present instead; better given by "+EnvName("index-api-key"))
	fs.StringVar(&o.CA, "index-ca", o.CA, "file with the CA certificates that the index's is checked against (PEM)")
	fs.StringVar(&o.Group, "group", o.Group, "consumer group: another name begins at the start again")
	fs.IntVar(&o.Batch, "batch", o.Batch, "documents of one request at most")
	fs.IntVar(&o.Bytes, "batch-bytes", o.Bytes, "bytes of one request at most")
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.Options.Flags(all)
	for _, name := range sharedFlags {
		fs.AddFlag(all.Lookup(name))
	}
}

// Validate reports every fault.
func (o *SinkOptions) Validate() error {
	var faults []error
	for _, t := range o.Topics {
		if !slices.Contains(sink.Topics(), t) {
			faults = append(faults, fmt.Errorf("--topics %s: want some of %s", t, strings.Join(sink.Topics(), ", ")))
		}
	}
	if len(o.Topics) == 0 {
		faults = append(faults, errors.New("--topics: empty: want some of "+strings.Join(sink.Topics(), ", ")))
	}
	if o.Kafka == Embedded {
		faults = append(faults, errors.New("--kafka embedded: want the address of the broker, such as 127.0.0.1:9092"))
	}
	c, err := o.config()
	if err == nil {
		err = c.Validate()
	}
	return errors.Join(append(faults, err)...)
}

func (o *SinkOptions) config() (sink.Config, error) {
	c := sink.DefaultConfig()
	c.URL, c.User, c.Password, c.APIKey, c.Prefix = o.URL, o.User, o.Password, o.APIKey, o.Prefix
	c.BatchRecords, c.BatchBytes = o.Batch, o.Bytes
	if o.CA == "" {
		return c, nil
	}
	b, err := os.ReadFile(o.CA)
	if err != nil {
		return c, fmt.Errorf("--index-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return c, fmt.Errorf("--index-ca %s: holds no certificate (PEM)", o.CA)
	}
	c.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return c, nil
}

// sinkReport is how often a sink says what it has done.
const sinkReport = time.Minute

// RunSink keeps topics in an index until ctx ends.
func RunSink(ctx context.Context, o SinkOptions, out io.Writer) error {
	if err := o.Validate(); err != nil {
		return err
	}
	log, err := logging.New(out, logging.Config{Format: o.LogFormat, Level: o.LogLevel})
	if err != nil {
		return err
	}
	cfg := o.kafkaConfig()
	cfg.Group, cfg.Logger = o.Group, log
	topics := make([]eventlog.Topic, len(o.Topics))
	for i, t := range o.Topics {
		topics[i] = eventlog.Topic(t)
	}
	tap, err := eventlog.OpenTap(cfg, topics...)
	if err != nil {
		return fmt.Errorf("--kafka: %w", err)
	}
	defer tap.Close()
	c, err := o.config()
	if err != nil {
		return err
	}
	c.Log = log
	s, err := sink.New(c, tapped{tap})
	if err != nil {
		return err
	}
	log.Info("documents are kept", "url", o.URL, "topics", o.Topics, "group", o.Group)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(sinkReport)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				log.Info("so far", "done", s.Stats().String())
			case <-ctx.Done():
				return
			}
		}
	}()
	err = s.Run(ctx)
	<-done
	log.Info("stopped", "done", s.Stats().String())
	return err
}

// tapped is a tap as the sink's source.
type tapped struct{ *eventlog.Tap }

// Poll implements sink.Source.
func (t tapped) Poll(ctx context.Context, most int) ([]sink.Record, error) {
	all, err := t.Tap.Poll(ctx, most)
	records := make([]sink.Record, len(all))
	for i := range all {
		records[i] = sink.Record{Topic: string(all[i].Topic), Record: all[i].Record}
	}
	return records, err
}
