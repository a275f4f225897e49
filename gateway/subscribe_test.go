package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/signalbox-dev/signalbox/event"
)

// sseClient reads one stream.
type sseClient struct {
	t    testing.TB
	resp *http.Response
	r    *bufio.Reader
}

func (r *rig) subscribe(query string, headers ...string) *sseClient {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", r.url+"/subscribe"+query, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%d %s", resp.StatusCode, b)
	}
	return &sseClient{r.t, resp, bufio.NewReaderSize(resp.Body, 1<<20)}
}

// next returns the lines of the next block, without comments such as heartbeats
// unless comments is set; "" at the end.
func (c *sseClient) next(comments bool) string {
	c.t.Helper()
	var block strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if line != "\n" {
			block.WriteString(line)
			continue
		}
		if s := block.String(); comments || !strings.HasPrefix(s, ":") {
			return s
		}
		block.Reset()
	}
}

// event returns id and data of the next message.
func (c *sseClient) event() (id string, data map[string]any) {
	c.t.Helper()
	block := c.next(false)
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	if len(lines) != 3 || lines[1] != "event: message" {
		c.t.Fatalf("message is %q", block)
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[2], "data: ")), &data); err != nil {
		c.t.Fatalf("%q: %v", lines[2], err)
	}
	return strings.TrimPrefix(lines[0], "id: "), data
}

// lastComment reads to the end of the stream.
func (c *sseClient) lastComment() string {
	last := ""
	for {
		block := c.next(true)
		if block == "" {
			return last
		}
		if strings.HasPrefix(block, ":") {
			last = strings.TrimSpace(strings.TrimPrefix(block, ":"))
		}
	}
}

func (r *rig) emit(id, typ, body string) {
	r.t.Helper()
	a := r.do("POST", "/events", body, "ce-specversion", "1.0", "ce-id", id, "ce-source", "/s", "ce-type", typ, "Content-Type", "application/json")
	if a.StatusCode != 202 {
		r.t.Fatalf("emit: %d %s", a.StatusCode, a.body)
	}
}

func (r *rig) followers(n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := r.log.WaitFollowers(ctx, n); err != nil {
		r.t.Fatalf("waiting for %d followers: %v", n, err)
	}
}

func TestLiveStream(t *testing.T) {
	r := start(t, nil)
	c := r.subscribe("?type=com.example.*")
	r.emit("0", "org.other", "0")
	r.emit("1", "com.example.a", "{\n\"a\":\r\n1}")
	id, data := c.event()
	if id != "0:1" || data["id"] != "1" || data["position"] != "0:1" || fmt.Sprint(data["data"]) != "map[a:1]" {
		t.Errorf("id %s, data %v", id, data)
	}
}

func TestOneFollowerServesAllAndStopsWithTheLast(t *testing.T) {
	r := start(t, nil)
	r.followers(0)
	a, b := r.subscribe(""), r.subscribe("?type=t,u")
	r.followers(1)
	r.emit("1", "t", "1")
	for _, c := range []*sseClient{a, b} {
		if id, _ := c.event(); id != "0:0" {
			t.Errorf("id %s", id)
		}
	}
	a.resp.Body.Close()
	r.emit("2", "u", "2")
	if id, _ := b.event(); id != "0:1" {
		t.Errorf("id %s", id)
	}
	b.resp.Body.Close()
	r.followers(0)
	r.subscribe("")
	r.followers(1)
}

func TestStreamFilters(t *testing.T) {
	r := start(t, func(_ *Config, d *Deps) {
		d.Filter = func(expr string) (func(*event.Event) bool, error) {
			if expr == "broken" {
				return nil, errors.New("parse error at 1:1")
			}
			return func(e *event.Event) bool { return e.ID == expr }, nil
		}
	})
	c := r.subscribe("?filter=2")
	r.emit("1", "t", "1")
	r.emit("2", "t", "2")
	if _, data := c.event(); data["id"] != "2" {
		t.Errorf("%v", data)
	}
	for _, bad := range []string{"?filter=broken", "?stream=other", "?stream=logs&source=x", "?run=1", "?nonsense=1", "?since=soon", "?stream=runs&filter=x", "?function=f"} {
		r.do("GET", "/subscribe"+bad, "").refused(t, 400, "invalid-query")
	}
	r.do("GET", "/subscribe", "", "Last-Event-ID", "x").refused(t, 400, "invalid-query")
}

func TestResume(t *testing.T) {
	r := start(t, nil)
	for i := range 4 {
		r.emit(fmt.Sprint(i), "t", "1")
	}
	c := r.subscribe("", "Last-Event-ID", "0:1")
	r.emit("4", "t", "1")
	for _, want := range []string{"0:2", "0:3", "0:4"} {
		if id, _ := c.event(); id != want {
			t.Errorf("id %s, want %s", id, want)
		}
	}
	c = r.subscribe("?since=1h")
	for _, want := range []string{"0:0", "0:1", "0:2", "0:3", "0:4"} {
		if id, _ := c.event(); id != want {
			t.Errorf("since: id %s, want %s", id, want)
		}
	}
	c = r.subscribe("", "Last-Event-ID", "0:999")
	r.emit("5", "t", "1")
	if id, _ := c.event(); id != "0:5" {
		t.Errorf("unknown position: id %s, want to go on from the present", id)
	}
}

func TestRunStream(t *testing.T) {
	r := start(t, nil)
	c := r.subscribe("?stream=runs&function=f&type=t")
	r.log.AddRun(event.Run{ID: "x", Function: "g", EventType: "t"})
	r.log.AddRun(event.Run{ID: "y", Function: "f", EventType: "t", Outcome: event.Delivered})
	if id, data := c.event(); id != "y" || data["outcome"] != "delivered" {
		t.Errorf("id %s, data %v", id, data)
	}
}

