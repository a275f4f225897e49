//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

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
