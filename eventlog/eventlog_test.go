package eventlog_test

import (
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/eventlog/eventlogtest"
)

func embeddedConfig(t testing.TB) eventlog.Config {
	t.Helper()
	b, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	cfg := eventlog.DefaultConfig()
	cfg.Brokers = []string{b.Addr()}
	cfg.Embedded = true
	cfg.SessionTimeout = 6 * time.Second
	return cfg
}

func TestEmbedded(t *testing.T) {
	cfg := embeddedConfig(t)
	eventlogtest.Run(t, func(testing.TB) eventlog.Config { return cfg })
}
