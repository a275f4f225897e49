//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// answer is what a sender got.
type answer struct {
	id     string
	status int
	// slug is the end of a problem's type.
	slug  string
	after string
	took  time.Duration
}

// slack is what a busy machine may add to a time that is promised.
const slack = 5 * time.Second

// ok says whether a sender can live with the answer: it is accepted, or told
// what to do, in time.
func (a answer) ok(within time.Duration) bool {
	seconds, err := strconv.Atoi(a.after)
	later := (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable) && err == nil && seconds >= 1
	return a.took <= within && (a.status == http.StatusAccepted || later || a.status == http.StatusRequestEntityTooLarge)
}

// ask posts one event; a status of 0 is no answer.
func (s *server) ask(c *http.Client, id string, body string) answer {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.addr+"/events", strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return answer{}
	}
	for k, v := range binaryHeader(id, "com.example.limit") {
		req.Header.Set(k, v)
	}
	req.Header.Set("Content-Type", "text/plain")
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return answer{id: id, took: time.Since(began), slug: err.Error()}
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body) // cut off: then it is no problem document
	a := answer{id: id, status: resp.StatusCode, after: resp.Header.Get("Retry-After"), took: time.Since(began)}
	var p struct{ Type string }
	if json.Unmarshal(b, &p) == nil {
		a.slug = p.Type[strings.LastIndex(p.Type, "/")+1:]
	}
	return a
}

// press posts events of size bytes from so many senders until ctx ends or enough says so.
func (s *server) press(ctx context.Context, name string, senders, size int, enough func(answer) bool) (all []answer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &http.Client{Timeout: bound, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer c.CloseIdleConnections()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range senders {
		body := noise(size) // of one sender: together they compress as little as they do alone
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				a := s.ask(c, fmt.Sprintf("%s-%d-%d", name, i, n), body)
				mu.Lock()
				all = append(all, a)
				if enough != nil && enough(a) {
					cancel()
				}
				mu.Unlock()
				if a.status != http.StatusAccepted {
					rest(ctx)
				}
			}
		})
	}
	wg.Wait()
	return all
}

// rest keeps a refused sender from doing nothing but asking again. Much less
// than it was told: what is tested is that the server stands it.
func rest(ctx context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// noise is text that does not compress much.
func noise(size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(rand.Text())
	}
	return b.String()[:size]
}

// checkAnswers fails the test for answers that leave a sender alone, and says how many there were of each.
func checkAnswers(t *testing.T, all []answer, within time.Duration) (accepted []string) {
	t.Helper()
	counts, slowest, bad := map[string]int{}, time.Duration(0), 0
	for _, a := range all {
		counts[strings.TrimSpace(fmt.Sprint(a.status, " ", a.slug, " ", a.after))]++
		slowest = max(slowest, a.took)
		if a.status == http.StatusAccepted {
			accepted = append(accepted, a.id)
		}
		if !a.ok(within) {
			if bad++; bad <= 3 {
				t.Errorf("%s was answered %d %s, Retry-After %q, after %s", a.id, a.status, a.slug, a.after, a.took)
			}
		}
	}
	t.Logf("%d answers, slowest after %s: %v", len(all), slowest.Round(time.Millisecond), counts)
	return accepted
}

func count(all []answer, status int) (n int) {
	for _, a := range all {
		if a.status == status {
			n++
		}
	}
	return n
}

