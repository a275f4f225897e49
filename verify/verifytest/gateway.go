package verifytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Delivery is one event for one link.
type Delivery struct {
	Event *event.Event
	Link  string
	// Reply: the event is what a function answered.
	Reply bool
}

// Mistake is what a Gateway does wrong with a delivery.
type Mistake int

// The mistakes.
const (
	None Mistake = iota
	// Drop forgets the delivery.
	Drop
	// Twice delivers again after a success, with the same Idempotency-Key.
	Twice
	// Copy delivers again after a success, as if the event were in the log twice.
	Copy
	// Swap delivers after the next delivery of the link.
	Swap
	// Change delivers with other data.
	Change
)

// Gateway takes events and delivers them, one after the other for each link.
// Its fields are set before Start.
type Gateway struct {
	// Mistake is asked for every delivery; nil makes none. Probes are not asked for.
	Mistake func(Delivery) Mistake
	// Door answers a request with an event in place of the gateway, when it
	// returns true; nil is nobody.
	Door func(w http.ResponseWriter, e *event.Event) bool

	server    *httptest.Server
	ctx       context.Context
	stop      context.CancelFunc
	wg        sync.WaitGroup
	mu        sync.Mutex
	resources map[string]resource.Object
	queues    map[string]chan work
	seen      map[string]bool
	offset    int
	dead      []json.RawMessage
}

type work struct {
	Delivery
	url, key string
	attempts int
}

// Start runs the gateway and returns its URL.
func (g *Gateway) Start() string {
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.resources, g.queues, g.seen = map[string]resource.Object{}, map[string]chan work{}, map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /events", g.events)
	mux.HandleFunc("POST /api/v1/apply", g.apply)
	mux.HandleFunc("GET /api/v1/deadletters", g.deadLetters)
	mux.HandleFunc("GET /api/v1/explain", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"position":"0:1"}`) })
	mux.HandleFunc("GET /api/v1/{kind}", g.list)
	mux.HandleFunc("DELETE /api/v1/{kind}/{name}", g.delete)
	g.server = httptest.NewServer(mux)
	return g.server.URL
}

// Close ends everything, delivered or not.
func (g *Gateway) Close() {
	g.stop()
	g.server.Close()
	g.wg.Wait()
}

// Resources are the names of what is there, as kind/name, sorted.
func (g *Gateway) Resources() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.resources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (g *Gateway) apply(w http.ResponseWriter, r *http.Request) {
	m, err := resource.ReadManifests("apply", r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range m.Objects {
		k, err := resource.LookupKind(o.Kind)
		if err != nil || len(o.Validate()) > 0 {
			http.Error(w, fmt.Sprint(o.Validate(), err), http.StatusBadRequest)
			return
		}
		g.resources[k.Plural+"/"+o.Metadata.Name] = o
	}
	reply(w, map[string]any{"items": m.Objects})
}

func (g *Gateway) list(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	items := []resource.Object{}
	key, value, exact := strings.Cut(r.URL.Query().Get("selector"), "=")
	for name, o := range g.resources {
		got, has := o.Metadata.Labels[key]
		if strings.HasPrefix(name, r.PathValue("kind")+"/") && has && (!exact || got == value) {
			items = append(items, o)
		}
	}
	reply(w, map[string]any{"items": items})
}

func (g *Gateway) delete(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := r.PathValue("kind") + "/" + r.PathValue("name")
	if _, has := g.resources[name]; !has {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(g.resources, name)
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) deadLetters(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	reply(w, map[string]any{"items": append([]json.RawMessage{}, g.dead...)})
}

func (g *Gateway) events(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e, err := read(r.Header, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if g.Door != nil && g.Door(w, e) {
		return
	}
	g.Take(e, false)
	w.WriteHeader(http.StatusAccepted)
}

func read(h http.Header, body []byte) (*event.Event, error) {
	if mode, _ := event.ModeOf(h.Get("Content-Type")); mode == event.Structured {
		return event.ParseJSON(body)
	}
	return event.ParseHTTP(h.Get("Content-Type"), func(yield func(name, value []byte)) {
		for name := range h {
			yield([]byte(name), []byte(h.Get(name)))
		}
	}, body)
}

// Take delivers an event, unless it did so before.
func (g *Gateway) Take(e *event.Event, isReply bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[e.Source+"\x00"+e.ID] {
		return
	}
	g.seen[e.Source+"\x00"+e.ID] = true
	g.offset++
	for name, o := range g.resources {
		var link resource.LinkSpec
		if !strings.HasPrefix(name, "links/") || json.Unmarshal(o.Spec, &link) != nil || !slices.Contains(link.Types, e.Type) {
			continue
		}
		var fn resource.FunctionSpec
		if json.Unmarshal(g.resources["functions/"+link.Function].Spec, &fn) != nil {
			continue
		}
		g.queue(o.Metadata.Name) <- work{
			Delivery: Delivery{Event: e, Link: o.Metadata.Name, Reply: isReply}, url: fn.URL,
			key: "0:" + strconv.Itoa(g.offset) + "/" + name, attempts: link.Delivery.WithDefaults().Attempts,
		}
	}
}

// queue is a link's. It has room for whatever a test sends.
func (g *Gateway) queue(link string) chan work {
	if g.queues[link] == nil {
		q := make(chan work, 100_000)
		g.queues[link] = q
		g.wg.Go(func() { g.lane(q) })
	}
	return g.queues[link]
}

// lane delivers what comes in its order, or with the mistakes that are asked for.
func (g *Gateway) lane(q chan work) {
	var late *work
	for {
		var x work
		select {
		case x = <-q:
		case <-g.ctx.Done():
			return
		}
		mistake := None
		if g.Mistake != nil && !strings.HasSuffix(x.Event.Type, ".probe") {
			mistake = g.Mistake(x.Delivery)
		}
		switch mistake {
		case Drop:
			continue
		case Swap:
			late = &x
			continue
		case Change:
			x.Event = x.Event.Clone()
			x.Event.Data = []byte(`{"changed":true}`)
		}
		g.deliver(x)
		if mistake == Copy {
			x.key += "-copy"
		}
		if mistake == Twice || mistake == Copy {
			g.deliver(x)
		}
		if late != nil {
			g.deliver(*late)
			late = nil
		}
	}
}

// deliver calls until that is a success or for nothing.
func (g *Gateway) deliver(x work) {
	for attempt := 1; attempt <= x.attempts && g.ctx.Err() == nil; attempt++ {
		status, again := g.call(x, attempt)
		if again {
			continue
		}
		if status/100 != 2 {
			g.bury(x)
		}
		return
	}
	g.bury(x)
}

func (g *Gateway) bury(x work) {
	b, err := json.Marshal(map[string]any{"link": x.Link, "event": json.RawMessage(x.Event.AppendJSON(nil))})
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = append(g.dead, b)
}

func (g *Gateway) call(x work, attempt int) (status int, again bool) {
	ctx, cancel := context.WithTimeout(g.ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url, bytes.NewReader(x.Event.Data))
	if err != nil {
		return 0, true
	}
	x.Event.VisitHTTPHeaders(func(name, value string) { req.Header.Set(name, value) })
	req.Header.Set("Idempotency-Key", x.key)
	req.Header.Set("Signalbox-Attempt", strconv.Itoa(attempt))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, true
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return resp.StatusCode, true
	}
	if e, err := read(resp.Header, body); err == nil && resp.StatusCode == http.StatusOK {
		g.Take(event.Derive(x.Event, e, event.Hop{Link: x.Link, Now: time.Now()}), true)
	}
	return resp.StatusCode, false
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
