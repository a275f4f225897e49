package event

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
)

// The extensions by which chains are followed. The first six are written by
// Derive only: what a function sends under these names is dropped.
const (
	// ExtCausationID is the id of the event whose function answered with this one.
	ExtCausationID = "causationid"
	// ExtCorrelationID is the id of the first event of the chain, or what its
	// sender put there.
	ExtCorrelationID = "correlationid"
	// ExtHops counts the functions between the event and the first of its chain.
	ExtHops = "signalboxhops"
	// ExtPath names the links that the chain went through last, at most maxPath
	// of them, separated by blanks; "…" stands for those before.
	ExtPath = "signalboxpath"
	// ExtChainStart is when the first event of the chain was accepted (RFC 3339).
	ExtChainStart = "chainstart"
	// ExtReplyID is the id the function gave the event, when it gave one.
	ExtReplyID = "replyid"
	// ExtTraceParent and ExtTraceState are the distributed tracing extension:
	// the trace that started the event, never rewritten on the way.
	ExtTraceParent = "traceparent"
	ExtTraceState  = "tracestate"
)

// Hop is the step of a chain from an event to one that a function answers with.
type Hop struct {
	// Link and Version (of the function) say who answered; Index is the number
	// of the event in the answer, from 0.
	Link, Version string
	Index         int
	// Began is when the chain began, see ChainStart; zero is not known.
	Began time.Time
	// Now is the time of a reply that has none.
	Now time.Time
}

// Derive makes the event that enters the log when a function answers cause with
// reply. The result is a copy of reply with lineage of our own and an id derived
// from the cause, the link, the version, the index and the reply's type, so that a
// repeated delivery gives the same source and id and deduplication drops it. An
// id that the function gave is kept in the extension replyid. The reply's source
// is kept, and the caller sets one where it is missing.
func Derive(cause, reply *Event, hop Hop) *Event {
	const lineage = 6
	e := newEvent(len(reply.Extensions) + lineage)
	room := e.Extensions
	*e = *reply
	e.Extensions = append(room, reply.Extensions...)
	e.ID = derivedID(cause, &hop, reply.Type)
	replyID := reply.ID
	if replyID == e.ID {
		replyID = ""
	}
	correlation, _ := cause.Extension(ExtCorrelationID)
	if correlation == "" {
		correlation = cause.ID
	}
	e.SetExtension(ExtCausationID, cause.ID)
	e.SetExtension(ExtCorrelationID, correlation)
	e.SetExtension(ExtHops, strconv.Itoa(min(Hops(cause), math.MaxInt32-1)+1))
	e.SetExtension(ExtPath, longerPath(cause, hop.Link))
	e.SetExtension(ExtChainStart, timestamp(hop.Began))
	e.SetExtension(ExtReplyID, replyID)
	inheritProvenance(e, cause)
	if e.Time == "" {
		e.Time = timestamp(hop.Now)
	}
	return e
}

// timestamp is t as an attribute; "" for the zero time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ChainStart is when the chain of an event began that was accepted then. What
// the event says of it counts only if it is earlier: so a sender can shorten
// the life of his own chain, and not prolong it.
func ChainStart(e *Event, accepted time.Time) time.Time {
	if s, ok := e.Extension(ExtChainStart); ok {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Before(accepted) {
			return t
		}
	}
	return accepted
}

// maxPath bounds the links in ExtPath: enough to see what a loop goes round.
const maxPath = 8

// longerPath is the path of cause with one link more.
func longerPath(cause *Event, link string) string {
	path, _ := cause.Extension(ExtPath)
	if path == "" {
		return link
	}
	if strings.Count(path, " ") >= maxPath-1 {
		path = strings.TrimPrefix(path, "… ")
		if strings.Count(path, " ") >= maxPath-1 {
			_, path, _ = strings.Cut(path, " ")
		}
		path = "… " + path
	}
	return path + " " + link
}

// derivedID is 160 bits of SHA-256 over the parts, each with its length before
// it so that no two lists of parts read alike; 32 lower-case letters and digits.
func derivedID(cause *Event, hop *Hop, replyType string) string {
	var room [512]byte
	b := append(room[:0], "signalbox reply 1"...)
	for _, part := range [...]string{cause.Source, cause.ID, hop.Link, hop.Version, replyType} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = binary.AppendVarint(b, int64(hop.Index))
	sum := sha256.Sum256(b)
	return encodeID(sum[:20])
}

// encodeID writes b in lower-case base32, which a URL, a shell and a log line
// take as it is.
func encodeID(b []byte) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding).EncodeToString(b)
}

// Hops is the event's hop count: 0 when the extension is absent or no whole
// number, at most 2147483647 (the largest Integer of CloudEvents).
func Hops(e *Event) int {
	s, _ := e.Extension(ExtHops)
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0
		}
		n = min(n*10+int(s[i]-'0'), math.MaxInt32)
	}
	return n
}
