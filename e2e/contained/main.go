// Command contained is the function of the tests that run one in a container. It
// answers each event with an event of type <type>.done that says who it is and
// what it found.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// order is what an event's data may ask for.
type order struct {
	// SleepMS is how long the answer takes, SleepOnceMS how much longer that of the first attempt;
	// Eat the MiB of memory that are taken before it.
	SleepMS     int `json:"sleepMS"`
	SleepOnceMS int `json:"sleepOnceMS"`
	Eat         int `json:"eat"`
	// Read is a file whose content the answer has, Write one that is tried to be written.
	Read  string `json:"read"`
	Write string `json:"write"`
	// Exit ends the program with that code.
	Exit int `json:"exit"`
}

// answer is the data of what is answered.
type answer struct {
	Of      string   `json:"of"`
	Host    string   `json:"host"`
	UID     int      `json:"uid"`
	Env     []string `json:"env"`
	Path    string   `json:"path"`
	File    string   `json:"file,omitempty"`
	Written string   `json:"written,omitempty"`
}

var kept [][]byte // keeps what was eaten from the collector

func main() {
	var ready atomic.Bool
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/", serve)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("stopping")
		os.Exit(0)
	}()
	delay, _ := time.ParseDuration(os.Getenv("START_DELAY")) // none is no delay
	time.AfterFunc(delay, func() { ready.Store(true) })
	fmt.Println("listening on", os.Getenv("PORT"))
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil)) // #nosec G114 -- for tests
}

func serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var o order
	_ = json.Unmarshal(body, &o) // an event that asks for nothing
	fmt.Println("got", r.Header.Get("Ce-Id"))
	if o.Exit != 0 {
		fmt.Fprintln(os.Stderr, "told to exit")
		os.Exit(o.Exit)
	}
	for range o.Eat {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	if r.Header.Get("Signalbox-Attempt") == "1" {
		o.SleepMS += o.SleepOnceMS
	}
	time.Sleep(time.Duration(o.SleepMS) * time.Millisecond)
	a := answer{Of: r.Header.Get("Ce-Id"), UID: os.Getuid(), Path: r.URL.RequestURI()}
	a.Host, _ = os.Hostname()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SECRET") {
			a.Env = append(a.Env, v)
		}
	}
	if o.Read != "" {
		a.File = outcome(os.ReadFile(o.Read))
	}
	if o.Write != "" {
		a.Written = outcome(nil, os.WriteFile(o.Write, []byte("x"), 0o600))
	}
	data, _ := json.Marshal(a) // strings and numbers
	h := w.Header()
	if t := r.Header.Get("Ce-Type"); t != "" && r.Header.Get("Prefer") == "reply" {
		h.Set("Ce-Specversion", "1.0")
		h.Set("Ce-Id", "1")
		h.Set("Ce-Source", "/contained")
		h.Set("Ce-Type", t+".done")
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

func outcome(b []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return string(b) + "ok"
}
