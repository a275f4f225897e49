package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DeliveryToken names one call of one delivery: a function gets it in the
// header Signalbox-Delivery and reports with it when it works on under a lease.
// Its text is opaque to functions and safe in a URL path.
type DeliveryToken struct {
	Function string
	Link     string
	// Position is where the log keeps the event.
	Position Position
	// Attempt is the number of the call, from 1.
	Attempt int
	// Redrive counts the times that the delivery was a dead letter and was sent again.
	Redrive int
	// Replay is the name of the replay that sent it; "" is none.
	Replay string
}

// tokenSeparator stands in no name, and in a URL as it is (RFC 3986, 2.3).
const tokenSeparator = '~'

// AppendTo appends the token's text.
func (t *DeliveryToken) AppendTo(dst []byte) []byte {
	dst = append(append(dst, t.Function...), tokenSeparator)
	dst = append(append(dst, t.Link...), tokenSeparator)
	dst = append(strconv.AppendInt(dst, int64(t.Position.Partition), 10), tokenSeparator)
	dst = append(strconv.AppendInt(dst, t.Position.Offset, 10), tokenSeparator)
	dst = strconv.AppendInt(dst, int64(t.Attempt), 10)
	if t.Redrive == 0 && t.Replay == "" {
		return dst
	}
	dst = strconv.AppendInt(append(dst, tokenSeparator), int64(t.Redrive), 10)
	return append(append(dst, tokenSeparator), t.Replay...)
}

// String is the token's text.
func (t DeliveryToken) String() string { return string(t.AppendTo(nil)) }

