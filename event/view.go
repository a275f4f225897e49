package event

import "unsafe"

// view is s as bytes, without a copy: they must never be changed. It is safe
// because an event's buffer is immutable once it is parsed, and because the
// Kafka client only reads what it is given to send.
func view(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s)) // #nosec G103 -- only read, see above
}

// text is b as a string, without a copy: whoever calls it owns b, and nobody
// changes b from then on.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } // #nosec G103 -- the buffer is owned and never written again, see above

// block is an event in one allocation with room for the usual number of extensions.
type block struct {
	Event
	room [4]Attribute
}

// newEvent returns an empty event with room for n extensions.
func newEvent(n int) *Event {
	b := new(block)
	if n > len(b.room) {
		b.Extensions = make([]Attribute, 0, n)
	} else if n > 0 {
		b.Extensions = b.room[:0]
	}
	return &b.Event
}
