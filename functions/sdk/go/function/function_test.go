package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// asked is what the function of these tests is asked for.
type asked struct {
	How string `json:"how"`
}

func work(ctx context.Context, e Event) ([]Event, error) {
	var a asked
	if err := e.DataAs(&a); err != nil {
		return nil, Permanent(err)
	}
	Log(ctx).Info("working", "how", a.How, "attempt", RunOf(ctx).Attempt)
	var config struct{ Width int }
	if err := Config(&config); err != nil {
		return nil, err
	}
	switch a.How {
	case "none":
		return nil, nil
	case "permanent":
		return nil, Permanent(errors.New("never"))
	case "later":
		return nil, Retry(errors.New("soon"), 1200*time.Millisecond)
	case "again":
		return nil, Retry(errors.New("soon"), 0)
	case "wrong":
		return nil, errors.New("x")
	case "panic":
		panic("boom")
	case "two":
		one, err := Reply("com.example.one", []byte{0, 255})
		two, err2 := Reply("com.example.two", map[string]int{"a": 1})
		return append(one, two...), errors.Join(err, err2)
	}
	replies, err := Reply("com.example.done", map[string]any{"of": e.Subject(), "width": config.Width})
	if err != nil {
		return nil, err
	}
	replies[0].SetSubject("Euro €")
	return replies, nil
}

func serve(t *testing.T, f HandlerFunc) *httptest.Server {
	t.Helper()
	t.Setenv("SIGNALBOX_FUNCTION", "f")
	t.Setenv("SIGNALBOX_CONFIG", `{"width": 200}`)
	s := httptest.NewServer(Handler(f))
	t.Cleanup(s.Close)
	return s
}

