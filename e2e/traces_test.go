//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// jaegerSpan is a span in the answer of Jaeger's query API.
type jaegerSpan struct {
	SpanID, OperationName string
	StartTime             int64
	References            []struct{ RefType, TraceID, SpanID string }
	Tags                  []struct {
		Key   string
		Value any
	}
}

func (s jaegerSpan) tag(key string) string {
	for _, t := range s.Tags {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

// references are the trace and span ids it refers to in a way: CHILD_OF or FOLLOWS_FROM.
func (s jaegerSpan) references(way string) (ids []string) {
	for _, r := range s.References {
		if r.RefType == way {
			ids = append(ids, r.TraceID+"-"+r.SpanID)
		}
	}
	return ids
}

// jaegerTrace reads a trace of n spans from Jaeger, in the order they began.
func jaegerTrace(t *testing.T, env parts.Env, id string, n int) []jaegerSpan {
	t.Helper()
	var spans []jaegerSpan
	await(t, fmt.Sprintf("a trace of %d spans", n), func() error {
		resp, err := http.Get(env.JaegerQuery() + "/api/traces/" + id)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var answer struct {
			Data []struct{ Spans []jaegerSpan }
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return err
		}
		if len(answer.Data) != 1 || len(answer.Data[0].Spans) < n {
			return fmt.Errorf("%d: %+v", resp.StatusCode, answer)
		}
		spans = answer.Data[0].Spans
		return nil
	})
	slices.SortStableFunc(spans, func(a, b jaegerSpan) int { return int(a.StartTime - b.StartTime) })
	return spans
}

// spanTree draws the spans below a parent ("trace-span" ids), each with its kind and the
// tags that matter; what is new in every run is replaced.
func spanTree(spans []jaegerSpan, traceID, parent string, replace *strings.Replacer) string {
	var b strings.Builder
	var draw func(parent string, depth int)
	draw = func(parent string, depth int) {
		for _, s := range spans {
			if up := s.references("CHILD_OF"); strings.Join(up, " ") != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s [%s]", strings.Repeat("  ", depth), s.OperationName, s.tag("span.kind"))
			for _, key := range []string{
				"cloudevents.event_id", "cloudevents.event_source", "cloudevents.event_type", "error.type", "faas.invoked_name",
				"http.request.method", "http.request.resend_count", "http.response.status_code", "http.route",
				"messaging.destination.name", "messaging.operation.name", "messaging.system", "signalbox.attempts", "signalbox.link", "signalbox.outcome", "url.full",
			} {
				if v := s.tag(key); v != "" {
					fmt.Fprintf(&b, " %s=%s", key, v)
				}
			}
			b.WriteByte('\n')
			draw(traceID+"-"+s.SpanID, depth+1)
		}
	}
	draw(parent, 0)
	return replace.Replace(b.String())
}

// traceIDs splits a traceparent into the trace's and the span's id.
func traceIDs(traceparent string) (trace, span string) {
	fields := strings.Split(traceparent, "-")
	if len(fields) != 4 {
		return "", ""
	}
	return fields[1], fields[2]
}

// startTraced runs a server that sends every trace to Jaeger.
func startTraced(t *testing.T) (*server, parts.Env) {
	env := parts.Up(t, "jaeger")
	return start(t, append(realArgs(t), "--otlp", env.JaegerOTLP(), "--trace-sample", "1")...), env
}

func TestOneChainWithARetryIsOneTraceInJaeger(t *testing.T) {
	s, env := startTraced(t)
	first := newRecorder(t, func(w http.ResponseWriter, c call) {
		if c.header.Get("Signalbox-Attempt") == "1" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/first", "Ce-Type": "com.example.two"} {
			w.Header().Set(name, value)
		}
	})
	second := newRecorder(t, nil)
	s.apply(functionManifest("second", second.URL, "com.example.two") + functionManifest("first", first.URL) + `---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-first}
spec: {function: first, types: [com.example.one], delivery: {backoff: {initial: 1ms}}}
`)
	s.emitID("traced", "com.example.one", "{}")
	second.awaitCalls(t, 1)
	s.stop() // exports what is left

	attempts, end := first.all(), second.all()[0]
	traceID, _ := traceIDs(attempts[0].header.Get("Traceparent"))
	spans := jaegerTrace(t, env, traceID, 8)
	got := spanTree(spans, traceID, "", strings.NewReplacer(flagValue(s.args, "--topic-prefix"), "", end.id(), "REPLY", first.URL, "http://first", second.URL, "http://second"))
	const want = `POST /events [server] http.request.method=POST http.response.status_code=202 http.route=/events
  send events [producer] cloudevents.event_id=traced cloudevents.event_source=/e2e cloudevents.event_type=com.example.one messaging.destination.name=events messaging.operation.name=send messaging.system=kafka
    process to-first [consumer] cloudevents.event_id=traced cloudevents.event_source=/e2e cloudevents.event_type=com.example.one faas.invoked_name=first messaging.destination.name=events messaging.operation.name=process messaging.system=kafka signalbox.attempts=2 signalbox.link=to-first signalbox.outcome=delivered
      POST [client] error.type=503 http.request.method=POST http.response.status_code=503 url.full=http://first
      POST [client] http.request.method=POST http.request.resend_count=1 http.response.status_code=200 url.full=http://first
        send events [producer] cloudevents.event_id=REPLY cloudevents.event_source=/first cloudevents.event_type=com.example.two messaging.destination.name=events messaging.operation.name=send messaging.system=kafka
          process second [consumer] cloudevents.event_id=REPLY cloudevents.event_source=/first cloudevents.event_type=com.example.two faas.invoked_name=second messaging.destination.name=events messaging.operation.name=process messaging.system=kafka signalbox.attempts=1 signalbox.link=second signalbox.outcome=delivered
            POST [client] http.request.method=POST http.response.status_code=200 url.full=http://second
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What each function was given is the span of just that attempt.
	var calls []string
	for _, span := range spans {
		if span.tag("span.kind") == "client" {
			calls = append(calls, span.SpanID)
		}
	}
	for i, c := range append(attempts, end) {
		if trace, span := traceIDs(c.header.Get("Traceparent")); trace != traceID || i >= len(calls) || span != calls[i] {
			t.Errorf("call %d has traceparent %s, want trace %s and a span of %v", i, c.header.Get("Traceparent"), traceID, calls)
		}
	}
	if trace, _ := traceIDs(attempts[0].header.Get("Ce-Traceparent")); trace != traceID {
		t.Errorf("the event's own traceparent is %q, want one of trace %s", attempts[0].header.Get("Ce-Traceparent"), traceID)
	}
}

func TestTheTraceOfTheSourceIsKeptAndTheCallersIsContinued(t *testing.T) {
	s, env := startTraced(t)
	fn := newRecorder(t, nil)
	s.apply(functionManifest("sink", fn.URL, "com.example.one"))
	caller, source := newTraceParent(), newTraceParent()
	header := binaryHeader("1", "com.example.one")
	header["Traceparent"], header["Tracestate"] = caller, "vendor=1"
	header["Ce-Traceparent"], header["Ce-Tracestate"] = source, "other=2"
	if status, body := s.post("/events", header, "{}"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	c := fn.awaitCalls(t, 1)[0]
	s.stop()

	if c.header.Get("Ce-Traceparent") != source || c.header.Get("Ce-Tracestate") != "other=2" {
		t.Errorf("the source's context became %q %q, sent was %q", c.header.Get("Ce-Traceparent"), c.header.Get("Ce-Tracestate"), source)
	}
	traceID, callerSpan := traceIDs(caller)
	if trace, _ := traceIDs(c.header.Get("Traceparent")); trace != traceID || c.header.Get("Tracestate") != "vendor=1" {
		t.Errorf("the call has traceparent %q and tracestate %q, want the caller's trace %s", c.header.Get("Traceparent"), c.header.Get("Tracestate"), traceID)
	}
	spans := jaegerTrace(t, env, traceID, 4)
	sourceTrace, sourceSpan := traceIDs(source)
	for _, span := range spans {
		links := strings.Join(span.references("FOLLOWS_FROM"), " ")
		want := ""
		if strings.HasPrefix(span.OperationName, "send ") || strings.HasPrefix(span.OperationName, "process ") {
			want = sourceTrace + "-" + sourceSpan
		}
		if links != want {
			t.Errorf("%s links to %q, want %q", span.OperationName, links, want)
		}
		if parents := strings.Join(span.references("CHILD_OF"), " "); span.OperationName == "POST /events" && parents != traceID+"-"+callerSpan {
			t.Errorf("the server span is below %s, want the caller's %s", parents, callerSpan)
		}
	}
}

// newTraceParent is a sampled context of a trace of its own.
func newTraceParent() string {
	return fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64()|1)
}
