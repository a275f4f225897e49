package event

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// DeadLetterHeader is the header of a record of the topic signalbox.dead that
// holds the DeadLetter as JSON.
const DeadLetterHeader = "signalbox_deadletter"

// The extensions by which Knative tells a dead letter's receiver what the last
// answer was. They stand on the record only, not on the event that was sent.
const (
	extErrorCode = "knativeerrorcode"
	extErrorData = "knativeerrordata"
)

// maxErrorData is how much of the answer's body fits the 1024 characters of
// base64 that Knative cuts knativeerrordata to.
const maxErrorData = 768

// deadHeader is the JSON of DeadLetterHeader.
type deadHeader struct {
	*DeadLetter
	// Raw: the record was no event, and is kept with its own headers.
	Raw bool `json:"raw,omitempty"`
	// Added are the extensions that the event did not have when it was delivered.
	Added []string `json:"added,omitempty"`
}

// Message is the dead letter as a record of the topic signalbox.dead: the event
// in binary mode, or the record as it stood when it was no event, and the
// header signalbox_deadletter. When a function answered, the record has also the
// extensions knativeerrorcode (its status) and knativeerrordata (base64 of the
// start of its body), unless the event had some of its own.
func (d *DeadLetter) Message() Message {
	letter := *d
	if letter.Attempts == nil {
		letter.Attempts = []Attempt{}
	}
	head := deadHeader{DeadLetter: &letter, Raw: d.Event == nil}
	m := d.Raw
	if d.Event != nil {
		m = d.Event.Message()
		m.Headers, head.Added = d.appendErrorHeaders(m.Headers)
		m.Headers = d.appendTrace(m.Headers)
	}
	b, err := json.Marshal(head)
	if err != nil {
		// A year beyond 9999 or a duration that is not finite, which no clock
		// gives: better without times than no dead letter.
		letter.Attempts, letter.Time = []Attempt{}, time.Time{}
		b, _ = json.Marshal(head)
	}
	m.Headers = append(slices.Clip(m.Headers), Header{Key: DeadLetterHeader, Value: b})
	return m
}

func (d *DeadLetter) appendTrace(headers []Header) []Header {
	if d.TraceParent == "" {
		return headers
	}
	headers = append(headers, Header{Key: ExtTraceParent, Value: view(d.TraceParent)})
	if d.TraceState != "" {
		headers = append(headers, Header{Key: ExtTraceState, Value: view(d.TraceState)})
	}
	return headers
}

func (d *DeadLetter) appendErrorHeaders(headers []Header) ([]Header, []string) {
	if len(d.Attempts) == 0 || d.Attempts[len(d.Attempts)-1].Status == 0 {
		return headers, nil
	}
	last := &d.Attempts[len(d.Attempts)-1]
	var added []string
	add := func(name, value string) {
		if _, has := d.Event.Extension(name); has || value == "" {
			return
		}
		headers = append(headers, Header{Key: kafkaName(name), Value: view(value)})
		added = append(added, name)
	}
	add(extErrorCode, strconv.Itoa(last.Status))
	add(extErrorData, base64.StdEncoding.EncodeToString([]byte(last.Body[:min(len(last.Body), maxErrorData)])))
	return headers, added
}

// ParseDeadLetter reads what Message wrote: Event is the event as it was
// delivered, or Raw the record as it stood. Both may be views of the message.
func ParseDeadLetter(m Message) (DeadLetter, error) {
	at := -1
	for i := range m.Headers {
		if m.Headers[i].Key == DeadLetterHeader {
			at = i
		}
	}
	if at < 0 {
		return DeadLetter{}, fmt.Errorf("dead letter: header %s is missing", DeadLetterHeader)
	}
	var d DeadLetter
	head := deadHeader{DeadLetter: &d}
	if err := json.Unmarshal(m.Headers[at].Value, &head); err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter: header %s: %w", DeadLetterHeader, err)
	}
	m.Headers = slices.Delete(slices.Clone(m.Headers), at, at+1)
	if head.Raw {
		d.Raw = m
		return d, nil
	}
	e, err := FromMessage(m)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w", d.ID, err)
	}
	for _, name := range head.Added {
		e.SetExtension(name, "")
	}
	d.Event = e
	parent, _ := m.Header(ExtTraceParent)
	state, _ := m.Header(ExtTraceState)
	d.TraceParent, d.TraceState = string(parent), string(state)
	return d, nil
}

// DeadLetterID names the dead letter of one delivery that was sent again so many
// times, or of a record that is no event (link ""). It is the same whenever it
// is written again, short, and safe in a URL path.
func DeadLetterID(pos Position, link string, redrive int) string {
	var room [64]byte
	b := appendDeliveryID(room[:0], pos, link)
	if redrive > 0 {
		b = strconv.AppendInt(append(b, "-r"...), int64(redrive), 10)
	}
	return string(b)
}