func TestLineStream(t *testing.T) {
	r := start(t, nil)
	r.log.AddLine(event.Log{Time: time.Now(), Function: "f", Line: "before", Run: "1"})
	c := r.subscribe("?stream=logs&function=f&run=1&since=1h")
	r.log.AddLine(event.Log{Time: time.Now(), Function: "g", Line: "x", Run: "1"})
	r.log.AddLine(event.Log{Time: time.Now(), Function: "f", Line: "x", Run: "2"})
	r.log.AddLine(event.Log{Time: time.Now(), Function: "f", Line: "after", Run: "1"})
	for _, want := range []string{"0:0 before", "0:3 after"} {
		if id, data := c.event(); fmt.Sprint(id, " ", data["line"]) != want || data["position"] != id {
			t.Errorf("id %s, data %v, want %s", id, data, want)
		}
	}
}

func TestSlowSubscriberIsCutOffAndHoldsUpNobody(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.Subscribe.QueueLength, c.Subscribe.WriteTimeout = 4, time.Minute })
	slow, fast := r.subscribe("?type=big"), r.subscribe("?type=small")
	big := `"` + strings.Repeat("x", 500<<10) + `"`
	for i := range 40 { // more than the socket's buffers and the queue hold
		r.emit(fmt.Sprint("b", i), "big", big)
	}
	r.emit("s", "small", "1")
	if _, data := fast.event(); data["id"] != "s" {
		t.Errorf("%v", data)
	}
	if last := slow.lastComment(); !strings.HasPrefix(last, "cut off: too slow") {
		t.Errorf("the last comment is %q", last)
	}
}

func TestSubscriberThatNeverReadsIsGivenUp(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) {
		c.Subscribe.QueueLength, c.Subscribe.WriteTimeout = 2, 50*time.Millisecond
	})
	c, err := net.Dial("tcp", r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r.followers(1)
	for i := range 40 {
		r.emit(fmt.Sprint("b", i), "big", `"`+strings.Repeat("x", 500<<10)+`"`)
	}
	r.followers(0)
}

func TestHeartbeats(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.Subscribe.Heartbeat = 100 * time.Millisecond })
	c := r.subscribe("")
	for c.next(true) != ": alive\n" {
	}
}

func TestTooManySubscribers(t *testing.T) {
	r := start(t, func(c *Config, _ *Deps) { c.Subscribe.MaxSubscribers = 1 })
	r.subscribe("")
	r.do("GET", "/subscribe", "").refused(t, 429, "too-many-subscribers")
}

func TestBrokenFollowerEndsStreamsAndTheNextStartsAnother(t *testing.T) {
	r := start(t, nil)
	c := r.subscribe("")
	r.log.Break(errors.New("broker gone"))
	if last := c.lastComment(); !strings.Contains(last, "cannot be followed") {
		t.Errorf("the last comment is %q", last)
	}
	c = r.subscribe("")
	r.emit("1", "t", "1")
	c.event()
}

type deaf struct{ Reader }

func (deaf) Follow(ctx context.Context, _ func(), _ func([]event.Record)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStreamThatCannotStartIs503(t *testing.T) {
	r := start(t, func(c *Config, d *Deps) {
		c.Subscribe.StartTimeout = 50 * time.Millisecond
		d.Reader = deaf{d.Reader}
	})
	r.do("GET", "/subscribe", "").refused(t, 503, "unavailable")
}

func TestStopEndsStreams(t *testing.T) {
	r := start(t, nil)
	c := r.subscribe("")
	ws := r.socket("")
	r.awaitServed(ws)
	r.stop()
	if last := c.lastComment(); !strings.Contains(last, "shutting down") {
		t.Errorf("the last comment is %q", last)
	}
	var err error
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
		t.Errorf("the socket ends with %v", err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// awaitServed waits until the socket gets events: its upgrade is answered before.
func (r *rig) awaitServed(ws *websocket.Conn) {
	r.t.Helper()
	served, emitting := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(emitting)
		for i := 0; ; i++ {
			select {
			case <-served:
				return
			default:
				r.emit(fmt.Sprint("probe", i), "probe", "1")
			}
		}
	}()
	if _, _, err := ws.ReadMessage(); err != nil {
		r.t.Errorf("the socket gets no event: %v", err)
	}
	close(served)
	<-emitting
}

func (r *rig) socket(query string) *websocket.Conn {
	r.t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"/subscribe"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	r.t.Cleanup(func() { c.Close() })
	return c
}

func TestWebSocket(t *testing.T) {
	r := start(t, nil)
	c := r.socket("?type=t")
	r.followers(1)
	r.emit("1", "t", "1")
	kind, data, err := c.ReadMessage()
	if err != nil || kind != websocket.TextMessage || !strings.Contains(string(data), `"position":"0:0"`) {
		t.Errorf("%d %s %v", kind, data, err)
	}
	c.Close()
	r.followers(0)
}

func TestSocketsOfOtherOriginsAreRefused(t *testing.T) {
	r := start(t, nil)
	up := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	r.do("GET", "/subscribe", "", append([]string{"Origin", "http://evil.example"}, up...)...).refused(t, 403, "forbidden")
	r.do("GET", "/subscribe", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12", "Sec-WebSocket-Key", "x").refused(t, 400, "malformed-request")
	r.do("GET", "/subscribe?since=x", "", up...).refused(t, 400, "invalid-query")
}
