package event

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type pair struct{ name, value string }

// parsePairs parses as a server does whose memory is reused after the call.
func parsePairs(contentType string, pairs []pair, body string) (*Event, error) {
	scratch := [2][]byte{}
	b := []byte(body)
	e, err := ParseHTTP(contentType, func(yield func(name, value []byte)) {
		for _, p := range pairs {
			scratch[0] = append(scratch[0][:0], p.name...)
			scratch[1] = append(scratch[1][:0], p.value...)
			yield(scratch[0], scratch[1])
		}
	}, b)
	for _, s := range [][]byte{scratch[0], scratch[1], b} {
		for i := range s {
			s[i] = 0xff
		}
	}
	return e, err
}

func httpPairs(e *Event) (contentType string, pairs []pair) {
	e.VisitHTTPHeaders(func(name, value string) {
		if name == "Content-Type" {
			contentType = value
			return
		}
		pairs = append(pairs, pair{name, value})
	})
	return contentType, pairs
}

var required = []pair{{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}}

func TestParseHTTP(t *testing.T) {
	least := Event{ID: "1", Source: "/s", Type: "t"}
	with := func(change func(*Event)) *Event { e := least; change(&e); return &e }
	tests := []struct {
		name        string
		contentType string
		more        []pair
		body        string
		want        *Event
	}{
		{"the required headers are an event without data", "", nil, "", &least},
		{"body and content type are the data", " text/plain ", nil, "hi", with(func(e *Event) { e.DataContentType, e.Data = "text/plain", []byte("hi") })},
		{"other headers are ignored", "", []pair{{"X-A", "b"}, {"ce", "x"}, {"cea-x", "y"}, {"c", ""}}, "", &least},
		{"header names have no case", "", []pair{{"CE-Subject", "s"}, {"Ce-MyExt", "v"}}, "", with(func(e *Event) {
			e.Subject, e.Extensions = "s", []Attribute{{"myext", "v"}}
		})},
		{"values are decoded", "", []pair{{"ce-subject", "Euro%20%e2%82%ac"}, {"ce-x", `"a b"`}}, "", with(func(e *Event) {
			e.Subject, e.Extensions = "Euro €", []Attribute{{"x", "a b"}}
		})},
		{"extensions are sorted", "", []pair{{"ce-z", "1"}, {"ce-a", "2"}, {"ce-m", "3"}, {"ce-b", "4"}, {"ce-c", "5"}, {"ce-d", "6"}}, "", with(func(e *Event) {
			e.Extensions = []Attribute{{"a", "2"}, {"b", "4"}, {"c", "5"}, {"d", "6"}, {"m", "3"}, {"z", "1"}}
		})},
		{"an extension may be empty", "", []pair{{"ce-x", ""}}, "", with(func(e *Event) { e.Extensions = []Attribute{{"x", ""}} })},
		{"every optional attribute", "", []pair{{"ce-time", "2026-01-31T12:00:00Z"}, {"ce-dataschema", "http://x/y"}}, "", with(func(e *Event) {
			e.Time, e.DataSchema = "2026-01-31T12:00:00Z", "http://x/y"
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parsePairs(tt.contentType, append(slices.Clone(required), tt.more...), tt.body)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseHTTPRefuses(t *testing.T) {
	tests := []struct {
		name        string
		contentType string
		pairs       []pair
		attribute   string
	}{
		{"no specversion", "", required[1:], "specversion"},
		{"another specversion", "", append([]pair{{"ce-specversion", "0.3"}}, required[1:]...), "specversion"},
		{"no id", "", []pair{required[0], required[2], required[3]}, "id"},
		{"an empty id", "", []pair{required[0], {"ce-id", ""}, required[2], required[3]}, "id"},
		{"only one ce- header", "", []pair{{"ce-foo", "x"}}, "specversion"},
		{"a core header twice", "", append(slices.Clone(required), pair{"CE-ID", "1"}), "id"},
		{"specversion twice", "", append(slices.Clone(required), pair{"ce-specversion", "1.0"}), "specversion"},
		{"an extension twice", "", append(slices.Clone(required), pair{"ce-x", "1"}, pair{"Ce-X", "2"}), "x"},
		{"ce-datacontenttype", "", append(slices.Clone(required), pair{"ce-datacontenttype", "text/plain"}), "datacontenttype"},
		{"ce-data", "", append(slices.Clone(required), pair{"ce-data", "x"}), "data"},
		{"a bad name", "", append(slices.Clone(required), pair{"ce-a_b", "x"}), "a_b"},
		{"a name of nothing", "", append(slices.Clone(required), pair{"ce-", "x"}), ""},
		{"an empty subject", "", append(slices.Clone(required), pair{"ce-subject", ""}), "subject"},
		{"an overlong escape", "", append(slices.Clone(required), pair{"ce-subject", "%C0%A0"}), "subject"},
		{"an escaped control character", "", append(slices.Clone(required), pair{"ce-subject", "a%0Ab"}), "subject"},
		{"a bad time", "", append(slices.Clone(required), pair{"ce-time", "now"}), "time"},
		{"a bad content type", "text", required, "datacontenttype"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := parsePairs(tt.contentType, tt.pairs, "")
			var inv *InvalidError
			if e != nil || !errors.As(err, &inv) || inv.Attribute != tt.attribute {
				t.Fatalf("got %+v, %v, want an InvalidError of %q", e, err, tt.attribute)
			}
		})
	}
	if _, err := parsePairs("application/json", []pair{{"X-Y", "z"}}, "{}"); !errors.Is(err, ErrNotEvent) {
		t.Errorf("a request without ce- headers: %v, want ErrNotEvent", err)
	}
}

func TestParseHTTPStartsAfreshAfterAnError(t *testing.T) {
	for range 100 {
		if _, err := parsePairs("", append(slices.Clone(required), pair{"ce-x", "%ff"}), ""); err == nil {
			t.Fatal("want an error")
		}
		if _, err := parsePairs("", required, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestModeOf(t *testing.T) {
	tests := []struct {
		contentType string
		mode        Mode
		err         error
	}{
		{"", Binary, nil},
		{"application/json", Binary, nil},
		{"application/cloudevents+json", Structured, nil},
		{"Application/CloudEvents+JSON; charset=UTF-8", Structured, nil},
		{" application/cloudevents+json ;charset=utf-8", Structured, nil},
		{"application/cloudevents-batch+json", Batched, nil},
		{"APPLICATION/CLOUDEVENTS-BATCH+JSON;a=b", Batched, nil},
		{"application/cloudevents+avro", Structured, ErrUnsupportedFormat},
		{"application/cloudevents", Structured, ErrUnsupportedFormat},
		{"application/cloudevents+jsonx", Structured, ErrUnsupportedFormat},
		{"application/cloudevents-batch+protobuf", Batched, ErrUnsupportedFormat},
		{"application/vnd.cloudevents+json", Binary, nil},
	}
	for _, tt := range tests {
		if mode, err := ModeOf(tt.contentType); mode != tt.mode || !errors.Is(err, tt.err) {
			t.Errorf("ModeOf(%q) = %v, %v, want %v, %v", tt.contentType, mode, err, tt.mode, tt.err)
		}
	}
}

func TestVisitHTTPHeaders(t *testing.T) {
	e := full()
	e.Subject = "Zürich 5%"
	contentType, pairs := httpPairs(e)
	want := []pair{
		{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}, {"ce-subject", "Z%C3%BCrich%205%25"},
		{"ce-time", e.Time}, {"ce-dataschema", e.DataSchema}, {"ce-a", "x"}, {"ce-partitionkey", "k"},
	}
	if contentType != e.DataContentType || !reflect.DeepEqual(pairs, want) {
		t.Errorf("got %q %v, want %v", contentType, pairs, want)
	}
}

func TestHeaderNamesReadyMadeAreRight(t *testing.T) {
	for _, name := range []string{
		ExtCausationID, ExtCorrelationID, ExtHops, ExtPath, ExtChainStart, ExtReplyID, ExtTraceParent, ExtTraceState, "partitionkey", "sequence", "other",
	} {
		if httpName(name) != "ce-"+name || kafkaName(name) != "ce_"+name {
			t.Errorf("%s: %s, %s", name, httpName(name), kafkaName(name))
		}
	}
}

func FuzzParseHTTP(f *testing.F) {
	f.Add("application/json", "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t\nCe-X: %e2%82%ac", []byte("{}"))
	f.Add("", "ce-specversion: 1.0\nce-id: \"a b\"\nce-source: urn:x\nce-type: t\nce-time: 2026-01-31T12:00:00Z", []byte(nil))
	f.Add("text", "ce-id: 1\nce-id: 2", []byte("x"))
	f.Fuzz(func(t *testing.T, contentType, headers string, body []byte) {
		var pairs []pair
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			pairs = append(pairs, pair{name, value})
		}
		e, err := parsePairs(contentType, pairs, string(body))
		checkParsed(t, e, err)
		if err != nil {
			return
		}
		ct, back := httpPairs(e)
		again, err := parsePairs(ct, back, string(e.Data))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("back: %+v, %v, want %+v", again, err, e)
		}
	})
}

// checkParsed holds for every parser: an event that validates, or an error of ours.
func checkParsed(t *testing.T, e *Event, err error) {
	t.Helper()
	var inv *InvalidError
	switch {
	case err != nil && !errors.As(err, &inv) && !errors.Is(err, ErrNotEvent):
		t.Fatalf("error %v: want an InvalidError or ErrNotEvent", err)
	case err != nil && len(err.Error()) > 1000:
		t.Fatalf("an error of %d bytes", len(err.Error()))
	case err == nil && e.Validate() != nil:
		t.Fatalf("parsed %+v, but %v", e, e.Validate())
	}
}

func TestParseOneWantsOneEvent(t *testing.T) {
	batch := func(events ...string) []byte { return []byte("[" + strings.Join(events, ",") + "]") }
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		want        string
	}{
		"structured":       {"application/cloudevents+json", []byte(one), ""},
		"a batch of one":   {"application/cloudevents-batch+json", batch(one), ""},
		"a batch of none":  {"application/cloudevents-batch+json", batch(), "empty batch"},
		"a batch of two":   {"application/cloudevents-batch+json", batch(one, one), "at most 1 events"},
		"what is no event": {"application/json", []byte(`{}`), "not a CloudEvent"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseOne(c.contentType, Headers(nil), c.body)
			if c.want == "" {
				if err != nil || e.ID != "1" {
					t.Errorf("%v, %v", e, err)
				}
				return
			}
			if e != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v: want %q", e, err, c.want)
			}
		})
	}
}
