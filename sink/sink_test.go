package sink

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// fakeIndex keeps documents, and fails as it is told.
type fakeIndex struct {
	mu       sync.Mutex
	docs     map[string]map[string]any
	writes   int
	template string
	auth     string
	// refuse says how the n-th request of _bulk is answered as a whole, item how a
	// document is; 0 is well.
	refuse func(n int) int
	item   func(id string, source map[string]any) int
}

func (f *fakeIndex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.auth = r.Header.Get("Authorization")
	if strings.HasPrefix(r.URL.Path, "/_index_template/") {
		b, _ := io.ReadAll(r.Body)
		f.template = r.URL.Path + " " + string(b)
		return
	}
	f.writes++
	if f.refuse != nil {
		if status := f.refuse(f.writes); status != 0 {
			http.Error(w, "not now", status)
			return
		}
	}
	type answered struct {
		Status int    `json:"status"`
		Error  string `json:"error,omitempty"`
	}
	var items []map[string]answered
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var head struct {
			Index struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			}
		}
		if json.Unmarshal(lines.Bytes(), &head) != nil || !lines.Scan() {
			http.Error(w, "no ndjson", http.StatusBadRequest)
			return
		}
		var source map[string]any
		if json.Unmarshal(lines.Bytes(), &source) != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		status := 0
		if f.item != nil {
			status = f.item(head.Index.ID, source)
		}
		if status == 0 {
			f.docs[head.Index.Index+"/"+head.Index.ID], status = source, http.StatusCreated
		}
		items = append(items, map[string]answered{"index": {Status: status}})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": true, "items": items})
}

// fakeSource gives batches, and begins again at the last commit.
type fakeSource struct {
	batches   [][]Record
	committed int
	done      context.CancelFunc
	fail      error
}

func (f *fakeSource) Poll(context.Context, int) ([]Record, error) {
	if f.fail != nil {
		err := f.fail
		f.fail = nil
		return nil, err
	}
	if f.committed == len(f.batches) {
		f.done()
		return nil, nil
	}
	return f.batches[f.committed], nil
}

func (f *fakeSource) Commit(context.Context) error {
	f.committed++
	return nil
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func record(topic string, offset int64, m event.Message) Record {
	r := event.Record{Position: event.Position{Partition: 1, Offset: offset}, Timestamp: noon, Message: m}
	if topic == "events" {
		r = event.RecordFrom(r.Position, noon, m)
	}
	return Record{topic, r}
}

func line(i int) Record {
	l := event.Log{Time: noon, Function: "f", Stream: "stdout", Line: fmt.Sprint("line ", i)}
	return record("logs", int64(i), l.Message("id"))
}

// move runs a sink until everything is committed.
func move(t *testing.T, f *fakeIndex, change func(*Config), batches ...[]Record) (*Sink, *fakeSource) {
	t.Helper()
	if f.docs == nil {
		f.docs = map[string]map[string]any{}
	}
	server := httptest.NewServer(f)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	source := &fakeSource{batches: batches, done: cancel}
	c := DefaultConfig()
	c.URL, c.Log = server.URL, slog.New(slog.DiscardHandler)
	c.Pause = func(<-chan struct{}, time.Duration) {}
	if change != nil {
		change(&c)
	}
	s, err := New(c, source)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if source.committed != len(batches) {
		t.Fatalf("%d batches committed, want %d", source.committed, len(batches))
	}
	return s, source
}

func TestEveryTopicBecomesDocuments(t *testing.T) {
	run := event.Run{ID: "0-1-ab-1", Function: "f", EventID: "1", EventSource: "/s", Outcome: event.Delivered, Time: noon}
	e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte("{\n \"a\": 1}")}
	d := event.DeadLetter{ID: "d1", Event: e, Link: "l", Function: "f", Reason: "status 400", Time: noon}
	resolution := event.Resolution{Letter: "d1", Action: event.Drop, Time: noon}
	decision := event.Decision{Kind: event.DecidedAdmission, Time: noon}
	f := &fakeIndex{}
	s, _ := move(t, f, func(c *Config) { c.User, c.Password = "u", "p" }, []Record{
		line(1), record("runs", 2, run.Message()), record("events", 3, e.Message()), record("dead", 4, d.Message()),
		record("dead", 5, resolution.Message()), record("decisions", 6, decision.Message("x")),
		record("events", 7, event.Message{Value: []byte("no event")}), record("runs", 8, event.Message{Value: []byte("no run")}),
	})
	for name, want := range map[string]string{
		"signalbox-logs-2026.11.21/logs-1-1":           "line=line 1",
		"signalbox-runs-2026.11.21/runs-1-2":           "outcome=delivered",
		"signalbox-events-2026.11.21/events-1-3":       "data=map[a:1]",
		"signalbox-dead-2026.11.21/dead-1-4":           "eventId=1",
		"signalbox-dead-2026.11.21/dead-1-5":           "action=drop",
		"signalbox-decisions-2026.11.21/decisions-1-6": "kind=admission",
		"signalbox-runs-2026.11.21/runs-1-8":           "raw=no run",
	} {
		field, value, _ := strings.Cut(want, "=")
		doc := f.docs[name]
		if fmt.Sprint(doc[field]) != value || doc["@timestamp"] != "2026-11-21T12:00:00Z" || !strings.HasPrefix(fmt.Sprint(doc["logPosition"]), "1:") {
			t.Errorf("%s is %v, want %s", name, doc, want)
		}
	}
	if len(f.docs) != 7 || s.Stats().Written.Load() != 7 {
		t.Errorf("%d documents; %s", len(f.docs), s.Stats())
	}
	if !strings.HasPrefix(f.template, "/_index_template/signalbox ") || !strings.Contains(f.template, `"signalbox-*"`) || f.auth != "Basic dTpw" {
		t.Errorf("template %s, authorization %q", f.template, f.auth)
	}
}

