package verify

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// broken serves one answer broken by a fault, and calls it as a function's
// caller would. outcome is what the handler said of an answer of success.
func broken(t *testing.T, f Fault, variant uint64, timeout time.Duration) (resp *http.Response, body []byte, outcome <-chan error, err error) {
	t.Helper()
	results := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		b := breaker{w: w, r: r, variant: variant, timeout: timeout, answer: answer{
			status: 200, header: http.Header{"Content-Type": {"text/plain"}, "ce-id": {"1"}}, body: []byte("0123456789"),
		}}
		if f == "" || f == FaultSlow {
			results <- b.succeed(f == FaultSlow)
			return
		}
		b.fail(f)
	}))
	t.Cleanup(server.Close)
	c := &http.Client{Timeout: timeout, Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	resp, err = c.Post(server.URL, "text/plain", nil)
	if err != nil {
		return nil, nil, results, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp, body, results, err
}

const patient = 20 * time.Second

func TestASuccessArrivesWhole(t *testing.T) {
	for _, f := range []Fault{"", FaultSlow} {
		// The pause of a slow answer is a tenth of the timeout, and variant nanoseconds.
		resp, body, outcome, err := broken(t, f, 7, 3*time.Second)
		if err != nil || resp.StatusCode != 200 || string(body) != "0123456789" || resp.Header.Get("Ce-Id") != "1" {
			t.Errorf("fault %q: %v, body %q, error %v", f, resp, body, err)
		}
		if err := <-outcome; err != nil {
			t.Errorf("fault %q: the function takes it for broken: %v", f, err)
		}
	}
}

func TestAResetIsOne(t *testing.T) {
	_, _, _, err := broken(t, FaultReset, 0, patient)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a connection reset", err)
	}
}

func TestACutAnswerEndsInTheMiddle(t *testing.T) {
	for variant, want := range map[uint64]error{0: syscall.ECONNRESET, 1: io.ErrUnexpectedEOF} {
		resp, body, _, err := broken(t, FaultCut, variant, patient)
		if err == nil {
			t.Fatalf("variant %d: no error, body %q", variant, body)
		}
		if resp == nil { // a reset may overtake what was written before it
			if variant == 1 || !errors.Is(err, want) {
				t.Errorf("variant %d: no answer at all: %v", variant, err)
			}
			continue
		}
		if !errors.Is(err, want) || resp.StatusCode != 200 || len(body) > 5 || variant == 1 && string(body) != "01234" {
			t.Errorf("variant %d: status %d, body %q, error %v; want the first half and %v", variant, resp.StatusCode, body, err, want)
		}
	}
}

func TestAnswersOfFailure(t *testing.T) {
	seen := map[int]bool{}
	for variant := range uint64(4) {
		resp, _, _, err := broken(t, Fault5xx, variant, patient)
		if err != nil || resp.StatusCode < 500 {
			t.Fatalf("5xx: %v, error %v", resp, err)
		}
		seen[resp.StatusCode] = true
		resp, _, _, err = broken(t, Fault429, variant, patient)
		if err != nil || resp.StatusCode != 429 {
			t.Fatalf("429: %v, error %v", resp, err)
		}
		if after := resp.Header.Get("Retry-After"); (after != "") != (variant == 0) {
			t.Errorf("429, variant %d: Retry-After %q", variant, after)
		}
	}
	if len(seen) != 4 {
		t.Errorf("statuses %v, want four of them", seen)
	}
}

func TestATimeoutLastsUntilTheCallerHangsUp(t *testing.T) {
	_, _, _, err := broken(t, FaultTimeout, 0, 100*time.Millisecond)
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestACallerThatHungUpGotNoSuccess(t *testing.T) {
	for _, slow := range []bool{false, true} {
		result, inside := make(chan error, 1), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(inside)
			b := breaker{w: w, r: r, timeout: time.Hour, answer: answer{status: 200, body: []byte("0123456789")}}
			if !slow {
				<-r.Context().Done()
			}
			result <- b.succeed(slow)
		}))
		ctx, hangUp := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		var caller sync.WaitGroup
		caller.Go(func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
		<-inside
		hangUp()
		if err := <-result; !errors.Is(err, errHungUp) {
			t.Errorf("slow %v: %v, want %v", slow, err, errHungUp)
		}
		caller.Wait()
		server.Close()
	}
}
