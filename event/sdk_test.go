package event

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	sdk "github.com/cloudevents/sdk-go/v2/event"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// generated makes a random valid event. Its time is in UTC, since the SDK turns
// every time into that. Content types such as application/vnd.x+json are left
// out: SDK v2.16.2 does not read objects under them, though they are JSON.
func generated(r *rand.Rand) *Event {
	e := &Event{
		ID: randomText(r), Source: randomURI(r), Type: randomText(r),
		DataContentType: pick(r, "", "application/json", "text/json; charset=utf-8", "text/plain", "text/xml", "application/octet-stream", "image/png"),
	}
	if r.IntN(2) == 0 {
		e.Subject = randomText(r)
	}
	if r.IntN(2) == 0 {
		e.Time = time.Unix(r.Int64N(4e9), r.Int64N(2)*r.Int64N(1e9)).UTC().Format(time.RFC3339Nano)
	}
	if r.IntN(3) == 0 {
		e.DataSchema = "https://example.com" + randomURI(r)
	}
	for range r.IntN(8) {
		e.SetExtension(pick(r, "a", "b1", "partitionkey", ExtTraceParent, "sequence", "zzzzzzzzzzzzzzzzzzzz"), randomText(r))
	}
	if r.IntN(4) > 0 {
		e.Data = randomData(r, e.DataContentType)
	}
	return e
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		b.WriteRune(pick(r, 'a', 'Z', '0', '-', '/', ' ', '%', '"', '\\', '+', ',', ';', '<', 'é', '€', '😀', '\u2028', '\ufffd', '2', 'B'))
	}
	// The SDK's setters cut blanks at both ends.
	return "x" + b.String() + "x"
}

func randomURI(r *rand.Rand) string {
	return pick(r, "/", "/a/b", "/a?b=c&d", "/x#y", "/%20/%C3%A9", "/~user;v=1", "/a+b@c:d")
}

func randomData(r *rand.Rand, contentType string) []byte {
	switch {
	case isJSONType(contentType):
		return []byte(pick(r, `{"a": [1, 2.50, null]}`, `"text"`, `null`, `12345678901234567890`, `[]`, `"\ud83d\ude00 \u00e9 <&>"`))
	case isTextType(contentType):
		return []byte(randomText(r) + "\n\t\x01")
	}
	b := make([]byte, 1+r.IntN(20))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// toSDK is the event as the SDK holds it.
func toSDK(t *testing.T, e *Event) *sdk.Event {
	t.Helper()
	s := sdk.New()
	s.SetID(e.ID)
	s.SetSource(e.Source)
	s.SetType(e.Type)
	s.SetSubject(e.Subject)
	if e.Time != "" {
		s.SetTime(e.Timestamp())
	}
	s.SetDataSchema(e.DataSchema)
	for _, x := range e.Extensions {
		s.SetExtension(x.Name, x.Value)
	}
	if e.DataContentType != "" {
		s.SetDataContentType(e.DataContentType)
	}
	s.DataEncoded = e.Data
	s.DataBase64 = !isJSONType(e.DataContentType) && !isTextType(e.DataContentType)
	if err := s.Validate(); err != nil {
		t.Fatalf("the SDK finds %+v invalid: %v", e, err)
	}
	return &s
}

// fromSDK reads the SDK's event; decode undoes what the SDK leaves encoded.
func fromSDK(t *testing.T, s *sdk.Event, decode func(string) string) *Event {
	t.Helper()
	e := &Event{
		ID: decode(s.ID()), Source: decode(s.Source()), Type: decode(s.Type()), Subject: decode(s.Subject()),
		DataContentType: s.DataContentType(), DataSchema: decode(s.DataSchema()), Data: s.Data(),
	}
	if !s.Time().IsZero() {
		e.Time = s.Time().Format(time.RFC3339Nano)
	}
	for name, value := range s.Extensions() {
		e.SetExtension(name, decode(fmt.Sprint(value)))
	}
	return e
}

// sdkJSON is what the SDK writes. (json.Marshal of its event would compact the
// data and escape <, > and & in them.)
func sdkJSON(t *testing.T, s *sdk.Event) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sdk.WriteJson(s, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asIs(s string) string { return s }

// eachGenerated runs check on many events, and logs the seed that repeats the run.
func eachGenerated(t *testing.T, check func(t *testing.T, e *Event)) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		e := generated(r)
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		check(t, e)
		if t.Failed() {
			return
		}
	}
}