func TestNothingIsCommittedBeforeTheIndexHasIt(t *testing.T) {
	var batch []Record
	for i := range 100 {
		batch = append(batch, line(i))
	}
	tries := map[string]int{}
	f := &fakeIndex{
		refuse: func(n int) int {
			if n <= 3 {
				return []int{503, 500, 429}[n-1]
			}
			return 0
		},
		item: func(id string, _ map[string]any) int { // every third document is put off twice
			tries[id]++
			if strings.HasSuffix(id, "3") && tries[id] <= 2 {
				return http.StatusTooManyRequests
			}
			return 0
		},
	}
	s, _ := move(t, f, func(c *Config) { c.BatchBytes = 64 << 10 }, batch, batch[:10])
	if len(f.docs) != 100 || s.Stats().Lost.Load() != 0 || s.Stats().Retries.Load() < 5 {
		t.Errorf("%d documents; %s", len(f.docs), s.Stats())
	}
}

func TestADocumentThatTheIndexRefusesIsKeptAsText(t *testing.T) {
	f := &fakeIndex{item: func(id string, source map[string]any) int {
		switch {
		case id == "logs-1-1" && source["rejected"] == nil, id == "logs-1-2":
			return http.StatusBadRequest
		}
		return 0
	}}
	s, _ := move(t, f, nil, []Record{line(0), line(1), line(2), line(3)})
	if doc := f.docs["signalbox-logs-2026.11.21/logs-1-1"]; !strings.Contains(fmt.Sprint(doc["raw"]), "line 1") || doc["line"] != nil {
		t.Errorf("%v", doc)
	}
	if len(f.docs) != 3 || s.Stats().Rejected.Load() != 2 || s.Stats().Lost.Load() != 1 {
		t.Errorf("%d documents; %s", len(f.docs), s.Stats())
	}
}

func TestALogThatCannotBeReadIsReadLater(t *testing.T) {
	f := &fakeIndex{docs: map[string]map[string]any{}}
	server := httptest.NewServer(f)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := DefaultConfig()
	c.URL, c.Log, c.Pause = server.URL, slog.New(slog.DiscardHandler), func(<-chan struct{}, time.Duration) {}
	s, err := New(c, &fakeSource{batches: [][]Record{{line(1)}}, done: cancel, fail: errors.New("away")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil || len(f.docs) != 1 {
		t.Errorf("%v, %d documents", err, len(f.docs))
	}
}

func TestAWrongConfigurationNamesEveryFault(t *testing.T) {
	c := DefaultConfig()
	c.URL, c.Prefix, c.BatchRecords = "http://u:secret@x", "A", 0
	err := c.Validate()
	for _, part := range []string{"URL", "Prefix", "BatchRecords"} {
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: want %s", err, part)
		}
	}
}

// Data come from strangers: whatever they are, the document is one line of JSON.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "application/json")
	f.Add([]byte("{ }\n"), "")
	f.Add([]byte("\xff"), "text/plain")
	f.Fuzz(func(t *testing.T, value []byte, contentType string) {
		for _, topic := range []string{"runs", "events", "dead"} {
			m := event.Message{Value: value, Headers: []event.Header{
				{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("t")},
				{Key: "content-type", Value: []byte(contentType)}, {Key: event.DeadLetterHeader, Value: value},
			}}
			r := record(topic, 1, m)
			if d := documentOf("signalbox-", &r); !json.Valid(d.source) || strings.ContainsAny(string(d.source), "\n\r") {
				t.Errorf("%s: %q", topic, d.source)
			}
		}
	})
}
