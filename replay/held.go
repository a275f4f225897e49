package replay

import (
	"encoding/json"
	"fmt"
	"slices"
)

// span is a range of offsets, to exclusive.
type span struct{ from, to int64 }

// MarshalJSON writes [from,to].
func (s span) MarshalJSON() ([]byte, error) { return json.Marshal([2]int64{s.from, s.to}) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *span) UnmarshalJSON(b []byte) error {
	var v [2]int64
	err := json.Unmarshal(b, &v)
	s.from, s.to = v[0], v[1]
	return err
}

// maxSpans bounds the ranges that are remembered. Forgetting one means that,
// should the live stream go back there after a crash, its events are delivered
// twice; by then it is far ahead.
const maxSpans = 8

// held is what is durable about one link in one partition: which events of the
// live stream it does not get from there. The zero value holds nothing back
// but has from 0; use nothing().
type held struct {
	// sent are ranges whose events the feeder has parked: Skip says true for ever.
	sent []span
	// from is where what is held back begins: every event from there on is for
	// the feeder. -1: none is, the link is live.
	from int64
	// at is where the feeder goes on: what is held back before it was parked.
	at int64
}

func nothing() held { return held{from: -1} }

// live reports whether events go to the link from the live stream.
func (h *held) live() bool { return h.from < 0 }

// wasSent reports whether the feeder has parked what stands at offset.
func (h *held) wasSent(offset int64) bool {
	for i := range h.sent {
		if h.sent[i].from <= offset && offset < h.sent[i].to {
			return true
		}
	}
	return false
}

// holding is h with everything from offset on held back.
func (h *held) holding(offset int64) held {
	return held{sent: h.sent, from: offset, at: offset}
}

// goneLive is h with everything from offset on live again.
func (h *held) goneLive(offset int64) held {
	out := held{sent: slices.Clone(h.sent), from: -1, at: offset}
	if h.from < offset {
		out.sent = append(out.sent, span{h.from, offset})
	}
	if extra := len(out.sent) - maxSpans; extra > 0 {
		out.sent = out.sent[extra:]
	}
	return out
}

// heldNotes are the notes of a link's cursor.
type heldNotes struct {
	// From is absent when the link is live.
	From *int64 `json:"from,omitempty"`
	Sent []span `json:"sent,omitempty"`
}

// cursor is h as it is committed: the offset is that of the feeder.
func (h *held) cursor() Cursor {
	n := heldNotes{Sent: h.sent}
	if h.from >= 0 {
		n.From = &h.from
	}
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // numbers only
	}
	return Cursor{Offset: max(h.at, 0), Metadata: string(b)}
}

// parseHeld reads what cursor wrote.
func parseHeld(c Cursor) (held, error) {
	var n heldNotes
	if err := json.Unmarshal([]byte(c.Metadata), &n); err != nil {
		return held{}, fmt.Errorf("cursor at %d: notes %q: %w", c.Offset, c.Metadata, err)
	}
	h := held{sent: n.Sent, from: -1, at: c.Offset}
	if n.From != nil {
		h.from = *n.From
	}
	return h, nil
}

// The names of cursors: what it is of, its name, its uid. A resource that is
// deleted and added again has another uid, and so begins anew.
const (
	linkPrefix   = "link."
	replayPrefix = "replay."
)

func linkCursor(name, uid string) string   { return linkPrefix + name + "." + uid }
func replayCursor(name, uid string) string { return replayPrefix + name + "." + uid }
