package event

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func headers(pairs ...string) []Header {
	var hs []Header
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

var kafkaRequired = headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t")

func TestMessage(t *testing.T) {
	e := full()
	e.Subject = "Zürich 5%"
	want := Message{
		Key: []byte("k"),
		Headers: headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t", "ce_subject", "Zürich 5%", "ce_time", e.Time,
			"ce_dataschema", e.DataSchema, "content-type", e.DataContentType, "ce_a", "x", "ce_partitionkey", "k"),
		Value: e.Data,
	}
	if got := e.Message(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if m := (&Event{ID: "1", Source: "/s", Type: "t"}).Message(); m.Value != nil || m.Key != nil {
		t.Errorf("an event without data, subject and partition key: %v", m)
	}
}

func TestAnEventThatHoldsAnEventIsNotTakenForIt(t *testing.T) {
	for _, contentType := range []string{ContentTypeJSON, "Application/CloudEvents-batch+json", "application/cloudevents+avro"} {
		e := full()
		e.DataContentType, e.Data = contentType, []byte(`{"specversion":"1.0","id":"inner","source":"/x","type":"x"}`)
		if e.FitsBinary() {
			t.Errorf("%s: fits binary mode", contentType)
		}
		if got, err := FromMessage(e.Message()); err != nil || !reflect.DeepEqual(got, e) || string(e.Message().Key) != "k" {
			t.Errorf("%s: got %+v, %v, want %+v", contentType, got, err, e)
		}
		d := letter()
		d.Event = e
		if got, err := ParseDeadLetter(d.Message()); err != nil || !reflect.DeepEqual(&got, d) {
			t.Errorf("%s: dead letter: got %+v, %v", contentType, got, err)
		}
	}
	if !full().FitsBinary() || !(&Event{}).FitsBinary() {
		t.Error("usual events do not fit binary mode")
	}
}

func TestKeyIsPartitionKeyElseSubject(t *testing.T) {
	e := full()
	if got := string(e.Key()); got != "k" {
		t.Errorf("with a partition key: %q", got)
	}
	e.SetExtension("partitionkey", "")
	if got := string(e.Key()); got != "sub" {
		t.Errorf("without: %q", got)
	}
}

func TestFromMessage(t *testing.T) {
	least := &Event{ID: "1", Source: "/s", Type: "t"}
	tests := []struct {
		name string
		m    Message
		want *Event
	}{
		{"a null value is no data", Message{Headers: kafkaRequired}, least},
		{"an empty value is empty data", Message{Headers: kafkaRequired, Value: []byte{}}, &Event{ID: "1", Source: "/s", Type: "t", Data: []byte{}}},
		{"values are taken as they are", Message{Headers: append(slices.Clone(kafkaRequired), headers("ce_x", `"%41`)...)}, &Event{
			ID: "1", Source: "/s", Type: "t", Extensions: []Attribute{{"x", `"%41`}}}},
		{"other headers are ignored", Message{Headers: append(slices.Clone(kafkaRequired), headers("traceparent", "00-x", "CE_ID", "2", "ce-id", "3", "Content-Type", "a/b")...)}, least},
		{"ce_traceparent is an attribute", Message{Headers: append(slices.Clone(kafkaRequired), headers("ce_traceparent", "00-x", "traceparent", "00-y")...)}, &Event{
			ID: "1", Source: "/s", Type: "t", Extensions: []Attribute{{"traceparent", "00-x"}}}},
		{"structured mode by the content type", Message{Headers: headers("content-type", "Application/CloudEvents+json; charset=utf-8"), Value: []byte(`{` + members4 + `}`)}, least},
		{"in structured mode the payload counts", Message{Headers: headers("ce_id", "2", "content-type", ContentTypeJSON), Value: []byte(`{` + members4 + `}`)}, least},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := FromMessage(tt.m); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFromMessageRefuses(t *testing.T) {
	more := func(pairs ...string) Message {
		return Message{Headers: append(slices.Clone(kafkaRequired), headers(pairs...)...)}
	}
	tests := []struct {
		name      string
		m         Message
		attribute string
	}{
		{"no specversion", Message{Headers: kafkaRequired[1:]}, "specversion"},
		{"no id", Message{Headers: append(headers("ce_specversion", "1.0"), kafkaRequired[2:]...)}, "id"},
		{"a header twice", more("ce_id", "1"), "id"},
		{"an extension twice", more("ce_x", "1", "ce_x", "2"), "x"},
		{"the content type twice", more("content-type", "a/b", "content-type", "a/b"), "datacontenttype"},
		{"ce_datacontenttype", more("ce_datacontenttype", "a/b"), "datacontenttype"},
		{"an upper-case name", more("ce_X", "1"), "X"},
		{"bytes that are not UTF-8", more("ce_subject", "\xff"), "subject"},
		{"another format", Message{Headers: headers("content-type", "application/cloudevents+avro")}, "datacontenttype"},
		{"a batch", Message{Headers: headers("content-type", ContentTypeBatch), Value: []byte("[]")}, "datacontenttype"},
		{"structured mode without a value", Message{Headers: headers("content-type", ContentTypeJSON)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := FromMessage(tt.m)
			var inv *InvalidError
			if e != nil || !errors.As(err, &inv) || inv.Attribute != tt.attribute {
				t.Fatalf("got %+v, %v, want an InvalidError of %q", e, err, tt.attribute)
			}
		})
	}
	for _, m := range []Message{{}, {Value: []byte("x")}, {Headers: headers("content-type", "application/json", "id", "1"), Value: []byte("{}")}} {
		if _, err := FromMessage(m); !errors.Is(err, ErrNotEvent) {
			t.Errorf("%q: %v, want ErrNotEvent", m, err)
		}
	}
}

func TestRecordFrom(t *testing.T) {
	at, pos := time.Unix(1, 2), Position{3, 4}
	m := Message{Headers: append(slices.Clone(kafkaRequired), headers("traceparent", "00-a", "tracestate", "b=c", "tracestate", "d=e")...)}
	r := RecordFrom(pos, at, m)
	if r.Fault != nil || r.Event.ID != "1" || r.Position != pos || !r.Timestamp.Equal(at) || r.TraceParent != "00-a" || r.TraceState != "b=c,d=e" || len(r.Message.Headers) != 7 {
		t.Errorf("got %+v", r)
	}
	r = RecordFrom(pos, at, Message{Headers: headers("traceparent", "a", "tracestate", "b", "traceparent", "c")})
	if r.Event != nil || !errors.Is(r.Fault, ErrNotEvent) || r.TraceParent != "" || r.TraceState != "" {
		t.Errorf("no event, two traceparents: %+v", r)
	}
	r = RecordFrom(pos, at, Message{Headers: headers("tracestate", "b=c")})
	if r.TraceState != "" {
		t.Errorf("a tracestate without traceparent is kept: %+v", r)
	}
}

func FuzzFromMessage(f *testing.F) {
	f.Add("ce_specversion=1.0\nce_id=1\nce_source=/s\nce_type=t\ncontent-type=text/plain\nce_x=€", []byte("hi"))
	f.Add("content-type=application/cloudevents+json", []byte(`{`+members4+`,"data":{"a":1}}`))
	f.Add("content-type=application/cloudevents+avro", []byte{0})
	f.Add("ce_id", []byte(nil))
	f.Fuzz(func(t *testing.T, lines string, value []byte) {
		m := Message{Value: value}
		for line := range strings.Lines(lines) {
			name, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			m.Headers = append(m.Headers, Header{name, []byte(v)})
		}
		e, err := FromMessage(m)
		checkParsed(t, e, err)
		if err != nil {
			return
		}
		again, err := FromMessage(e.Message())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("back: %+v, %v, want %+v", again, err, e)
		}
	})
}
