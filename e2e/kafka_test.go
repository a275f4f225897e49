//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// produce writes one record with a Kafka client that is not ours; mode is
// binary, structured or record.
func produce(t *testing.T, env parts.Env, topic, mode, record string) {
	t.Helper()
	runClient(t, env.Python(), env.Client("produce.py"), strings.Join(env.KafkaBrokers(), ","), topic, mode, record)
}

// topicRecord is a record as consume.py shows it.
type topicRecord struct {
	Key     string
	Headers [][2]string
	Value   string
	Event   map[string]any
}

func (r topicRecord) header(name string) string {
	for _, h := range r.Headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// consume reads n records from a topic's start with a Kafka client that is not ours.
func consume(t *testing.T, env parts.Env, topic string, n int) []topicRecord {
	t.Helper()
	out := runClient(t, env.Python(), env.Client("consume.py"), strings.Join(env.KafkaBrokers(), ","), topic, strconv.Itoa(n), fmt.Sprint(bound.Seconds()))
	var records []topicRecord
	for line := range bytes.Lines(out) {
		var r topicRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

// topic is the name of one of the server's topics.
func (s *server) topic(name string) string { return flagValue(s.args, "--topic-prefix") + name }

func TestEventsFromAnyKafkaProducerAreDeliveredAsEquals(t *testing.T) {
	env := parts.Up(t, "kafka", "clients")
	s := start(t, realArgs(t)...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.*"))
	for _, mode := range []string{"binary", "structured"} {
		produce(t, env, s.topic("events"), mode, sdkEvents["json"].with(mode, "com.example.produced").json())
	}
	var first *call
	for _, c := range fn.awaitCalls(t, 2) {
		for name, want := range map[string]string{
			"Ce-Type": "com.example.produced", "Ce-Source": "/clients", "Ce-Specversion": "1.0", "Ce-Tenant": "z%C3%BCrich%201",
			"Ce-Subject": "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25", "Content-Type": "application/json", "Signalbox-Link": "sink",
		} {
			if got := c.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.id(), name, got, want)
			}
		}
		if first == nil {
			first = &c
		} else if !sameJSON(first.body, c.body) || first.id() == c.id() {
			t.Errorf("%s and %s brought %s and %s", first.id(), c.id(), first.body, c.body)
		}
	}
	// Equal also for deduplication: over HTTP the same source and id is a second copy.
	header := binaryHeader("binary", "com.example.produced")
	header["Ce-Source"] = "/clients"
	if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	await(t, "the copy to be judged a duplicate", func() error {
		return s.metricAtLeast(duplicatesDropped, 1)
	})
	if n := fn.count()["binary"]; n != 1 {
		t.Errorf("delivered %d times, want once", n)
	}
}

func sameJSON(a, b string) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, []byte(a)) == nil && json.Compact(&y, []byte(b)) == nil && x.String() == y.String()
}

func TestARecordThatIsNoEventIsSetAsideWithItsReasonAndStopsNothing(t *testing.T) {
	env := parts.Up(t, "kafka", "clients")
	s := start(t, append(realArgs(t), "--kafka-partitions", "1")...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.*"))
	for _, record := range []string{
		`{"key": "k", "value": "not an event", "headers": {"color": "red"}}`,
		`{"value": "{}", "headers": {"ce_specversion": "1.0", "ce_id": "no-type", "ce_source": "/x"}}`,
		`{"value": "{broken", "headers": {"content-type": "application/cloudevents+json"}}`,
	} {
		produce(t, env, s.topic("events"), "record", record)
	}
	produce(t, env, s.topic("events"), "binary", sdkEvents["text"].with("after", "com.example.after").json())
	if c := fn.awaitCalls(t, 1)[0]; c.id() != "after" || c.body != "grüße\nzwei" {
		t.Errorf("delivered %s %q", c.id(), c.body)
	}
	dead := map[string]topicRecord{}
	for _, r := range consume(t, env, s.topic("dead"), 3) {
		dead[r.Value] = r
	}
	for value, says := range map[string]string{"not an event": "not a CloudEvent", "{}": "type", "{broken": "JSON"} {
		var letter struct{ Reason string }
		if err := json.Unmarshal([]byte(dead[value].header("signalbox_deadletter")), &letter); err != nil || !strings.Contains(letter.Reason, says) {
			t.Errorf("%q: headers %v, want a reason with %q", value, dead[value].Headers, says)
		}
	}
	if r := dead["not an event"]; r.Key != "k" || r.header("color") != "red" {
		t.Errorf("the record did not keep its key %q and headers %v", r.Key, r.Headers)
	}
}

func TestAnyKafkaConsumerCanReadEventsRunsAndDeadLetters(t *testing.T) {
	env := parts.Up(t, "kafka", "clients")
	s := start(t, realArgs(t)...)
	fn := newRecorder(t, func(w http.ResponseWriter, _ call) { http.Error(w, "no such thing", http.StatusBadRequest) })
	s.apply(functionManifest("refuses", fn.URL, "com.example.*"))
	header := binaryHeader("1", "com.example.read")
	header["Ce-Subject"], header["Ce-Partitionkey"] = "Euro%20%E2%82%AC%20%F0%9F%98%80", "shelf%207"
	if status, body := s.post("/events", header, `{"n":1}`); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}

	accepted := consume(t, env, s.topic("events"), 1)[0]
	for name, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/e2e", "ce_type": "com.example.read",
		"ce_subject": "Euro € 😀", "ce_partitionkey": "shelf 7", "content-type": "application/json",
	} {
		if got := accepted.header(name); got != want {
			t.Errorf("the event's header %s is %q, want %q", name, got, want)
		}
	}
	if accepted.Key != "shelf 7" || accepted.Value != `{"n":1}` || accepted.Event["subject"] != "Euro € 😀" {
		t.Errorf("key %q, value %q, and the SDK reads %v", accepted.Key, accepted.Value, accepted.Event)
	}
	run := consume(t, env, s.topic("runs"), 1)[0]
	data, _ := run.Event["data"].(map[string]any)
	if run.Event["type"] != "signalbox.run" || run.Key != "/e2e\x001" || data["outcome"] != "dead" || data["status"] != 400.0 || data["function"] != "refuses" {
		t.Errorf("the run is %q %v", run.Key, run.Event)
	}
	dead := consume(t, env, s.topic("dead"), 1)[0]
	if dead.Event["id"] != "1" || dead.Value != `{"n":1}` || dead.header("ce_knativeerrorcode") != "400" || !strings.Contains(dead.header("signalbox_deadletter"), "no such thing") {
		t.Errorf("the dead letter is %v %v", dead.Headers, dead.Event)
	}
}