func same(t *testing.T, what string, got, want *Event, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, %v, want %+v", what, got, err, want)
	}
}

func TestSDKReadsOurBinaryMode(t *testing.T) {
	eachGenerated(t, func(t *testing.T, e *Event) {
		header := http.Header{}
		e.VisitHTTPHeaders(header.Set)
		s, err := binding.ToEvent(context.Background(), sdkhttp.NewMessage(header, io.NopCloser(bytes.NewReader(e.Data))))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		// The SDK does not percent-decode header values: done here.
		got := fromSDK(t, s, func(v string) string { d, _ := DecodePercent([]byte(v)); return d })
		same(t, "SDK", got, e, nil)
	})
}

func TestWeReadTheSDKsBinaryMode(t *testing.T) {
	eachGenerated(t, func(t *testing.T, e *Event) {
		req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
		if err := sdkhttp.WriteRequest(context.Background(), binding.ToMessage(toSDK(t, e)), req); err != nil {
			t.Fatal(err)
		}
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		got, err := ParseHTTP(req.Header.Get("Content-Type"), func(yield func(name, value []byte)) {
			for name, values := range req.Header {
				// The SDK does not percent-encode header values: done here.
				yield([]byte(name), AppendPercent(nil, values[0]))
			}
		}, body)
		same(t, "ours", got, e, err)
	})
}

func TestSDKReadsOurStructuredMode(t *testing.T) {
	eachGenerated(t, func(t *testing.T, e *Event) {
		var s sdk.Event
		if err := json.Unmarshal(e.AppendJSON(nil), &s); err != nil {
			t.Fatalf("%s: %v", e.AppendJSON(nil), err)
		}
		same(t, "SDK", fromSDK(t, &s, asIs), e, nil)
	})
}

func TestWeReadTheSDKsStructuredMode(t *testing.T) {
	eachGenerated(t, func(t *testing.T, e *Event) {
		b := sdkJSON(t, toSDK(t, e))
		got, err := ParseJSON(b)
		same(t, string(b), got, e, err)
	})
}

func TestSDKReadsOurBatch(t *testing.T) {
	var events []*Event
	eachGenerated(t, func(_ *testing.T, e *Event) { events = append(events, e) })
	for batch := range slices.Chunk(events, 50) {
		header := http.Header{"Content-Type": {ContentTypeBatch}}
		got, err := binding.ToEvents(context.Background(), sdkhttp.NewMessage(header, nil), bytes.NewReader(AppendJSONBatch(nil, batch)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			same(t, "SDK", fromSDK(t, &got[i], asIs), batch[i], nil)
		}
		var theirs [][]byte
		for i := range got {
			theirs = append(theirs, sdkJSON(t, &got[i]))
		}
		back, err := ParseJSONBatch(slices.Concat([]byte("["), bytes.Join(theirs, []byte(",")), []byte("]")), len(batch))
		if err != nil || !reflect.DeepEqual(back, batch) {
			t.Fatalf("ours: %v, want what the SDK wrote", err)
		}
	}
}

func TestEveryEncodingGivesTheEventBack(t *testing.T) {
	eachGenerated(t, func(t *testing.T, e *Event) {
		contentType, pairs := httpPairs(e)
		got, err := parsePairs(contentType, pairs, string(e.Data))
		same(t, "HTTP binary", got, e, err)
		got, err = ParseJSON(e.AppendJSON(nil))
		same(t, "structured", got, e, err)
		got, err = FromMessage(e.Message())
		same(t, "Kafka binary", got, e, err)
		got, err = FromMessage(Message{Headers: []Header{{"content-type", []byte(ContentTypeJSON)}}, Value: e.AppendJSON(nil)})
		same(t, "Kafka structured", got, e, err)
	})
}
