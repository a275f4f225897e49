package sink

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// Record is a record of a topic.
type Record struct {
	// Topic is its name without the prefix.
	Topic string
	event.Record
}

// document is a record as the index gets it. Its id is made of its place in the
// log, so that a record that is written again is the same document.
type document struct {
	index, id string
	// source is JSON on one line.
	source []byte
	record *Record
}

func documentOf(prefix string, r *Record) document {
	return document{
		index:  prefix + r.Topic + "-" + r.Timestamp.UTC().Format("2006.01.02"),
		id:     r.Topic + "-" + strings.ReplaceAll(r.Position.String(), ":", "-"),
		source: sourceOf(r), record: r,
	}
}

// sourceOf is what the record holds, with its place and its time in the log. What
// is no JSON is kept as text.
func sourceOf(r *Record) []byte {
	body := []byte(nil)
	switch {
	case r.Topic == "events" && r.Event != nil:
		body = r.Event.AppendJSON(nil)
	case r.Topic == "dead":
		body = deadLetter(r)
	default:
		body = r.Message.Value
	}
	if len(body) > 0 && body[0] == '{' && json.Valid(body) {
		return joined(r, body)
	}
	return rejected(r, "the record holds no JSON object")
}

// deadLetter is the letter with the names of its event, or the decision about one.
func deadLetter(r *Record) []byte {
	if v, ok := r.Message.Header(event.ResolutionHeader); ok {
		return v
	}
	head, ok := r.Message.Header(event.DeadLetterHeader)
	d, err := event.ParseDeadLetter(r.Message)
	members := map[string]any{}
	if !ok || err != nil || d.Event == nil || json.Unmarshal(head, &members) != nil {
		return head
	}
	members["eventSource"], members["eventId"], members["eventType"] = d.Event.Source, d.Event.ID, d.Event.Type
	b, _ := json.Marshal(members) // it was JSON before
	return b
}

// joined puts the members of our own before those of an object, on one line.
func joined(r *Record, object []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(object) + 128)
	out.WriteString(`{"@timestamp":"`)
	out.WriteString(r.Timestamp.UTC().Format(time.RFC3339Nano))
	out.WriteString(`","logPosition":"`)
	out.WriteString(r.Position.String())
	out.WriteByte('"')
	rest := bytes.TrimLeft(object[1:], " \t\r\n")
	if rest[0] != '}' {
		out.WriteByte(',')
	}
	if bytes.ContainsAny(rest, "\n\r") { // they stand between tokens only
		var compact bytes.Buffer
		if json.Compact(&compact, object) == nil {
			rest = compact.Bytes()[1:]
		}
	}
	out.Write(rest)
	return out.Bytes()
}

// rejected is the document of a record that the index cannot take as it is: the
// text is kept, and can be read, but not searched.
func rejected(r *Record, why string) []byte {
	b, _ := json.Marshal(map[string]any{ // strings only: it cannot fail
		"@timestamp": r.Timestamp.UTC().Format(time.RFC3339Nano), "logPosition": r.Position.String(), "rejected": clip(why, 1000),
		"raw": clip(strings.ToValidUTF8(string(r.Message.Value), "\uFFFD"), 64<<10),
	})
	return b
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// template is how fields are indexed: strings as they are, lines and reasons as
// text too, and the data of events not at all, since each type has other fields.
func template(prefix string) []byte {
	keyword := map[string]any{"type": "keyword", "ignore_above": 1024}
	text := map[string]any{"type": "text", "fields": map[string]any{"keyword": keyword}}
	b, _ := json.Marshal(map[string]any{
		"index_patterns": []string{prefix + "*"},
		"priority":       100,
		"template": map[string]any{
			"settings": map[string]any{"number_of_shards": 1, "index.mapping.ignore_malformed": true},
			"mappings": map[string]any{
				"dynamic_templates": []any{map[string]any{"strings": map[string]any{"match_mapping_type": "string", "mapping": keyword}}},
				"date_detection":    false,
				"properties": map[string]any{
					"@timestamp": map[string]any{"type": "date"}, "time": map[string]any{"type": "date"},
					"line": text, "reason": text, "durationMs": map[string]any{"type": "double"},
					"data": map[string]any{"type": "object", "enabled": false}, "raw": map[string]any{"type": "keyword", "index": false, "doc_values": false},
					"before": map[string]any{"type": "object", "enabled": false}, "after": map[string]any{"type": "object", "enabled": false},
					"identity": map[string]any{"type": "object", "enabled": false}, "event": map[string]any{"type": "object", "enabled": false},
				},
			},
		},
	})
	return b
}
