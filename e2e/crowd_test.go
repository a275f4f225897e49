//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/history"
	"github.com/signalbox-dev/signalbox/event"
)

// The types of events in crash tests, and classes of the history.
const (
	jobs    = "com.example.job"
	results = "com.example.result"
)

// crashLinks are the links of crash tests; each has a function of its name.
//
//	plain    fails now and then, in several ways
//	ordered  the same in the order of each key; it closes now and then as well
//	busy     closes for two seconds now and then (503 with Retry-After), so that deliveries are parked
//	chain    answers each job with a result
//	tail     gets the results
//	grave    refuses some for good: dead letters
var crashLinks = []history.Link{
	{Name: "plain", Class: jobs},
	{Name: "ordered", Class: jobs, Ordered: true},
	{Name: "busy", Class: jobs},
	{Name: "chain", Class: jobs},
	{Name: "grave", Class: jobs},
	{Name: "tail", Class: results},
}

// crashRules are the promises of docs/delivery.md as numbers. Progress is
// committed every 200 ms; a commit on its way, a kill and the notice of it take another
// 1.3 s at most on a machine that has far too much to do (0.9 s were
// measured). So one kill may repeat what was delivered of events that were not
// done a second and a half before, and of events that had a delivery open: once, and a parked
// delivery twice more, since its event and its parked record may both be handed over again, and
// what is parked then once more after a second kill that comes soon.
var crashRules = history.Rules{Links: crashLinks, Uncommitted: 1500 * time.Millisecond, Copies: 3}

// crowd are the functions of one system, and the histories of the runs on it.
type crowd struct {
	*httptest.Server
	of     sync.Map // event id -> *history.History
	strays sync.Map // link and id of events that nobody sent, and that follow from none
	failed sync.Map // link and event id of each call that was made to fail
}

func newCrowd(t testing.TB) *crowd {
	t.Helper()
	c := &crowd{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// manifests are the functions and links of crashLinks.
func (c *crowd) manifests() string {
	var b strings.Builder
	for _, l := range crashLinks {
		order := "none"
		if l.Ordered {
			order = "key"
		}
		fmt.Fprintf(&b, "---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {url: %q}\n", l.Name, c.URL+"/"+l.Name)
		fmt.Fprintf(&b, "---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: %s}\nspec: {function: %s, types: [%s], order: %s, delivery: {timeout: 5s, attempts: 50, backoff: {initial: 20ms, max: 500ms}}}\n",
			l.Name, l.Name, l.Class, order)
	}
	return b.String()
}

// chance is a number from 0 to 999 that an event and a link always have: what
// fails is planned, not random.
func chance(link, id string) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, link, " ", id)
	return h.Sum32() % 1000
}

// ServeHTTP is every function: the path says which.
func (c *crowd) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	link, id := strings.TrimPrefix(req.URL.Path, "/"), req.Header.Get("Ce-Id")
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return // the caller went away: it will call again
	}
	h, ok := c.of.Load(id)
	if !ok {
		c.strays.Store(link+" "+id, true)
		return
	}
	end := h.(*history.History).Call(link, id)
	if buried(id) && link == "grave" {
		end(false)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if c.fails(link, id) {
		end(false)
		fail(w, link, id)
		return
	}
	end(true)
	if link == "chain" {
		for k, v := range binaryHeader("x", results) {
			w.Header().Set(k, v)
		}
	}
}

// fails says whether a call is to fail: the first one of 1 % of the deliveries, of 0.2 % for busy.
func (c *crowd) fails(link, id string) bool {
	n := chance(link, id)
	if n >= 10 || link == "busy" && n >= 2 {
		return false
	}
	_, before := c.failed.LoadOrStore(link+" "+id, true)
	return !before
}

// fail answers a call that is to fail.
func fail(w http.ResponseWriter, link, id string) {
	switch {
	case link == "busy", link == "ordered" && chance(link, id) < 1:
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
	case chance("cut", id) < 500:
		panic(http.ErrAbortHandler) // cuts the connection
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// buried says whether grave refuses an event for good.
func buried(id string) bool { return chance("grave", id) < 10 }

// resultOf is the id of the event that the system makes of chain's answer to a job.
func resultOf(id string) string {
	cause := &event.Event{Source: "/e2e", ID: id}
	return event.Derive(cause, &event.Event{Type: results}, event.Hop{Link: "chain"}).ID
}

// traffic sends jobs in a steady stream, and keeps their history.
type traffic struct {
	*history.History
	t        testing.TB
	crowd    *crowd
	name     string
	addr     string
	client   *http.Client
	end      chan struct{}
	endOnce  sync.Once
	ctx      context.Context // over when the test is
	wg       sync.WaitGroup
	accepted atomic.Int64
	buried   sync.Map // ids that grave refuses
	found    int      // violations, by verify
}

// The traffic: each key's events are sent one after the other, 20 a second at
// most; and batches of events without key, 10 of 10 a second.
const (
	trafficKeys   = 12
	keyPause      = 50 * time.Millisecond
	batchPause    = 100 * time.Millisecond
	eventsInBatch = 10
)

// verifyNoStrays fails the test when functions answered with an event that took
// another id than it does without a failure.
func (c *crowd) verifyNoStrays(t testing.TB) {
	t.Helper()
	c.strays.Range(func(stray, _ any) bool {
		t.Errorf("delivered, and none of any run: %s", stray)
		return true
	})
}

// send starts the traffic of one run; ids begin with its name.
func (c *crowd) send(t testing.TB, addr, name string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &traffic{
		History: history.New(time.Now), t: t, crowd: c, name: name, addr: addr, end: make(chan struct{}), ctx: ctx,
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: trafficKeys + 1}},
	}
	for k := range trafficKeys {
		f.wg.Go(func() { f.stream(fmt.Sprint("k", k), keyPause, 1) })
	}
	f.wg.Go(func() { f.stream("", batchPause, eventsInBatch) })
	t.Cleanup(func() {
		cancel()
		f.stop()
		f.client.CloseIdleConnections()
	})
	return f
}

