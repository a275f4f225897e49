package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
)

// unsaid are the members of a line in JSON that dev shows otherwise, or that only
// machines want to know.
var unsaid = []string{"time", "level", "severity", "msg", "message", "run", "signalbox_run", "event", "trace_id", "span_id", "traceparent"}

// readable is a function's line for the terminal: one that is a JSON object with a
// message becomes that message, with its level and what else it says.
func readable(l *event.Log) string {
	level, text := l.Level, l.Line
	if message, rest, ok := messageOf(l.Line); ok {
		text = strings.Join(append([]string{message}, rest...), " ")
	}
	if level == "" {
		return text
	}
	return level + " " + text
}

// messageOf takes a line apart; rest are name=value in their order.
func messageOf(line string) (message string, rest []string, ok bool) {
	if !strings.HasPrefix(line, "{") {
		return "", nil, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	if _, err := d.Token(); err != nil {
		return "", nil, false
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return "", nil, false
		}
		key, _ := name.(string)
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		} else if key == "msg" || key == "message" {
			message, ok = text, true
		}
		if !slices.Contains(unsaid, key) {
			rest = append(rest, key+"="+text)
		}
	}
	return message, rest, ok
}
