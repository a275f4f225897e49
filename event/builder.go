package event

import (
	"slices"
	"strings"
)

// builder fills an event from attributes in any order, as the bindings bring them.
type builder struct {
	e *Event
	// seen has a bit for each core attribute that has come.
	seen uint16
}

// The core attributes as bits of builder.seen.
const (
	seenSpecVersion uint16 = 1 << iota
	seenID
	seenSource
	seenType
	seenSubject
	seenTime
	seenDataContentType
	seenDataSchema
)

// newBuilder starts an event with at most n attributes.
func newBuilder(n int) builder {
	const required = 4
	return builder{e: newEvent(max(n-required, 0))}
}

// set takes one attribute of a binding in binary mode, where datacontenttype
// has a place of its own.
func (b *builder) set(name, value string) error {
	if name == "datacontenttype" {
		return &InvalidError{name, "stands among the attributes: want it in the content-type header only"}
	}
	field, bit := b.core(name)
	if field == nil && bit == 0 {
		b.e.Extensions = append(b.e.Extensions, Attribute{Name: name, Value: value})
		return nil
	}
	return b.setCore(name, field, bit, value)
}

func (b *builder) setCore(name string, field *string, bit uint16, value string) error {
	if b.seen&bit != 0 {
		return &InvalidError{name, "stands twice: want it once"}
	}
	b.seen |= bit
	switch {
	case field == nil && value != SpecVersion:
		return invalid(name, value, "want "+SpecVersion)
	case field == nil:
	case value == "":
		return &InvalidError{name, "empty: want a non-empty string"}
	default:
		*field = value
	}
	return nil
}

// core finds the field of a core attribute; specversion has a bit only.
func (b *builder) core(name string) (*string, uint16) {
	switch name {
	case "specversion":
		return nil, seenSpecVersion
	case "id":
		return &b.e.ID, seenID
	case "source":
		return &b.e.Source, seenSource
	case "type":
		return &b.e.Type, seenType
	case "subject":
		return &b.e.Subject, seenSubject
	case "time":
		return &b.e.Time, seenTime
	case "datacontenttype":
		return &b.e.DataContentType, seenDataContentType
	case "dataschema":
		return &b.e.DataSchema, seenDataSchema
	}
	return nil, 0
}

// finish sorts the extensions and validates, which refuses duplicates.
func (b *builder) finish() (*Event, error) {
	if b.seen&seenSpecVersion == 0 {
		return nil, &InvalidError{"specversion", "missing: want " + SpecVersion}
	}
	ext := b.e.Extensions
	if len(ext) == 0 {
		b.e.Extensions = nil
	} else if !slices.IsSortedFunc(ext, byName) {
		slices.SortFunc(ext, byName)
	}
	if err := b.e.Validate(); err != nil {
		return nil, err
	}
	return b.e, nil
}

func byName(a, b Attribute) int { return strings.Compare(a.Name, b.Name) }