// saslArgs reach Kafka by its SASL_SSL listener.
func saslArgs(t *testing.T, env parts.Env) []string {
	user, _ := env.KafkaUser()
	return append(realArgs(t), "--kafka", strings.Join(env.KafkaSASLBrokers(), ","), "--kafka-ca", env.KafkaCA(), "--kafka-sasl", "SCRAM-SHA-512", "--kafka-user", user)
}

func TestKafkaBySASLOverTLS(t *testing.T) {
	env := parts.Up(t, "kafka")
	_, password := env.KafkaUser()
	t.Setenv("SIGNALBOX_KAFKA_PASSWORD", password)
	s := start(t, saslArgs(t, env)...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.a"))
	s.emitID("secret", "com.example.a", "{}")
	if c := fn.awaitCalls(t, 1)[0]; c.id() != "secret" {
		t.Errorf("delivered %s", c.id())
	}
	if strings.Contains(s.out.String(), password) {
		t.Error("the password stands in the log")
	}
}

func TestPartsThatCannotBeReachedEndTheStartWithOneLine(t *testing.T) {
	env := parts.Up(t, "kafka", "redis-tls")
	nobody := freeAddr(t)
	wrongUser := strings.Replace(env.RedisTLSURL(), "signalbox:", "signalbox:wrong", 1)
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"a wrong password of Kafka":   {append(saslArgs(t, env), "--kafka-password", "open sesame"), "--kafka"},
		"a missing CA of Kafka":       {append(realArgs(t), "--kafka", env.KafkaSASLBrokers()[0], "--kafka-tls"), "--kafka"},
		"plain text to a TLS port":    {append(realArgs(t), "--kafka", env.KafkaSASLBrokers()[0]), "--kafka"},
		"no Kafka there":              {append(realArgs(t), "--kafka", nobody), nobody},
		"a wrong password of Redis":   {append(realArgs(t), "--redis", wrongUser, "--redis-ca", env.RedisTLSCA()), "--redis"},
		"a missing CA of Redis":       {append(realArgs(t), "--redis", env.RedisTLSURL()), "--redis"},
		"no Redis there":              {append(realArgs(t), "--redis", "redis://"+nobody+"/0"), nobody},
		"a file that is not there":    {append(realArgs(t), "--kafka-ca", "/no/such/ca.pem"), "/no/such/ca.pem"},
		"the address is already used": {append(realArgs(t), "--http", strings.TrimPrefix(newRecorder(t, nil).URL, "http://")), "in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait, they do not work
			code, errOut := runFailing(t, tt.args)
			last := errOut[strings.LastIndex(strings.TrimSpace(errOut), "\n")+1:]
			if code != 1 || !strings.HasPrefix(last, "signalbox: ") || !strings.Contains(last, tt.says) {
				t.Errorf("exit %d, want 1 and a last line with %q:\n%s", code, tt.says, errOut)
			}
			if strings.Contains(errOut, "open sesame") || strings.Contains(errOut, ":wrong") {
				t.Errorf("a password stands there:\n%s", errOut)
			}
		})
	}
}

// runFailing runs the binary until it ends by itself, within the bound.
func runFailing(t *testing.T, args []string) (code int, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	if flagValue(args, "--http") == "" {
		args = append(args, "--http", freeAddr(t))
	}
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var b bytes.Buffer
	cmd.Stderr = &b
	began := time.Now()
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("still running after %s:\n%s", bound, b.String())
	}
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

func TestRedisOverTLSWithAnACLUser(t *testing.T) {
	env := parts.Up(t, "redis-tls")
	args := append(realArgs(t), "--redis", env.RedisTLSURL(), "--redis-ca", env.RedisTLSCA())
	s := start(t, args...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.a"))
	for range 2 { // the second is dropped only if Redis knows the first
		s.emitID("1", "com.example.a", "{}")
	}
	fn.awaitCalls(t, 1)
	await(t, "the duplicate to be seen", func() error { return s.metricAtLeast(duplicatesDropped, 1) })
	if n := fn.count()["1"]; n != 1 {
		t.Errorf("delivered %d times, want once", n)
	}
	if strings.Contains(s.out.String(), env.RedisTLSURL()) {
		t.Error("the password stands in the log")
	}
}