// MarshalText implements encoding.TextMarshaler.
func (t DeliveryToken) MarshalText() ([]byte, error) { return t.AppendTo(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *DeliveryToken) UnmarshalText(b []byte) (err error) {
	*t, err = ParseDeliveryToken(string(b))
	return err
}

// ErrNotToken is what a text is that no DeliveryToken has.
var ErrNotToken = errors.New("not a delivery token: want what the header Signalbox-Delivery of the call said")

// ParseDeliveryToken reads what String wrote; else the error is ErrNotToken.
func ParseDeliveryToken(s string) (DeliveryToken, error) {
	parts := strings.Split(s, string(tokenSeparator))
	if len(parts) != 5 && len(parts) != 7 {
		return DeliveryToken{}, ErrNotToken
	}
	t := DeliveryToken{Function: parts[0], Link: parts[1]}
	partition, err1 := strconv.ParseInt(parts[2], 10, 32)
	offset, err2 := strconv.ParseInt(parts[3], 10, 64)
	attempt, err3 := strconv.ParseInt(parts[4], 10, 32)
	t.Position, t.Attempt = Position{Partition: int32(partition), Offset: offset}, int(attempt)
	var err4 error
	if len(parts) == 7 {
		t.Redrive, err4 = strconv.Atoi(parts[5])
		t.Replay = parts[6]
	}
	// Only the one text that AppendTo writes: no second name for the same thing.
	if errors.Join(err1, err2, err3, err4) != nil || t.Attempt < 1 || !plainName(t.Function) || !plainLink(t.Link) ||
		t.Replay != "" && !plainName(t.Replay) || partition < 0 || offset < 0 || t.Redrive < 0 || t.String() != s {
		return DeliveryToken{}, ErrNotToken
	}
	return t, nil
}

// plainLink reports whether s can be the name of a link: of a resource, or one
// that Direct gives.
func plainLink(s string) bool {
	kind, function, direct := strings.Cut(s, ":")
	if !direct {
		return plainName(s)
	}
	name, version, versioned := strings.Cut(function, "@")
	return (kind == "manual" || kind == "schedule" || kind == "call") && plainName(name) && (!versioned || plainVersion(version))
}

// plainVersion reports whether s is made of what versions are made of.
func plainVersion(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !isDigit(c) && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// plainName reports whether s is made of what names of resources are made of.
func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && !isDigit(c) && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// What a lease may last.
const (
	minLease = time.Second
	maxLease = 24 * time.Hour
)

// ParseLease reads the value of the header Signalbox-Lease: a duration such as
// 90s or 1h30m, or whole seconds; 1s to 24h.
func ParseLease(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if seconds, e := strconv.ParseUint(v, 10, 32); e == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < minLease || d > maxLease {
		return 0, fmt.Errorf("Signalbox-Lease %.40q: want a duration such as 90s or 1h30m, or whole seconds, from 1s to 24h", v)
	}
	return d, nil
}

// leaseSuffix makes another name of a function's, which no function can have.
const leaseSuffix = ".Leases"

// LeaseStream names the parked topic, signalbox.parked.<function>.Leases, of
// what a function works on under a lease, and of what it reports. It is apart
// from the one where deliveries wait for their turn: a report must not wait with them.
func LeaseStream(function string) string { return function + leaseSuffix }

// FunctionOfStream is the function that a parked topic's name, without the
// prefix, belongs to.
func FunctionOfStream(stream string) string { return strings.TrimSuffix(stream, leaseSuffix) }

// CompletionHeader is the header of a record of a lease stream that is no
// parked delivery but what its function reports: a Completion as JSON.
const CompletionHeader = "signalbox_completion"

// Completion is what a function reports of a delivery that it has under a
// lease: that it is done, that it failed, or that it needs more time.
type Completion struct {
	Delivery DeliveryToken `json:"delivery"`
	// Status is what a call would have been answered with: 200 to 299 is done,
	// others are a failed attempt. 0 for an extension.
	Status int `json:"status,omitempty"`
	// PutOff says of a failure that it spends no attempt: the work was given back.
	PutOff bool `json:"putOff,omitempty"`
	// Reason says in one line why it failed, where more than Status is known.
	Reason string `json:"reason,omitempty"`
	// Extend is for how much longer, from Time on; 0 unless it is an extension.
	Extend time.Duration `json:"extendNs,omitempty"`
	// Body is the start of what was reported with a failure.
	Body string    `json:"body,omitempty"`
	Time time.Time `json:"time"`
	// Replies are the events that a call would have been answered with, as the
	// function gave them; they stand in the record itself.
	Replies []*Event `json:"-"`
}

// Done reports whether the function has done its work.
func (c *Completion) Done() bool { return c.Extend == 0 && c.Status/100 == 2 }

// Message is the report as a record of the function's lease stream: the
// replies as a batch in the JSON format, and the header signalbox_completion.
func (c *Completion) Message() Message {
	var m Message
	if len(c.Replies) > 0 {
		m.Headers = []Header{{"content-type", view(ContentTypeBatch)}}
		m.Value = AppendJSONBatch(nil, c.Replies)
	}
	b, err := json.Marshal(c)
	if err != nil { // a year beyond 9999, which no clock gives
		q := *c
		q.Time = time.Time{}
		b, _ = json.Marshal(&q)
	}
	m.Headers = append(slices.Clip(m.Headers), Header{Key: CompletionHeader, Value: b})
	return m
}

// ParseCompletion reads what Message wrote, with at most maxReplies events
// (else ErrBatchTooLong). ok is false for a record that is no completion.
func ParseCompletion(m Message, maxReplies int) (c Completion, ok bool, err error) {
	head, ok := m.Header(CompletionHeader)
	if !ok {
		return c, false, nil
	}
	if err := json.Unmarshal(head, &c); err != nil {
		return Completion{}, true, fmt.Errorf("completion: header %s: %w", CompletionHeader, err)
	}
	if c.Delivery.Function == "" || (c.Status == 0) == (c.Extend <= 0) {
		return Completion{}, true, fmt.Errorf("completion: header %s: want a delivery, and a status or an extension", CompletionHeader)
	}
	if len(m.Value) > 0 {
		if c.Replies, err = ParseJSONBatch(m.Value, maxReplies); err != nil {
			return c, true, fmt.Errorf("completion of %s: %w", c.Delivery, err)
		}
	}
	return c, true, nil
}
