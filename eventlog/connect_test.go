package eventlog_test

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/eventlog/embedded"
)

// slowToMake is a connection to a broker that takes its time to make topics.
type slowToMake struct {
	net.Conn
	each time.Duration
}

// createTopicsKey is the API key of the request CreateTopics.
const createTopicsKey = 19

// Write is called with whole requests: their length, and their key.
func (c slowToMake) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == createTopicsKey {
		<-time.After(c.each)
	}
	return c.Conn.Write(b)
}

func TestABrokerThatIsSlowToMakeTopicsIsNotAway(t *testing.T) {
	b, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.Embedded, cfg.ConnectTimeout = []string{b.Addr()}, true, 2*time.Second
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return slowToMake{c, cfg.ConnectTimeout / 4}, err
	}
	l, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Close(t.Context())
}
