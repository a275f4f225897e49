package event

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func full() *Event {
	return &Event{
		ID: "1", Source: "/s", Type: "t", Subject: "sub", Time: "2026-01-31T12:00:00.5+01:00",
		DataContentType: "application/json; charset=utf-8", DataSchema: "https://example.com/schema",
		Extensions: []Attribute{{"a", "x"}, {"partitionkey", "k"}}, Data: []byte(`{"a":1}`),
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name      string
		change    func(*Event)
		attribute string // "" is valid
	}{
		{"a whole event is valid", func(*Event) {}, ""},
		{"the required attributes suffice", func(e *Event) { *e = Event{ID: "1", Source: "s", Type: "t"} }, ""},
		{"an extension may be empty", func(e *Event) { e.Extensions[0].Value = "" }, ""},
		{"text beyond ASCII is allowed", func(e *Event) { e.Subject = "Zürich € 😀" }, ""},
		{"id is required", func(e *Event) { e.ID = "" }, "id"},
		{"source is required", func(e *Event) { e.Source = "" }, "source"},
		{"type is required", func(e *Event) { e.Type = "" }, "type"},
		{"a control character in id is refused", func(e *Event) { e.ID = "a\x00" }, "id"},
		{"DEL is refused", func(e *Event) { e.Subject = "a\x7f" }, "subject"},
		{"a C1 control is refused", func(e *Event) { e.Subject = "a\u0085" }, "subject"},
		{"a noncharacter is refused", func(e *Event) { e.Type = "\ufdd0" }, "type"},
		{"a noncharacter beyond the first plane is refused", func(e *Event) { e.Type = "\U0001fffe" }, "type"},
		{"a lone surrogate in UTF-8 is refused", func(e *Event) { e.Subject = "\xed\xa0\x80" }, "subject"},
		{"bytes that are not UTF-8 are refused", func(e *Event) { e.Extensions[0].Value = "\xff" }, "a"},
		{"U+FFFD itself is allowed", func(e *Event) { e.Subject = "\ufffd" }, ""},
		{"time is RFC 3339", func(e *Event) { e.Time = "yesterday" }, "time"},
		{"datacontenttype is a media type", func(e *Event) { e.DataContentType = "json" }, "datacontenttype"},
		{"dataschema is absolute", func(e *Event) { e.DataSchema = "/schema" }, "dataschema"},
		{"an upper-case extension name is refused", func(e *Event) { e.Extensions[0].Name = "A" }, "A"},
		{"an underscore in a name is refused", func(e *Event) { e.Extensions[0].Name = "a_b" }, "a_b"},
		{"an empty name is refused", func(e *Event) { e.Extensions[0].Name = "" }, ""},
		{"data is no extension", func(e *Event) { e.Extensions = []Attribute{{"data", "x"}} }, "data"},
		{"a core name is no extension", func(e *Event) { e.Extensions = []Attribute{{"subject", "x"}} }, "subject"},
		{"a name of 64 is allowed", func(e *Event) { e.Extensions[0].Name = strings.Repeat("a", 64) }, ""},
		{"a name of 65 is refused", func(e *Event) { e.Extensions[0].Name = strings.Repeat("a", 65) }, strings.Repeat("a", 64)},
		{"an extension stands once", func(e *Event) { e.Extensions[1].Name = "a" }, "a"},
		{"extensions are sorted", func(e *Event) { e.Extensions[1].Name = "Z" }, "Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := full()
			tt.change(e)
			err := e.Validate()
			valid := tt.attribute == "" && !strings.Contains(tt.name, "empty name")
			var inv *InvalidError
			if valid != (err == nil) || !valid && (!errors.As(err, &inv) || inv.Attribute != tt.attribute) {
				t.Fatalf("Validate() = %v, want fault of %q", err, tt.attribute)
			}
		})
	}
}

