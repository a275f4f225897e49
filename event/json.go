package event

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseJSON reads an event in structured mode, strictly by the JSON event
// format of CloudEvents 1.0.2: duplicate members, trailing bytes and attribute
// values that are objects, arrays or fractions are refused. Attributes that are
// null are absent. Numbers and booleans become their canonical strings.
//
// Data under a JSON content type stays the JSON text it is, byte for byte, also
// a string; under another one it must be a string and becomes its characters.
// Data without datacontenttype is application/json. b is copied. The error is an
// *InvalidError.
func ParseJSON(b []byte) (*Event, error) { return parseJSON(string(b)) }

// parseJSON reads an event whose strings and data may be views of s.
func parseJSON(s string) (*Event, error) {
	if !utf8.ValidString(s) {
		return nil, &InvalidError{"", "not JSON: not UTF-8"}
	}
	r := scanner{s: s}
	e, err := parseMembers(&r)
	if err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseJSONBatch reads a batch (JSON batch format) of at most max events, as
// ParseJSON reads one. "[]" is a batch of none. The error is a *BatchError that
// lists every bad event, ErrBatchTooLong, or an *InvalidError when the body as a
// whole is no JSON array. The events share one copy of b.
func ParseJSONBatch(b []byte, max int) ([]*Event, error) {
	if !utf8.Valid(b) {
		return nil, &InvalidError{"", "not JSON: not UTF-8"}
	}
	items, err := batchItems(string(b), max)
	if err != nil {
		return nil, err
	}
	events := make([]*Event, len(items))
	var bad BatchError
	for i, item := range items {
		if events[i], err = parseMembers(&scanner{s: item}); err != nil {
			bad.Items = append(bad.Items, ItemError{Index: i, Err: err})
		}
	}
	if len(bad.Items) > 0 {
		return nil, &bad
	}
	return events, nil
}

func batchItems(s string, max int) ([]string, error) {
	r := scanner{s: s}
	if r.space() != '[' {
		return nil, r.fail("an array of events")
	}
	var items []string
	err := r.list(']', func() error {
		if len(items) == max {
			return fmt.Errorf("%w: want at most %d events", ErrBatchTooLong, max)
		}
		item, err := r.raw(maxJSONDepth + 1)
		items = append(items, item)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, r.end()
}

// members is an event object as it is read.
type members struct {
	builder
	r *scanner
	// data and base64 are the two members as they stand; "" is absent.
	data, base64 string
	// nulls are the extensions that are null: absent, but named.
	nulls []string
}

func parseMembers(r *scanner) (*Event, error) {
	if r.space() != '{' {
		return nil, r.fail("an object")
	}
	const required, room = 4, 4
	m := members{builder: newBuilder(required + room), r: r}
	if err := r.list('}', m.member); err != nil {
		return nil, err
	}
	if err := m.checkNulls(); err != nil {
		return nil, err
	}
	if err := m.payload(); err != nil {
		return nil, err
	}
	return m.finish()
}

func (m *members) member() error {
	if m.r.space() != '"' {
		return m.r.fail("a member name")
	}
	name, err := m.r.str("")
	if err != nil {
		return err
	}
	if err := m.r.take(':'); err != nil {
		return err
	}
	switch name {
	case "data":
		return m.payloadMember(name, &m.data)
	case "data_base64":
		return m.payloadMember(name, &m.base64)
	}
	return m.attribute(name)
}

func (m *members) payloadMember(name string, field *string) error {
	if *field != "" {
		return &InvalidError{name, "stands twice: want it once"}
	}
	raw, err := m.r.raw(maxJSONDepth)
	*field = raw
	return err
}

func (m *members) attribute(name string) error {
	field, bit := m.core(name)
	value, present, err := m.value(name, bit != 0)
	switch {
	case err != nil:
		return err
	case bit != 0 && present:
		return m.setCore(name, field, bit, value)
	case bit != 0:
		return m.nullCore(name, bit)
	case present:
		m.e.Extensions = append(m.e.Extensions, Attribute{Name: name, Value: value})
		return nil
	}
	m.nulls = append(m.nulls, name)
	return validateName(name)
}

// nullCore takes note of a core attribute that is null.
func (m *members) nullCore(name string, bit uint16) error {
	if m.seen&bit != 0 {
		return &InvalidError{name, "stands twice: want it once"}
	}
	if bit == seenSpecVersion {
		return &InvalidError{name, "null: want " + SpecVersion}
	}
	m.seen |= bit
	return nil
}

// value reads an attribute's value in its canonical string form; not present
// when it is null. Core attributes are all strings.
func (m *members) value(name string, core bool) (value string, present bool, err error) {
	c := m.r.space()
	switch {
	case c == '"':
		value, err = m.r.str(shortName(name))
		return value, true, err
	case c == '{' || c == '[':
		return "", false, &InvalidError{shortName(name), "an object or array: want a string, integer or boolean"}
	case c == '-' || isDigit(c):
		value, err = m.integer(name)
	default:
		value, err = m.r.word()
	}
	if err != nil || value == "null" {
		return "", false, err
	}
	if core {
		return "", false, &InvalidError{name, value + ": want a string"}
	}
	return value, true, nil
}

// integer reads the type Integer: 32 bits signed, no fraction, no exponent.
func (m *members) integer(name string) (string, error) {
	number, err := m.r.number()
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return "", invalid(shortName(name), number, "want an integer of 32 bits, without fraction and exponent")
	}
	if number == "-0" {
		return strconv.FormatInt(n, 10), nil
	}
	return number, nil
}

// checkNulls refuses a name that stands twice, once or twice with null. (Names
// with two values are found when the extensions are sorted.)
func (m *members) checkNulls() error {
	if len(m.nulls) == 0 {
		return nil
	}
	seen := make(map[string]bool, len(m.nulls)+len(m.e.Extensions))
	for _, x := range m.e.Extensions {
		seen[x.Name] = true
	}
	for _, name := range m.nulls {
		if seen[name] {
			return &InvalidError{name, "stands twice: want it once"}
		}
		seen[name] = true
	}
	return nil
}

// payload makes the event's data of the member data or data_base64.
func (m *members) payload() error {
	if m.base64 == "null" {
		m.base64 = ""
	}
	switch {
	case m.data != "" && m.base64 != "":
		return &InvalidError{"data", "stands beside data_base64: want one of them"}
	case m.base64 != "":
		return m.binary()
	case m.data == "":
		return nil
	case m.e.DataContentType == "":
		m.e.DataContentType = "application/json"
	case !isJSONType(m.e.DataContentType):
		return m.characters()
	}
	m.e.Data = view(m.data)
	return nil
}

func (m *members) characters() error {
	if m.data[0] != '"' {
		return invalid("data", m.data, "want a string, since datacontenttype is not JSON")
	}
	s, err := (&scanner{s: m.data}).str("data")
	m.e.Data = view(s)
	return err
}

func (m *members) binary() error {
	if m.base64[0] != '"' {
		return invalid("data_base64", m.base64, "want a string of base64")
	}
	s, err := (&scanner{s: m.base64}).str("data_base64")
	if err != nil {
		return err
	}
	// encoding/base64 skips line ends, which the format does not allow.
	m.e.Data, err = base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return invalid("data_base64", s, "want base64 (RFC 4648 section 4) with padding")
	}
	return nil
}

// isJSONType tells */json and */*+json.
func isJSONType(contentType string) bool {
	_, subtype, _ := strings.Cut(mediaTypeOf(contentType), "/")
	return strings.EqualFold(subtype, "json") || len(subtype) >= 5 && strings.EqualFold(subtype[len(subtype)-5:], "+json")
}
