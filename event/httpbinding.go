package event

// Mode is how a message carries a CloudEvent.
type Mode uint8

// The content modes.
const (
	Binary Mode = iota
	Structured
	Batched
)

// ModeOf tells the mode by the content type.
func ModeOf(contentType string) (Mode, error) { return Binary, nil }

// ParseHTTP reads an event in binary mode.
func ParseHTTP(contentType string, headers func(yield func(name, value []byte)), body []byte) (*Event, error) {
	return nil, errTodo
}

// VisitHTTPHeaders calls fn for every header of the event in binary mode.
func (e *Event) VisitHTTPHeaders(fn func(name, value string)) {}
