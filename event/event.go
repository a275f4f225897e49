// Package event holds a CloudEvent as it moves inside Signalbox, its lineage,
// its encodings (HTTP binary, structured and batched; Kafka binary and
// structured) and the records kept about it (runs, dead letters). It is a
// leaf: it imports only the standard library. DESIGN.md has its rules.
package event

import (
	"slices"
	"strings"
)

// SpecVersion is the only CloudEvents version Signalbox speaks.
const SpecVersion = "1.0"

// Attribute is one context attribute in its canonical string form
// (CloudEvents 1.0.2, section "Type System").
type Attribute struct {
	Name  string
	Value string
}

// Event is a CloudEvents 1.0 event. Every attribute is kept in its canonical
// string form, decoded (never percent-encoded). An Event is immutable once it
// is shared: code that wants another one makes a Clone. Its strings and its
// data may all be views of one buffer that the event owns.
type Event struct {
	// ID, Source and Type are required; Source and ID together identify the event.
	ID     string
	Source string
	Type   string
	// Subject, Time (RFC 3339), DataContentType and DataSchema are optional; "" is absent.
	Subject         string
	Time            string
	DataContentType string
	DataSchema      string
	// Extensions are sorted by name, without duplicates.
	Extensions []Attribute
	// Data is the payload, byte for byte as it was sent; nil means the event has none.
	Data []byte
}

// Attribute returns the context attribute name (core or extension) in its
// canonical string form, and whether the event has it.
func (e *Event) Attribute(name string) (string, bool) {
	switch name {
	case "id":
		return e.ID, e.ID != ""
	case "source":
		return e.Source, e.Source != ""
	case "type":
		return e.Type, e.Type != ""
	case "specversion":
		return SpecVersion, true
	case "subject":
		return e.Subject, e.Subject != ""
	case "time":
		return e.Time, e.Time != ""
	case "datacontenttype":
		return e.DataContentType, e.DataContentType != ""
	case "dataschema":
		return e.DataSchema, e.DataSchema != ""
	}
	return e.Extension(name)
}

// Extension returns the extension attribute name, and whether the event has it.
func (e *Event) Extension(name string) (string, bool) {
	for i := range e.Extensions {
		if e.Extensions[i].Name == name {
			return e.Extensions[i].Value, true
		}
	}
	return "", false
}

// SetExtension sets an extension on an event that is not shared yet, keeping
// the order by name. An empty value removes the extension.
func (e *Event) SetExtension(name, value string) {
	i, found := slices.BinarySearchFunc(e.Extensions, name, func(a Attribute, n string) int {
		return strings.Compare(a.Name, n)
	})
	switch {
	case found && value == "":
		e.Extensions = slices.Delete(e.Extensions, i, i+1)
	case found:
		e.Extensions[i].Value = value
	case value != "":
		e.Extensions = slices.Insert(e.Extensions, i, Attribute{Name: name, Value: value})
	}
}

// Clone returns a copy with a slice of extensions of its own. Data and strings
// are shared, since nobody changes them.
func (e *Event) Clone() *Event {
	c := *e
	c.Extensions = slices.Clone(e.Extensions)
	return &c
}

// Key is the event's Kafka key: the partitionkey extension, else the subject,
// else nil, which leaves the partition to the producer. It is a view of the
// event: not to be changed.
func (e *Event) Key() []byte {
	if k, _ := e.Extension("partitionkey"); k != "" {
		return view(k)
	}
	if e.Subject != "" {
		return view(e.Subject)
	}
	return nil
}
