package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
)

func TestLinesThatWereSeenAreShownThoughTheNextLookFails(t *testing.T) {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if looks++; looks > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"items":[{"time":"2026-01-02T15:04:05Z","function":"f","stream":"stdout","line":"one","position":"0:1"},{"time":"2026-01-02T15:04:05Z","function":"f","stream":"stdout","line":"two","position":"0:2"}]}`))
	}))
	defer server.Close()
	c, err := client.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if lines := linesOf(t.Context(), c, client.Query{Run: "r"}, time.Millisecond); len(lines) != 2 || looks < 2 {
		t.Errorf("%q after %d looks", lines, looks)
	}
}

func TestDataThatAreNoTextAreNotSentAsText(t *testing.T) {
	for data, want := range map[string]string{`{"a":1}`: "application/json", "1": "application/json", "hällo": "text/plain; charset=utf-8", "\x00\xff": "application/octet-stream"} {
		if got := guessContentType([]byte(data)); got != want {
			t.Errorf("%q: %s, want %s", data, got, want)
		}
	}
}
