//go:build e2e

package parts_test

import (
	"bufio"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

func ping(t *testing.T, redisURL string) {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "+PONG" {
		t.Fatalf("PING: %q, %v", answer, err)
	}
}

func TestUpIsSharedAndIdempotent(t *testing.T) {
	first := parts.Up(t, "redis")
	ping(t, first.RedisURL())
	second := parts.Up(t, "redis")
	if first.RedisURL() != second.RedisURL() || first.RedisPID() != second.RedisPID() {
		t.Fatalf("a second Up started another Redis: %v, then %v", first.Environ(), second.Environ())
	}
}

func TestUpPrivateIsAnotherInstanceAndEnds(t *testing.T) {
	shared := parts.Up(t, "redis")
	var private string
	t.Run("while the test runs", func(t *testing.T) {
		private = parts.UpPrivate(t, "redis").RedisURL()
		ping(t, private)
		if private == shared.RedisURL() {
			t.Fatal("the private instance is the shared one")
		}
	})
	u, err := url.Parse(private)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", u.Host); err == nil {
		conn.Close()
		t.Fatal("the private Redis outlived its test")
	}
	ping(t, shared.RedisURL())
}

func TestRestartKafkaKeepsPortsAndChangesProcess(t *testing.T) {
	before := parts.UpPrivate(t, "kafka")
	after := before.RestartKafka(false)
	if before.KafkaPID() == after.KafkaPID() {
		t.Fatalf("still process %d", after.KafkaPID())
	}
	if before.KafkaBrokers()[0] != after.KafkaBrokers()[0] {
		t.Fatalf("the port moved from %s to %s", before.KafkaBrokers(), after.KafkaBrokers())
	}
	conn, err := net.Dial("tcp", after.KafkaBrokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
