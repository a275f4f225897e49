//go:build unix

package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/resource"
)

// outbox takes what scripts send, and keeps their values.
type outbox struct {
	mu    sync.Mutex
	sent  []*event.Event
	state map[string]string
}

// Send implements scripts.Sender.
func (o *outbox) Send(_ context.Context, s *scripts.Sent) (event.ReplyRef, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, s.Event)
	return event.ReplyRef{Source: s.Event.Source, ID: s.Cause.ID + "-0", Type: s.Event.Type}, nil
}

// Get implements scripts.State.
func (o *outbox) Get(_ context.Context, _, key string) (*string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v, ok := o.state[key]; ok {
		return &v, nil
	}
	return nil, nil
}

// Set implements scripts.State.
func (o *outbox) Set(_ context.Context, _, key, value string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == nil {
		o.state = map[string]string{}
	}
	o.state[key] = value
	return nil
}

// Delete implements scripts.State.
func (o *outbox) Delete(_ context.Context, _, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.state, key)
	return nil
}

// last is the last event that was sent.
func (o *outbox) last(t *testing.T) *event.Event {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return o.sent[len(o.sent)-1]
}

// ask delivers an event, whatever runs the function, and again while it is not ready.
func ask(t *testing.T, r *functions.Registry, set resource.Set, name, data string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		url, err := r.URL(set.Function(name, ""))
		if err == nil {
			answer, body := postTo(t, url, data, headers)
			if answer.StatusCode != http.StatusServiceUnavailable {
				return answer, body
			}
			err = fmt.Errorf("%d: %s", answer.StatusCode, body)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func postTo(t *testing.T, url, data string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/test", "ce-type": "com.example.test", "Content-Type": "application/json", "Signalbox-Attempt": "1"}
	maps.Copy(all, headers)
	for name, value := range all {
		q.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(b)
}

// picture is a PNG whose lines are packed in every way there is.
func picture(t *testing.T, width, height int) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetNRGBA(x, y, color.NRGBA{uint8(x * y), uint8(x + y), uint8(x ^ y), uint8(255 - y%2)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestThumbnails(t *testing.T) {
	var out outbox
	r, set := startWith(t, "thumbnails", &out)
	original := picture(t, 200, 101)
	header := map[string]string{"Content-Type": "image/png", "ce-subject": "cat.png"}
	if answer, body := ask(t, r, set, "thumbnail", original, header); answer.StatusCode != 204 {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	e := out.last(t)
	small, err := png.Decode(bytes.NewReader(e.Data))
	if err != nil || e.Type != "com.example.thumbnail" || e.DataContentType != "image/png" {
		t.Fatalf("%+v: %v", e, err)
	}
	big, err := png.Decode(strings.NewReader(original))
	if err != nil {
		t.Fatal(err)
	}
	if size := small.Bounds().Size(); size != image.Pt(64, 32) {
		t.Errorf("it is %v", size)
	}
	for _, at := range []image.Point{{0, 0}, {63, 31}, {20, 9}} {
		if got, want := small.At(at.X, at.Y), big.At(at.X*200/64, at.Y*101/32); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
	header["ce-width"], header["ce-height"], header["ce-type"] = "64", "32", e.Type
	if answer, body := ask(t, r, set, "notify", string(e.Data), header); answer.Header.Get("ce-type") != "com.example.notified" || !strings.Contains(body, "cat.png has a thumbnail of 64 x 32, ") {
		t.Errorf("%d %v %s", answer.StatusCode, answer.Header, body)
	}
	for _, data := range []string{"", "no picture", original[:200], original[:20] + "\xff\xff\xff" + original[23:]} {
		if answer, body := ask(t, r, set, "thumbnail", data, header); answer.StatusCode != 422 || !strings.Contains(body, "no picture") {
			t.Errorf("%d %s", answer.StatusCode, body)
		}
	}
}

func TestDigest(t *testing.T) {
	var out outbox
	r, set := startWith(t, "digest", &out)
	for _, sale := range []struct{ id, data string }{{"1", `{"amount":20}`}, {"2", `{"amount":22}`}, {"2", `{"amount":22}`}} {
		if answer, body := ask(t, r, set, "digest", sale.data, map[string]string{"ce-type": "com.example.sale", "ce-id": sale.id}); answer.StatusCode != 204 {
			t.Fatalf("%d %s", answer.StatusCode, body)
		}
	}
	if answer, _ := ask(t, r, set, "digest", `{}`, map[string]string{"ce-type": "com.example.sale"}); answer.StatusCode != 422 {
		t.Errorf("a sale without an amount: %d", answer.StatusCode)
	}
	for _, want := range []string{`{"count":2,"total":42,"until":"2026-11-21T10:00:00Z"}`, `{"count":0,"total":0,"until":"2026-11-21T10:00:00Z"}`} {
		ask(t, r, set, "digest", `{}`, map[string]string{"ce-type": "signalbox.schedule", "ce-time": "2026-11-21T10:00:00Z"})
		if e := out.last(t); string(e.Data) != want || e.Type != "com.example.digest" {
			t.Errorf("%s %s, want %s", e.Type, e.Data, want)
		}
	}
}

func TestReport(t *testing.T) {
	var out outbox
	r, set := startWith(t, "report", &out)
	header := map[string]string{"ce-type": "com.example.order.placed", "ce-subject": "o-1"}
	if answer, body := ask(t, r, set, "report", `{"items":[{"price":2.5,"count":2}]}`, header); answer.StatusCode != 204 {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	e := out.last(t)
	if e.Type != "com.example.order.summary" || strings.ReplaceAll(string(e.Data), " ", "") != `{"total":"5.00CHF","orders":1}` {
		t.Errorf("%s %s", e.Type, e.Data)
	}
	if answer, body := ask(t, r, set, "notify", string(e.Data), map[string]string{"ce-type": e.Type}); answer.StatusCode != 204 {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer, _ := ask(t, r, set, "report", `{}`, header); answer.StatusCode != 422 {
		t.Errorf("an order without items: %d", answer.StatusCode)
	}
}

func TestDummyServiceDoesAsItIsTold(t *testing.T) {
	r, set := start(t, "dummy-service")
	for _, test := range []struct {
		name, data, attempt string
		status              int
		after               string
	}{
		{"is there", ``, "1", 200, ""},
		{"waits", `{"delay":"30ms","jitter":"5ms","cpu":"5ms"}`, "1", 200, ""},
		{"fails", `{"fail":"error"}`, "1", 500, ""},
		{"fails for good", `{"fail":"permanent"}`, "1", 422, ""},
		{"fails at first", `{"fail":"error","failAttempts":2}`, "2", 500, ""},
		{"and then does not", `{"fail":"error","failAttempts":2}`, "3", 200, ""},
		{"never by chance of next to nothing", `{"fail":"error","failRate":1e-12}`, "1", 200, ""},
		{"answers nothing", `{"quiet":true}`, "1", 204, ""},
		{"does not know the order", `{"delay":"soon"}`, "1", 422, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			answer, body := ask(t, r, set, "dummy-service", test.data, map[string]string{"Signalbox-Attempt": test.attempt})
			if answer.StatusCode != test.status {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if test.name == "waits" && time.Since(began) < 35*time.Millisecond {
				t.Errorf("it waited %s", time.Since(began))
			}
		})
	}
	url, err := r.URL(set.Function("dummy-service", ""))
	if err != nil {
		t.Fatal(err)
	}
	if answer, _ := postTo(t, url, `{"fail":"retry","retryAfter":"3s"}`, nil); answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "3" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	_, body := postTo(t, url, `{"fan":5,"bytes":100}`, nil)
	var batch []struct {
		Type string
		Data struct{ Padding string }
	}
	if err := json.Unmarshal([]byte(body), &batch); err != nil || len(batch) != 6 || batch[0].Type != "com.example.dummy.done" || len(batch[0].Data.Padding) != 100 || batch[5].Type != "com.example.dummy.load" {
		t.Errorf("%v %s", err, body)
	}
	hanging, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	q, err := http.NewRequestWithContext(hanging, http.MethodPost, url, strings.NewReader(`{"fail":"hang"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/test", "ce-type": "t", "Content-Type": "application/json"} {
		q.Header.Set(name, value)
	}
	if answer, err := http.DefaultClient.Do(q); err == nil {
		answer.Body.Close()
		t.Errorf("it answered %d", answer.StatusCode)
	}
}
