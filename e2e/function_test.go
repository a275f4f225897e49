//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// call is one request a function got.
type call struct {
	path   string
	header http.Header
	body   string
}

// id is the event's id.
func (c call) id() string { return c.header.Get("Ce-Id") }

// recorder is a function that notes every call and answers as told.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
	// answer writes the answer; nil is an empty 200.
	answer func(w http.ResponseWriter, c call)
}

// newRecorder starts a function that is stopped when the test ends.
func newRecorder(t testing.TB, answer func(http.ResponseWriter, call)) *recorder {
	t.Helper()
	r := &recorder{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil { // the caller went away
		return
	}
	c := call{path: req.URL.Path, header: req.Header, body: string(body)}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, c)
	}
}

// all returns the calls so far.
func (r *recorder) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

// count is how often each event id was delivered.
func (r *recorder) count() map[string]int {
	n := map[string]int{}
	for _, c := range r.all() {
		n[c.id()]++
	}
	return n
}

// awaitCalls waits for n calls at least and returns them.
func (r *recorder) awaitCalls(t testing.TB, n int) []call {
	t.Helper()
	await(t, fmt.Sprintf("%d call(s) of the function", n), func() error {
		if got := len(r.all()); got < n {
			return fmt.Errorf("got %d", got)
		}
		return nil
	})
	return r.all()
}