func TestInvalidErrorNamesAttributeValueAndWhatIsAllowed(t *testing.T) {
	e := full()
	e.Source = "a b" + strings.Repeat("x", 500)
	msg := e.Validate().Error()
	for _, want := range []string{"source", `"a b`, "URI-reference"} {
		if !strings.Contains(msg, want) {
			t.Errorf("%q lacks %q", msg, want)
		}
	}
	if len(msg) > 200 {
		t.Errorf("value not cut: %d bytes", len(msg))
	}
}

func TestURIReference(t *testing.T) {
	valid := []string{
		"/", "/sensors/tn-1234567/alerts", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:cncf-wg@lists.cncf.io",
		"https://github.com/cloudevents", "cloudevents/spec/pull/123", "1-555-123-4567", "http://u:p@h:80/p?q=1&r=a/b?c#frag",
		"http://[::1]:80/", "http://[v1.a:b]/", "//host/path", "?q", "#f", "a/b:c", "%e2%82%ac", "http://h:/", "file:///x", ".", "x:", "tag:a@b,2001:c",
	}
	invalid := []string{
		"a b", "::", ":x", "1a:b", "a_b:c", "%zz", "%2", "%", "a\"b", "<a>", "a|b", "a\\b", "^", "`", "{x}", "é", "a#b#c",
		"http://h:8o/", "http://[::1", "http://[1.2.3.4]/", "http://[fe80::1%25en0]x/", "/[a]", "http://a@b@c/", "http://[]/", "\x00", "a\n",
	}
	for _, s := range valid {
		if !validURIReference(s) {
			t.Errorf("%q refused, want it taken", s)
		}
	}
	for _, s := range invalid {
		if validURIReference(s) {
			t.Errorf("%q taken, want it refused", s)
		}
	}
	for s, want := range map[string]bool{"http://x": true, "urn:x": true, "/x": false, "x": false, "": false, "//h/x": false, "?a:b": false} {
		if hasScheme(s) != want {
			t.Errorf("hasScheme(%q) = %t", s, !want)
		}
	}
}

func TestTime(t *testing.T) {
	valid := map[string]time.Time{
		"2026-01-31T12:00:00Z":                time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"2026-01-31t12:00:00z":                time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"2026-01-31T12:00:00.123456789+02:00": time.Date(2026, 1, 31, 10, 0, 0, 123456789, time.UTC),
		"2024-02-29T00:00:00-23:59":           time.Date(2024, 2, 29, 23, 59, 0, 0, time.UTC),
		"1990-12-31T23:59:60Z":                time.Date(1991, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-31T12:00:00.1234567890123Z":  time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC),
	}
	for s, want := range valid {
		e := Event{ID: "1", Source: "s", Type: "t", Time: s}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if got := e.Timestamp(); !got.Equal(want) {
			t.Errorf("%s: Timestamp() = %v, want %v", s, got, want)
		}
	}
	invalid := []string{
		"2026-01-31", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.5",
		"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-31T24:00:00Z",
		"2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T1:00:00Z0", "2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00Zx",
	}
	for _, s := range invalid {
		e := Event{Time: s}
		if validTime(s) || !e.Timestamp().IsZero() {
			t.Errorf("%q taken, want it refused", s)
		}
	}
}

func TestMediaType(t *testing.T) {
	for _, s := range []string{
		"text/plain", "application/vnd.x+json", "text/plain;charset=utf-8", "text/plain ; charset=\"utf \\\" 8\" ; a=b", "text/plain;", "a/b;;c=d", "*/*",
	} {
		if !validMediaType(s) {
			t.Errorf("%q refused, want it taken", s)
		}
	}
	for _, s := range []string{
		"text", "/plain", "text/", "text/plain charset", "text/plain;charset", "text/plain;=x", "text/pl ain", "text/plain;a=", "text/plain;a=\"b", "text /plain", "text/plain, a/b", "té/x", "text/plain;a=\"\x01\"",
	} {
		if validMediaType(s) {
			t.Errorf("%q taken, want it refused", s)
		}
	}
}