// stream sends n events at each tick until the traffic ends.
func (f *traffic) stream(key string, pause time.Duration, n int) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		ids := make([]string, n)
		for j := range ids {
			ids[j] = fmt.Sprintf("%s-%s-%d-%d", f.name, key, i, j)
			f.crowd.of.Store(ids[j], f.History)
			f.crowd.of.Store(resultOf(ids[j]), f.History)
			if buried(ids[j]) {
				f.buried.Store(ids[j], true)
			}
			scoped := key
			if key != "" {
				scoped = f.name + key
			}
			f.Send(ids[j], jobs, scoped)
			f.Send(resultOf(ids[j]), results, "")
		}
		if !f.insist(ids, key) {
			return
		}
		select {
		case <-tick.C:
		case <-f.end:
			return
		}
	}
}

// insist posts events until they are accepted: the answer of a crash is none,
// and means that they may be in the log or not. It gives up after the bound.
func (f *traffic) insist(ids []string, key string) bool {
	ctx, cancel := context.WithTimeout(f.ctx, bound)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !f.post(ctx, ids, key) {
		select {
		case <-again.C:
		case <-ctx.Done():
			if f.ctx.Err() == nil {
				f.t.Errorf("%s was not accepted within %s", ids[0], bound)
			}
			return false
		}
	}
	for _, id := range ids {
		f.Accept(id)
		f.Accept(resultOf(id))
	}
	f.accepted.Add(int64(len(ids)))
	return true
}

func (f *traffic) post(ctx context.Context, ids []string, key string) bool {
	var all []map[string]string
	for _, id := range ids {
		e := map[string]string{"specversion": "1.0", "source": "/e2e", "type": jobs, "id": id}
		if key != "" {
			e["partitionkey"] = key
		}
		all = append(all, e)
	}
	b, err := json.Marshal(all)
	if err != nil {
		f.t.Error(err)
		return true
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.addr+"/events", strings.NewReader(string(b)))
	if err != nil {
		f.t.Error(err)
		return true
	}
	req.Header.Set("Content-Type", "application/cloudevents-batch+json")
	resp, err := f.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false
	}
	return resp.StatusCode == http.StatusAccepted
}

// awaitMore waits until n more events are accepted.
func (f *traffic) awaitMore(t testing.TB, n int64) {
	t.Helper()
	from := f.accepted.Load()
	await(t, "events to be accepted", func() error {
		if got := f.accepted.Load() - from; got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// stop ends the traffic, when what is being sent is accepted.
func (f *traffic) stop() {
	f.endOnce.Do(func() { close(f.end) })
	f.wg.Wait()
}

// settle waits until everything has an outcome: deliveries, and dead letters
// where they are planned. What has none when the time is over is for verify to tell.
func (f *traffic) settle(s *server) {
	late := time.NewTimer(2 * bound)
	defer late.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		f.readGraves(s)
		if f.Missing(crashRules) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-late.C:
			return
		}
	}
}

// readGraves looks for the dead letters that are planned. They are asked for one by one,
// since a list may hold those of other runs.
func (f *traffic) readGraves(s *server) {
	f.buried.Range(func(id, _ any) bool {
		resp, err := http.Get("http://" + s.addr + "/api/v1/deadletters?function=grave&source=/e2e&id=" + url.QueryEscape(id.(string)))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var list struct{ Items []json.RawMessage }
		if json.NewDecoder(resp.Body).Decode(&list) == nil && len(list.Items) > 0 {
			f.Dead("grave", id.(string))
			f.buried.Delete(id)
		}
		return true
	})
}

// verify fails the test for everything the history has against the system.
func (f *traffic) verify(t testing.TB) {
	t.Helper()
	found, repeats := f.Check(crashRules)
	f.found = len(found)
	for i, v := range found {
		if i == 20 {
			t.Errorf("%s: … and %d more", f.name, len(found)-i)
			break
		}
		t.Errorf("%s: %s", f.name, v)
	}
	total, of := 0, 0
	for _, r := range repeats {
		total += r.Count
		of += r.Bound
	}
	t.Logf("%s: %d accepted, %d deliveries repeated of at most %d", f.name, f.Accepted()/2, total, of)
}

// verifyNothingLate verifies again when something was delivered in a wrong way since.
func (f *traffic) verifyNothingLate(t testing.TB) {
	t.Helper()
	if found, _ := f.Check(crashRules); len(found) > f.found {
		f.verify(t)
	}
}
