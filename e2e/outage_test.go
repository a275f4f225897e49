//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/resource"
)

// crash ends a process at once and waits until it is gone.
func crash(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, fmt.Sprintf("process %d to end", pid), func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("it is still there: %v", err)
		}
		return nil
	})
}

// reviveRedis starts an empty server where the one of a URL was, and returns its process id.
func reviveRedis(t *testing.T, at string) int {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", "--port", u.Port(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait() // killed: it has nothing to say
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return cmd.Process.Pid
}

// redisDo sends one command without arguments to the server of a URL.
func redisDo(t *testing.T, at, command string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 5)
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(answer); err != nil || string(answer) != "+OK\r\n" {
		t.Fatalf("%s: %q, %v", command, answer, err)
	}
}

// functionsKnown are the names of the functions the server lists.
func (s *server) functionsKnown() (string, error) {
	kind, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		return "", err
	}
	objects, err := s.List(s.t.Context(), kind, "")
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.Metadata.Name
	}
	return strings.Join(names, " "), err
}

func TestDeliveriesGoOnWithoutRedisAndResourcesComeBackFromTheLog(t *testing.T) {
	redis := parts.UpPrivate(t, "redis")
	s := start(t, append(realArgs(t), "--redis", redis.RedisURL())...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("one", fn.URL, "com.example.a") + functionManifest("two", fn.URL, "com.example.b"))
	s.emitSpread("before", "com.example.a", 20)
	fn.awaitIDs(t, ids("before", 20))

	crash(t, redis.RedisPID())
	s.emitSpread("without", "com.example.a", 40)
	fn.awaitIDs(t, ids("without", 40))
	for id, n := range fn.count() {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}

	reviveRedis(t, redis.RedisURL())
	s.awaitHealed("one two")
	redisDo(t, redis.RedisURL(), "FLUSHALL")
	s.awaitHealed("one two")

	// All is as before: a change is taken, and duplicates are seen.
	s.apply(functionManifest("three", fn.URL, "com.example.c"))
	if names, err := s.functionsKnown(); err != nil || names != "one three two" {
		t.Errorf("the functions are %q, %v", names, err)
	}
	s.emitSpread("after", "com.example.c", 20)
	fn.awaitIDs(t, ids("after", 20))
	s.emitID("after-0", "com.example.c", "{}")
	await(t, "the duplicate to be seen", func() error { return s.metricAtLeast(duplicatesDropped, 1) })
}

// awaitHealed waits until the server lists the functions named, from a Redis that lost them.
func (s *server) awaitHealed(names string) {
	s.t.Helper()
	await(s.t, "the resources to be healed", func() error {
		if got, err := s.functionsKnown(); err != nil || got != names {
			return fmt.Errorf("the functions are %q, %v", got, err)
		}
		return nil
	})
	s.awaitReady()
}

func TestWithoutKafkaEventsAreRefusedInTimeAndNothingAcceptedIsLost(t *testing.T) {
	const acceptTimeout = 500 * time.Millisecond
	kafka := parts.UpPrivate(t, "kafka")
	s := start(t, append(realArgs(t), "--kafka", strings.Join(kafka.KafkaBrokers(), ","), "--accept-timeout", acceptTimeout.String())...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.crash"))
	load := startLoad(t, s.addr, 2)
	await(t, "events to be accepted", func() error {
		if n := load.count(); n < 100 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})

	crash(t, kafka.KafkaPID())
	for i := range 3 {
		began := time.Now()
		resp := s.postResponse(binaryHeader(fmt.Sprint("refused-", i), "com.example.crash"), "{}")
		took := time.Since(began)
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 {
			t.Errorf("answered %d with Retry-After %q, want 503 and seconds", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("the refusal is %s", got)
		}
		if took > acceptTimeout+slack {
			t.Errorf("refused after %s, want about %s", took, acceptTimeout)
		}
	}
	if s.Ready(t.Context()) == nil {
		t.Error("ready without Kafka")
	}

	accepted := load.count()
	kafka.RestartKafka(false)
	await(t, "events to be accepted again", func() error {
		if n := load.count(); n < accepted+100 {
			return fmt.Errorf("%d since the restart", n-accepted)
		}
		return nil
	})
	s.awaitReady()
	var want []string
	for id := range load.stop() {
		want = append(want, id)
	}
	fn.awaitIDs(t, want)
}

// postResponse posts an event and returns the answer without its body.
func (s *server) postResponse(header map[string]string, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.addr+"/events", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}
