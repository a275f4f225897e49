package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/signalbox-dev/signalbox/event"
)

// What a job may reply: as many events as an answer, in as many bytes as fit
// into a report.
const (
	maxReplies    = 100
	maxReplyBytes = 512 << 10
)

// parseReplies reads the events that a job has written: values of JSON one after
// the other, or one array. What may be absent is filled in: specversion, id and
// source.
func parseReplies(b []byte, r *record) ([]*event.Event, error) {
	if len(b) > maxReplyBytes {
		return nil, fmt.Errorf("the replies have more than %d bytes", maxReplyBytes)
	}
	values, err := jsonValues(b)
	if err != nil {
		return nil, fmt.Errorf("the replies are not JSON: %w", err)
	}
	if len(values) > maxReplies {
		return nil, fmt.Errorf("%d replies: want at most %d", len(values), maxReplies)
	}
	out := make([]*event.Event, 0, len(values))
	for i, v := range values {
		e, err := parseReply(v, r, i)
		if err != nil {
			return nil, fmt.Errorf("reply %d: %w", i+1, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func jsonValues(b []byte) (values []json.RawMessage, err error) {
	if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("[")) {
		return values, json.Unmarshal(b, &values)
	}
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var v json.RawMessage
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

func parseReply(raw json.RawMessage, r *record, i int) (*event.Event, error) {
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal(raw, &attributes); err != nil {
		return nil, errors.New("want an event in the JSON format")
	}
	if attributes == nil {
		return nil, errors.New("null: want an event in the JSON format")
	}
	for name, value := range map[string]string{
		"specversion": event.SpecVersion, "id": r.Run + "-" + strconv.Itoa(i), "source": "/functions/" + r.Function,
	} {
		if attributes[name] == nil {
			attributes[name], _ = json.Marshal(value)
		}
	}
	whole, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	return event.ParseJSON(whole)
}
