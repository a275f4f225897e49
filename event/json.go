package event

// ParseJSON reads an event in structured mode.
func ParseJSON(b []byte) (*Event, error) { return nil, errTodo }

// ParseJSONBatch reads a batch of at most max events.
func ParseJSONBatch(b []byte, max int) ([]*Event, error) { return nil, errTodo }

// AppendJSON appends the event in structured mode.
func (e *Event) AppendJSON(dst []byte) []byte { return dst }

// AppendJSONBatch appends the events in batched mode.
func AppendJSONBatch(dst []byte, events []*Event) []byte { return dst }
