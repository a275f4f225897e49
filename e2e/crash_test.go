//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCrashLosesNothingThatWasAccepted kills the process again and again under
// load, on real Kafka and Redis. Every event that was answered 202 must be
// delivered; how often one was delivered twice is printed.
func TestCrashLosesNothingThatWasAccepted(t *testing.T) {
	kills := 20
	if v := os.Getenv("SIGNALBOX_CRASH_RUNS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("SIGNALBOX_CRASH_RUNS=%q: want a number", v)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills", seed, kills)
	random := rand.New(rand.NewPCG(seed, 0))

	fn := newRecorder(t, nil)
	s := start(t, append(realArgs(t), "--instance-id", unique(t))...)
	s.apply(functionManifest("sink", fn.URL, "com.example.crash"))

	load := startLoad(t, s.addr, 8)
	var slowest time.Duration
	for range kills {
		before := load.count()
		timer := time.NewTimer(time.Duration(100+random.IntN(700)) * time.Millisecond)
		<-timer.C
		s.kill()
		began := time.Now()
		s.launch()
		s.awaitReady()
		await(t, "events to be accepted again", func() error {
			if load.count() <= before {
				return fmt.Errorf("none since the kill")
			}
			return nil
		})
		slowest = max(slowest, time.Since(began))
	}
	accepted := load.stop()

	await(t, "every accepted event to be delivered", func() error {
		got := fn.count()
		missing := 0
		for id := range accepted {
			if got[id] == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d missing", missing, len(accepted))
		}
		return nil
	})
	deliveries, duplicates := 0, 0
	for _, n := range fn.count() {
		deliveries += n
		duplicates += n - 1
	}
	t.Logf("%d accepted, %d deliveries, %d of them repeated over %d kills; slowest return %s", len(accepted), deliveries, duplicates, kills, slowest.Round(time.Millisecond))
}

// loadGenerator posts events until it is stopped and keeps the ids that were accepted.
type loadGenerator struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	accepted map[string]bool
}

func startLoad(t testing.TB, addr string, senders int) *loadGenerator {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loadGenerator{cancel: cancel, accepted: map[string]bool{}}
	t.Cleanup(func() { l.stop() })
	httpClient := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	for sender := range senders {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.send(ctx, httpClient, addr, fmt.Sprintf("%d-%d", sender, i))
			}
		})
	}
	return l
}

// send posts one event; a failure is the crash the test makes, and means only
// that the event need not be delivered.
func (l *loadGenerator) send(ctx context.Context, c *http.Client, addr, id string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/events", strings.NewReader("{}"))
	if err != nil {
		return
	}
	for k, v := range binaryHeader(id, "com.example.crash") {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		l.mu.Lock()
		l.accepted[id] = true
		l.mu.Unlock()
	}
}

func (l *loadGenerator) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// stop ends the load and returns the ids that were accepted.
func (l *loadGenerator) stop() map[string]bool {
	l.cancel()
	l.wg.Wait()
	return l.accepted
}