func post(t *testing.T, s *httptest.Server, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "com.example.asked", "Content-Type": "application/json"} {
		r.Header.Set(k, v)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.Client().Do(r)
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

func TestAReplyIsABinaryEventWithEncodedHeaders(t *testing.T) {
	s := serve(t, work)
	answer, body := post(t, s, `{}`, "ce-subject", "a%20b")
	if answer.StatusCode != 200 || body != `{"of":"a b","width":200}` {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	for name, want := range map[string]string{"Ce-Type": "com.example.done", "Ce-Id": "1-0", "Ce-Source": "/functions/f", "Ce-Subject": "Euro%20%E2%82%AC"} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestSeveralRepliesAreABatch(t *testing.T) {
	answer, body := post(t, serve(t, work), `{"how":"two"}`)
	var batch []Event
	if err := json.Unmarshal([]byte(body), &batch); err != nil || answer.Header.Get("Content-Type") != batchType {
		t.Fatalf("%v %s", err, body)
	}
	if len(batch) != 2 || batch[0].ID() != "1-0" || batch[1].ID() != "1-1" || !bytes.Equal(batch[0].Data(), []byte{0, 255}) {
		t.Errorf("%v", batch)
	}
}

func TestOutcomes(t *testing.T) {
	s := serve(t, work)
	for _, test := range []struct {
		body   string
		status int
		after  string
	}{
		{`{"how":"none"}`, 204, ""}, {`{"how":"permanent"}`, 422, ""}, {`{"how":"later"}`, 503, "2"}, {`{"how":"again"}`, 503, ""},
		{`{"how":"wrong"}`, 500, ""}, {`{"how":"panic"}`, 500, ""}, {`[`, 422, ""},
	} {
		answer, body := post(t, s, test.body)
		if answer.StatusCode != test.status || answer.Header.Get("Retry-After") != test.after || strings.Contains(body, "goroutine") {
			t.Errorf("%s: %d %v %s", test.body, answer.StatusCode, answer.Header, body)
		}
	}
}

func TestAStructuredEventAndABatchOfOne(t *testing.T) {
	s := serve(t, work)
	event := `{"specversion":"1.0","id":"7","source":"/t","type":"t","subject":"s","datacontenttype":"application/json","data":{}}`
	for media, body := range map[string]string{"application/cloudevents+json": event, "application/cloudevents-batch+json; charset=utf-8": "[" + event + "]"} {
		answer, got := post(t, s, body, "Content-Type", media)
		if answer.StatusCode != 200 || answer.Header.Get("Ce-Id") != "7-0" || !strings.Contains(got, `"of":"s"`) {
			t.Errorf("%s: %d %v %s", media, answer.StatusCode, answer.Header, got)
		}
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	s := serve(t, work)
	for _, headers := range [][]string{
		{"ce-type", ""}, {"ce-specversion", "0.1"}, {"Content-Type", "application/cloudevents+json"}, {"Content-Type", batchType},
	} {
		if answer, body := post(t, s, "{", headers...); answer.StatusCode != 400 {
			t.Errorf("%v: %d %s", headers, answer.StatusCode, body)
		}
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	s := serve(t, work)
	for target, want := range map[string]int{"GET /healthz": 200, "GET /x": 404, "PUT /": 405} {
		method, path, _ := strings.Cut(target, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d", target, answer.StatusCode)
		}
	}
}

func TestLinesSayWhichRunTheyAreOf(t *testing.T) {
	t.Setenv("SIGNALBOX_FUNCTION", "f")
	var out bytes.Buffer
	s := httptest.NewServer(&handler{f: work, log: slog.New(slog.NewJSONHandler(&out, nil))})
	defer s.Close()
	post(t, s, `{"how":"none"}`, "Signalbox-Run", "r-1", "Signalbox-Attempt", "3", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", out.String(), err)
	}
	for name, want := range map[string]any{"run": "r-1", "msg": "working", "event": "1", "attempt": 3.0, "trace_id": "0af7651916cd43dd8448eb211c80319c"} {
		if line[name] != want {
			t.Errorf("%s is %v in %v", name, line[name], line)
		}
	}
}

func TestACallUnderWayIsAnsweredBeforeTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	called, ended := make(chan struct{}), make(chan error, 1)
	goOn := make(chan struct{})
	go func() {
		ended <- ServeListener(ctx, l, func(context.Context, Event) ([]Event, error) {
			close(called)
			<-goOn
			return Reply("com.example.slow", nil)
		})
	}()
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget("http://" + l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan *Event, 1)
	go func() {
		e := cloudevents.NewEvent()
		e.SetType("t")
		e.SetSource("/t")
		e.SetID("1")
		reply, _ := client.Request(context.Background(), e) // the CloudEvents SDK takes what we answer
		answered <- reply
	}()
	<-called
	stop()
	for { // the port is closed before the call is answered
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(goOn)
	if reply := <-answered; reply == nil || reply.Type() != "com.example.slow" {
		t.Errorf("answered %v", reply)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHeadersSurviveEncoding(t *testing.T) {
	for _, v := range []string{"plain", "a b", `q"uo%te`, "Euro € 😀", "ü"} {
		h := http.Header{"Ce-Subject": {v}}
		encode(h)
		if strings.ContainsAny(h.Get("ce-subject"), ` "`) {
			t.Errorf("%q is not encoded: %q", v, h.Get("ce-subject"))
		}
		if got := decoded(h).Get("ce-subject"); got != v {
			t.Errorf("%q became %q", v, got)
		}
	}
	if got := decoded(http.Header{"Ce-A": {`"a\"b"`}}).Get("ce-a"); got != `a"b` {
		t.Errorf("quoted: %q", got)
	}
}

func TestAMountLiesBelowItsRoot(t *testing.T) {
	if got := Mount("/etc/token"); got != "/etc/token" {
		t.Error(got)
	}
	t.Setenv("SIGNALBOX_MOUNTS", "/private")
	if got := Mount("/etc/token"); got != "/private/etc/token" {
		t.Error(got)
	}
}

func TestErrorsOfNilAreNil(t *testing.T) {
	if Permanent(nil) != nil || Retry(nil, 0) != nil {
		t.Error("an error of no error")
	}
	cause := errors.New("x")
	if !errors.Is(Permanent(cause), cause) || !errors.Is(Retry(cause, 0), cause) {
		t.Error("the cause is lost")
	}
}
