package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const members4 = `"specversion":"1.0","id":"1","source":"/s","type":"t"`

func TestParseJSON(t *testing.T) {
	least := Event{ID: "1", Source: "/s", Type: "t"}
	with := func(change func(*Event)) *Event { e := least; change(&e); return &e }
	data := func(contentType, data string) *Event {
		return with(func(e *Event) { e.DataContentType, e.Data = contentType, []byte(data) })
	}
	ext := func(attrs ...Attribute) *Event { return with(func(e *Event) { e.Extensions = attrs }) }
	tests := []struct {
		name, more string
		want       *Event
	}{
		{"the required members are an event without data", ``, &least},
		{"null is absent", `,"subject":null,"time":null,"x":null,"datacontenttype":null`, &least},
		{"escapes are undone", `,"x":"a \"b\" \u20ac \ud83d\ude00 \/\\"`, ext(Attribute{"x", `a "b" € 😀 /\`})},
		{"an integer", `,"x":-2147483648,"y":2147483647,"z":-0`, ext(Attribute{"x", "-2147483648"}, Attribute{"y", "2147483647"}, Attribute{"z", "0"})},
		{"a boolean", `,"y":false,"x":true`, ext(Attribute{"x", "true"}, Attribute{"y", "false"})},
		{"an escaped member name", `,"\u0078":"v"`, ext(Attribute{"x", "v"})},
		{"more extensions than there is room for", `,"f":1,"e":2,"d":3,"c":4,"b":5,"a":6`, ext(
			Attribute{"a", "6"}, Attribute{"b", "5"}, Attribute{"c", "4"}, Attribute{"d", "3"}, Attribute{"e", "2"}, Attribute{"f", "1"})},
		{"data without content type is JSON", `,"data":{"a": 1.50}`, data("application/json", `{"a": 1.50}`)},
		{"null data is present", `,"data":null`, data("application/json", `null`)},
		{"false data is present", `,"data":false`, data("application/json", `false`)},
		{"JSON data stay as they are sent", `,"datacontenttype":"application/json","data" : [1e400, {"a":1,"a":2},  "\ud800"] `, data("application/json", `[1e400, {"a":1,"a":2},  "\ud800"]`)},
		{"a JSON string stays a JSON string", `,"datacontenttype":"text/json; charset=utf-8","data":"{\"a\":1}"`, data("text/json; charset=utf-8", `"{\"a\":1}"`)},
		{"any +json is JSON", `,"data":{"a":1},"datacontenttype":"image/vnd.x+JSON"`, data("image/vnd.x+JSON", `{"a":1}`)},
		{"other data are the characters of a string", `,"datacontenttype":"text/plain","data":"a\n\u20ac"`, data("text/plain", "a\n€")},
		{"an empty string of data is present", `,"datacontenttype":"text/plain","data":""`, data("text/plain", "")},
		{"base64 data", `,"data_base64":"AP8="`, with(func(e *Event) { e.Data = []byte{0, 255} })},
		{"base64 data with a content type", `,"data_base64":"e30=","datacontenttype":"application/json"`, data("application/json", "{}")},
		{"empty base64 data are present", `,"data_base64":""`, with(func(e *Event) { e.Data = []byte{} })},
		{"null base64 is absent", `,"data_base64":null`, &least},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := []byte(" {\n" + members4 + tt.more + "}\r\n\t")
			got, err := ParseJSON(src)
			for i := range src {
				src[i] = 0xff
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %+v %q, %v, want %+v", got, got.Data, err, tt.want)
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	tests := []struct{ name, src, attribute string }{
		{"nothing", ``, ""},
		{"an array", `[]`, ""},
		{"no JSON", `{"id":}`, ""},
		{"trailing garbage", `{` + members4 + `} x`, ""},
		{"a second event", `{` + members4 + `}{}`, ""},
		{"a trailing comma", `{` + members4 + `,}`, ""},
		{"an unfinished object", `{` + members4, ""},
		{"a leading zero", `{` + members4 + `,"x":01}`, ""},
		{"a raw control character", "{" + members4 + ",\"x\":\"a\nb\"}", ""},
		{"bytes that are not UTF-8", "{" + members4 + ",\"data\":\"\xff\"}", ""},
		{"a byte order mark", "\ufeff{" + members4 + "}", ""},
		{"a missing specversion", `{"id":"1","source":"/s","type":"t"}`, "specversion"},
		{"a null specversion", `{"specversion":null,"id":"1","source":"/s","type":"t"}`, "specversion"},
		{"another specversion", `{"specversion":"1.1","id":"1","source":"/s","type":"t"}`, "specversion"},
		{"a number as specversion", `{"specversion":1.0,"id":"1","source":"/s","type":"t"}`, "specversion"},
		{"a number as id", `{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, "id"},
		{"a null id", `{"specversion":"1.0","id":null,"source":"/s","type":"t"}`, "id"},
		{"a boolean as type", `{"specversion":"1.0","id":"1","source":"/s","type":true}`, "type"},
		{"an empty subject", `{` + members4 + `,"subject":""}`, "subject"},
		{"an attribute twice", `{` + members4 + `,"id":"1"}`, "id"},
		{"an attribute twice, null before", `{` + members4 + `,"subject":null,"subject":"x"}`, "subject"},
		{"an attribute twice, null after", `{` + members4 + `,"subject":"x","subject":null}`, "subject"},
		{"an extension twice", `{` + members4 + `,"x":"1","x":"1"}`, "x"},
		{"an extension twice, once escaped", `{` + members4 + `,"x":"1","\u0078":"1"}`, "x"},
		{"an extension twice, once null", `{` + members4 + `,"x":"1","x":null}`, "x"},
		{"an extension twice null", `{` + members4 + `,"x":null,"x":null}`, "x"},
		{"data twice", `{` + members4 + `,"data":null,"data":1}`, "data"},
		{"data and data_base64", `{` + members4 + `,"data":null,"data_base64":""}`, "data"},
		{"an object as attribute", `{` + members4 + `,"x":{}}`, "x"},
		{"an array as attribute", `{` + members4 + `,"x":["a"]}`, "x"},
		{"a fraction", `{` + members4 + `,"x":1.5}`, "x"},
		{"a fraction of zero", `{` + members4 + `,"x":1.0}`, "x"},
		{"an exponent", `{` + members4 + `,"x":1e3}`, "x"},
		{"an integer beyond 32 bits", `{` + members4 + `,"x":2147483648}`, "x"},
		{"a lone surrogate", `{` + members4 + `,"x":"\ud800"}`, "x"},
		{"surrogates in the wrong order", `{` + members4 + `,"x":"\ude00\ud83d"}`, "x"},
		{"an escaped control character", `{` + members4 + `,"x":"\u0000"}`, "x"},
		{"an upper-case name", `{` + members4 + `,"X":"1"}`, "X"},
		{"a bad name that is null", `{` + members4 + `,"X":null}`, "X"},
		{"an object of data that is text", `{` + members4 + `,"datacontenttype":"text/plain","data":{}}`, "data"},
		{"null data that are text", `{` + members4 + `,"datacontenttype":"text/plain","data":null}`, "data"},
		{"a lone surrogate in text", `{` + members4 + `,"datacontenttype":"text/plain","data":"\udc00"}`, "data"},
		{"base64 that is no string", `{` + members4 + `,"data_base64":1}`, "data_base64"},
		{"base64 without padding", `{` + members4 + `,"data_base64":"AP8"}`, "data_base64"},
		{"base64 of the URL alphabet", `{` + members4 + `,"data_base64":"_-8="}`, "data_base64"},
		{"base64 with line ends", `{` + members4 + `,"data_base64":"AP8=\n"}`, "data_base64"},
		{"base64 with bits left over", `{` + members4 + `,"data_base64":"AP9="}`, "data_base64"},
		{"data nested too deep", `{` + members4 + `,"data":` + strings.Repeat("[", 513) + strings.Repeat("]", 513) + `}`, ""},
		{"hostile nesting", `{` + members4 + `,"data":` + strings.Repeat("[", 1<<20), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := ParseJSON([]byte(tt.src))
			var inv *InvalidError
			if e != nil || !errors.As(err, &inv) || inv.Attribute != tt.attribute {
				t.Fatalf("got %+v, %v, want an InvalidError of %q", e, err, tt.attribute)
			}
		})
	}
}

func TestDataNestedToTheLimitPassEverywhere(t *testing.T) {
	data := strings.Repeat("[", 512) + strings.Repeat("]", 512)
	e := &Event{ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(data)}
	one, err := ParseJSON(e.AppendJSON(nil))
	if err != nil || string(one.Data) != data {
		t.Fatal(err)
	}
	if _, err := ParseJSONBatch(AppendJSONBatch(nil, []*Event{e}), 1); err != nil {
		t.Fatal(err)
	}
	e.Data = []byte("[" + data + "]")
	if b := e.AppendJSON(nil); !bytes.Contains(b, []byte(`"data_base64"`)) {
		t.Fatal("data beyond the limit is embedded")
	}
}

func TestParseJSONBatch(t *testing.T) {
	good, noID := `{`+members4+`}`, `{"specversion":"1.0","source":"/s","type":"t"}`
	if events, err := ParseJSONBatch([]byte(" [ ] "), 0); err != nil || events == nil || len(events) != 0 {
		t.Errorf("an empty batch: %v, %v", events, err)
	}
	if events, err := ParseJSONBatch([]byte("["+good+" , "+good+"]"), 2); err != nil || len(events) != 2 || events[1].ID != "1" {
		t.Errorf("two events: %v, %v", events, err)
	}
	if _, err := ParseJSONBatch([]byte("["+good+","+good+",{]"), 2); !errors.Is(err, ErrBatchTooLong) {
		t.Errorf("three of at most two: %v", err)
	}
	events, err := ParseJSONBatch([]byte("["+noID+","+good+",1,"+noID+"]"), 10)
	var bad *BatchError
	if !errors.As(err, &bad) || events != nil || len(bad.Items) != 3 || bad.Items[0].Index != 0 || bad.Items[1].Index != 2 || bad.Items[2].Index != 3 {
		t.Errorf("three bad ones: %v, %v", events, err)
	}
	var inv *InvalidError
	if !errors.As(err, &inv) || inv.Attribute != "id" {
		t.Errorf("the items' errors are not reached: %v", err)
	}
	for _, src := range []string{"", "{}", good, "[" + good, "[" + good + ",]", "[" + good + "] x", "[" + good + " " + good + "]", "[\xff]"} {
		if _, err := ParseJSONBatch([]byte(src), 10); !errors.As(err, &inv) || errors.As(err, &bad) {
			t.Errorf("%q: %v, want an InvalidError", src, err)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		name, contentType, data, want string
	}{
		{"JSON is embedded as it is", "application/vnd.x+json", `{"a": 1.50}`, `"data":{"a": 1.50}`},
		{"what only claims to be JSON is base64", "text/json", `{`, `"data_base64":"ew=="`},
		{"JSON that is not UTF-8 is base64", "application/json", "\"\xff\"", `"data_base64":"Iv8i"`},
		{"text is a string", "text/plain", "a\"\\\n\u0001€", `"data":"a\"\\\n\u0001€"`},
		{"XML is text", "application/soap+xml; charset=UTF-8", "<a/>", `"data":"<a/>"`},
		{"text in another charset is base64", "text/plain; charset=iso-8859-1", "a", `"data_base64":"YQ=="`},
		{"text that is not UTF-8 is base64", "text/plain", "\xff", `"data_base64":"/w=="`},
		{"binary is base64", "image/png", "a", `"data_base64":"YQ=="`},
		{"data without content type is base64", "", `{}`, `"data_base64":"e30="`},
		{"empty data of JSON is base64", "application/json", "", `"data_base64":""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := full()
			e.DataContentType, e.Data = tt.contentType, []byte(tt.data)
			b := e.AppendJSON([]byte("x"))[1:]
			if !json.Valid(b) || !bytes.HasSuffix(b, []byte(","+tt.want+"}")) {
				t.Fatalf("got %s, want %s", b, tt.want)
			}
			if back, err := ParseJSON(b); err != nil || !reflect.DeepEqual(back, e) {
				t.Fatalf("back: %+v, %v, want %+v", back, err, e)
			}
		})
	}
	e := &Event{ID: "1", Source: "/s", Type: "t"}
	if got := string(e.AppendJSON(nil)); got != `{`+members4+`}` {
		t.Errorf("an event without data: %s", got)
	}
	if got := string(AppendJSONBatch(nil, nil)); got != "[]" {
		t.Errorf("a batch of none: %s", got)
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, more := range []string{
		``, `,"data":{"a":[1,2.5e-3,null,"\ud83d\ude00"]}`, `,"data_base64":"AP8="`, `,"x":1,"y":true,"z":null`,
		`,"datacontenttype":"text/plain","data":"a\u0000b"`, `,"datacontenttype":"a/b+json","data":"x"`, `,"x":"\ud800"`,
	} {
		f.Add([]byte(`{` + members4 + more + `}`))
	}
	f.Add([]byte(`{"specversion":"1.0","specversion":"1.0"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := ParseJSON(in)
		checkParsed(t, e, err)
		if err != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatal("took what encoding/json does not")
		}
		b := e.AppendJSON(nil)
		again, err := ParseJSON(b)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("back from %s: %+v, %v, want %+v", b, again, err, e)
		}
		events, err := ParseJSONBatch(append(append([]byte("["), in...), ']'), 1)
		if err != nil || !reflect.DeepEqual(events, []*Event{e}) {
			t.Fatalf("as a batch: %v, %v", events, err)
		}
	})
}
