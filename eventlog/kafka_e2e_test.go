//go:build e2e

package eventlog_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/eventlog/eventlogtest"
)

func TestKafka(t *testing.T) {
	kafka := parts.Up(t, "kafka")
	eventlogtest.Run(t, func(testing.TB) eventlog.Config {
		cfg := eventlog.DefaultConfig()
		cfg.Brokers = strings.Split(kafka.Value("KAFKA_BROKERS"), ",")
		return cfg
	})
}

func TestKafkaSecure(t *testing.T) {
	kafka := parts.Up(t, "kafka")
	eventlogtest.RunSecure(t, func(testing.TB) eventlog.Config {
		cfg := eventlog.DefaultConfig()
		cfg.Brokers = strings.Split(kafka.Value("KAFKA_SASL_BROKERS"), ",")
		cfg.TLS = eventlog.TLS{CAFile: kafka.Value("KAFKA_CA")}
		cfg.SASL = eventlog.SASL{Mechanism: "SCRAM-SHA-512", User: kafka.Value("KAFKA_SASL_USER"), Password: kafka.Value("KAFKA_SASL_PASSWORD")}
		return cfg
	})
}