// admin is a client of its own for a broker.
func admin(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func TestOverTheBacklogLimitSendersAreToldWhenToComeAgain(t *testing.T) {
	const limit, size = 200, 2000
	for name, flags := range map[string][]string{
		"records": {"--max-backlog", strconv.Itoa(limit)},
		"bytes":   {"--max-backlog-bytes", strconv.Itoa(limit * size)},
	} {
		for _, env := range []environment{{"embedded", embeddedArgs}, {"real", realArgs}} {
			t.Run(name+", "+env.name, func(t *testing.T) { testBacklog(t, start(t, append(env.args(t), flags...)...), limit, size) })
		}
	}
}

// testBacklog presses until events of that size are refused, which so many may wait.
func testBacklog(t *testing.T, s *server, limit, size int) {
	open := make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	fn := newRecorder(t, func(http.ResponseWriter, call) { <-open })
	t.Cleanup(release)
	s.apply(functionManifest("slow", fn.URL, "com.example.limit"))

	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	refused := func(a answer) bool { return a.status == http.StatusTooManyRequests }
	all := s.press(ctx, "a", 4, size, refused)
	accepted := checkAnswers(t, all, 5*time.Second+slack)
	if len(accepted) < limit/2 || !slices.ContainsFunc(all, func(a answer) bool { return refused(a) && a.slug == "backlog" }) {
		t.Fatalf("%d accepted, %d refused", len(accepted), count(all, http.StatusTooManyRequests))
	}
	if err := s.metricAtLeast(`signalbox_events_refused_total{reason="backlog"}`, 1); err != nil {
		t.Error(err)
	}
	release()
	fn.awaitIDs(t, append(accepted, s.awaitAccepted()))
}

// TestAGatewayAloneKnowsTheBacklog has nobody deliver at first.
func TestAGatewayAloneKnowsTheBacklog(t *testing.T) {
	args := slices.Clip(realArgs(t))
	gateway := start(t, append(args, "--roles", "gateway", "--max-backlog", "50")...)
	fn := newRecorder(t, nil)
	gateway.apply(functionManifest("sink", fn.URL, "com.example.limit"))
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	accepted := checkAnswers(t, gateway.press(ctx, "a", 1, 100, func(a answer) bool { return a.status == http.StatusTooManyRequests }), 5*time.Second+slack)
	if ctx.Err() != nil {
		t.Fatal("nothing was refused")
	}
	start(t, append(args, "--roles", "dispatcher")...)
	fn.awaitIDs(t, accepted)
	gateway.awaitAccepted()
}

// TestLimitsOfABroker has a broker to itself, one trouble after the other; the
// last one is the end of it.
func TestLimitsOfABroker(t *testing.T) {
	kafka := parts.UpPrivate(t, "kafka")
	for _, trouble := range []struct {
		name string
		test func(*testing.T, parts.Env)
	}{
		{"a producer quota is passed on to senders", testQuota},
		{"standing still fills no memory and holds nobody up", testStandstill},
		{"a full disk is an outage", testFullDisk},
	} {
		t.Run(trouble.name, func(t *testing.T) { trouble.test(t, kafka) })
	}
}

// startOn starts a server with a sink on a broker of the test's own.
func startOn(t *testing.T, kafka parts.Env, acceptTimeout time.Duration) (s *server, fn *recorder) {
	t.Helper()
	args := append(realArgs(t), "--kafka", strings.Join(kafka.KafkaBrokers(), ","), "--accept-timeout", acceptTimeout.String())
	s, fn = start(t, args...), newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.limit"))
	return s, fn
}

// awaitAccepted waits until an event is accepted, and returns its id.
func (s *server) awaitAccepted() (id string) {
	s.t.Helper()
	await(s.t, "events to be accepted again", func() error {
		a := s.ask(http.DefaultClient, unique(s.t), "x")
		if id = a.id; a.status != http.StatusAccepted {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	return id
}

func testQuota(t *testing.T, kafka parts.Env) {
	const acceptTimeout = 2 * time.Second
	s, fn := startOn(t, kafka, acceptTimeout)
	adm := admin(t, kafka.KafkaBrokers())
	quota := func(op kadm.AlterClientQuotaOp) {
		t.Helper()
		user := "signalbox"
		entry := kadm.AlterClientQuotaEntry{Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &user}}, Ops: []kadm.AlterClientQuotaOp{op}}
		altered, err := adm.AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{entry})
		if err == nil && len(altered) == 1 {
			err = altered[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	quota(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 50_000})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	all := s.press(ctx, "a", 16, 10_000, nil)
	accepted := checkAnswers(t, all, acceptTimeout+slack)
	if refused := count(all, http.StatusTooManyRequests); refused == 0 || len(accepted) == 0 {
		t.Errorf("%d accepted, %d told to wait: the quota was not felt, or nothing came through", len(accepted), refused)
	}
	quota(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true})
	fn.awaitIDs(t, accepted)
	s.awaitAccepted()
}

// TestWhatTheTopicRefusesIsTooLargeAndNobodyElseSuffers runs on a topic that an
// operator made, for smaller batches than ours.
func TestWhatTheTopicRefusesIsTooLargeAndNobodyElseSuffers(t *testing.T) {
	env := parts.Up(t, "kafka")
	args := realArgs(t)
	limit := "20000"
	resp, err := admin(t, env.KafkaBrokers()).CreateTopic(t.Context(), 10, 1, map[string]*string{"max.message.bytes": &limit}, flagValue(args, "--topic-prefix")+"events")
	if err = errors.Join(err, resp.Err); err != nil {
		t.Fatal(err)
	}
	s := start(t, args...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.limit"))
	if a := s.ask(http.DefaultClient, "large", noise(100_000)); a.status != http.StatusRequestEntityTooLarge || a.slug != "too-large" {
		t.Errorf("a large event is answered %+v", a)
	}
	// Small ones, many at a time: together they are more than the topic takes.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	all := s.press(ctx, "small", 64, 3000, nil)
	accepted := checkAnswers(t, all, 5*time.Second+slack)
	if large := count(all, http.StatusRequestEntityTooLarge); large > 0 || len(accepted) == 0 {
		t.Errorf("%d of %d small events were too large, %d accepted", large, len(all), len(accepted))
	}
	fn.awaitIDs(t, accepted)
}

// testStandstill freezes the broker under more load than the buffer takes.
func testStandstill(t *testing.T, kafka parts.Env) {
	const acceptTimeout = time.Second
	s, fn := startOn(t, kafka, acceptTimeout)
	before := checkAnswers(t, []answer{s.ask(http.DefaultClient, "before", "x")}, bound)
	signal := func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(kafka.KafkaPID(), sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	thaw := sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	defer thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	all := s.press(ctx, "a", 64, 900_000, nil) // 64 MiB are buffered at most
	if accepted := checkAnswers(t, all, acceptTimeout+slack); len(accepted) > 0 {
		t.Errorf("%d accepted while the broker stood still", len(accepted))
	}
	if rss := s.rss(); rss > 600<<20 {
		t.Errorf("%d MiB of memory", rss>>20)
	} else {
		t.Logf("%d MiB of memory", rss>>20)
	}
	thaw()
	fn.awaitIDs(t, append(before, s.awaitAccepted()))
}

// rss is the memory of the server's process, in bytes.
func (s *server) rss() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// fillDisk lets the files of a process grow no more, and presses until many
// events were refused. It returns those that were accepted.
func (s *server) fillDisk(t *testing.T, pid int, acceptTimeout time.Duration) (accepted []string) {
	t.Helper()
	forbidGrowth(t, pid, 256<<10)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	refusals := 0
	all := s.press(ctx, "a", 8, 20_000, func(a answer) bool {
		if a.status != http.StatusAccepted {
			refusals++
		}
		return refusals > 50
	})
	accepted = checkAnswers(t, all, acceptTimeout+slack)
	if refusals == 0 {
		t.Error("nothing was refused")
	}
	return accepted
}

// testFullDisk takes the broker its disk: files may not grow any more.
func testFullDisk(t *testing.T, kafka parts.Env) {
	const acceptTimeout = time.Second
	s, fn := startOn(t, kafka, acceptTimeout)
	accepted := s.fillDisk(t, kafka.KafkaPID(), acceptTimeout)
	kafka.RestartKafka(true)
	fn.awaitIDs(t, accepted)
	s.awaitAccepted()
}

// TestTheEmbeddedLogWithoutRoomOnDiskRefuses is the same for the embedded broker.
func TestTheEmbeddedLogWithoutRoomOnDiskRefuses(t *testing.T) {
	const acceptTimeout = time.Second
	s := start(t, append(embeddedArgs(t), "--accept-timeout", acceptTimeout.String())...)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.limit"))
	accepted := s.fillDisk(t, s.cmd.Process.Pid, acceptTimeout)
	s.kill()
	s.launch()
	s.awaitReady()
	fn.awaitIDs(t, accepted)
}

// TestAChainThatLoopsEndsByItsAge has one function whose answer is an event for
// itself.
func TestAChainThatLoopsEndsByItsAge(t *testing.T) {
	for _, env := range []environment{{"embedded", embeddedArgs}, {"real", realArgs}} {
		t.Run(env.name, func(t *testing.T) {
			s := start(t, append(env.args(t), "--max-chain-age", "2s", "--max-hops", "10000")...)
			fn := newRecorder(t, func(w http.ResponseWriter, c call) {
				for k, v := range binaryHeader("again", "com.example.loop") {
					w.Header().Set(k, v)
				}
				w.Header().Set("Ce-Chainstart", "2099-01-01T00:00:00Z")
			})
			s.apply(functionManifest("round", fn.URL, "com.example.loop"))
			header := binaryHeader("first", "com.example.loop")
			header["Ce-Chainstart"] = "2099-01-01T00:00:00Z" // what a stranger says
			if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
				t.Fatalf("%d %s", status, body)
			}
			await(t, "the chain to end", func() error {
				letters, err := s.DeadLetters(t.Context(), client.Query{})
				if err == nil && (len(letters) != 1 || !strings.Contains(string(letters[0]), `"chain age: this chain began at `) || !strings.Contains(string(letters[0]), `"signalboxpath":"… round round`)) {
					err = fmt.Errorf("dead letters %s", letters)
				}
				return err
			})
			if n := len(fn.all()); n < 3 {
				t.Errorf("%d calls: that is no chain", n)
			}
		})
	}
}

// forbidGrowth lets no file of a process grow over a size: a full disk, to it.
func forbidGrowth(t *testing.T, pid, size int) {
	t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), fmt.Sprintf("--fsize=%d:%d", size, size)).CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v: %s", err, out)
	}
}
