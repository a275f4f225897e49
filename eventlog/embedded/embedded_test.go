package embedded_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/eventlog/embedded"
)

func start(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.Start(embedded.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func open(t *testing.T, b *embedded.Broker) *eventlog.Log {
	t.Helper()
	cfg := eventlog.DefaultConfig()
	cfg.Brokers, cfg.Embedded = []string{b.Addr()}, true
	l, err := eventlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRecordsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	l := open(t, b)
	at, err := l.Append(t.Context(), eventlog.Events, []event.Message{{Value: []byte("kept")}})
	if err != nil {
		t.Fatal(err)
	}
	l.Close(t.Context())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, start(t, dir))
	defer l.Close(t.Context())
	r, err := l.At(t.Context(), eventlog.Events, at[0])
	if err != nil || string(r.Message.Value) != "kept" {
		t.Errorf("got %q, %v", r.Message.Value, err)
	}
}

func TestATakenPortNamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	_, err = embedded.Start(embedded.Config{DataDir: dir, Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "--kafka-listen") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
	start(t, dir) // the failed start gave the directory free
}

func TestTwoBrokersDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	_, err := embedded.Start(embedded.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if !errors.Is(err, embedded.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	b.Close()
	start(t, dir)
}

func TestAWrongConfigurationNamesTheFields(t *testing.T) {
	_, err := embedded.Start(embedded.Config{Listen: "nowhere"})
	if err == nil || !strings.Contains(err.Error(), "DataDir") || !strings.Contains(err.Error(), "Listen") {
		t.Errorf("got %v", err)
	}
}
