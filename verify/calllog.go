package verify

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// callLog writes every call as a line of JSON, in the order in which they
// ended. It is what a finding is looked into with. A nil one writes nothing.
type callLog struct {
	mu     sync.Mutex
	enc    *json.Encoder
	err    error
	closed bool
}

func newCallLog(w io.Writer) *callLog {
	if w == nil {
		return nil
	}
	return &callLog{enc: json.NewEncoder(w)}
}

// calledLine is one line of the log.
type calledLine struct {
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended"`
	// Event is the id that was sent, Function the number of the function; of a
	// reply they are those of its cause.
	Event    string `json:"event"`
	Function int    `json:"function"`
	Reply    bool   `json:"reply,omitempty"`
	Key      int    `json:"key"`
	// Call counts the calls of the delivery, Attempt and IdempotencyKey are what the deployment says.
	Call           int    `json:"call"`
	Attempt        string `json:"attempt"`
	IdempotencyKey string `json:"idempotencyKey"`
	// Answer is success, refused (as poison), broken (the caller was gone before all was sent), or a fault.
	Answer string `json:"answer"`
	// Again: it had succeeded before.
	Again bool `json:"again,omitempty"`
}

func (l *callLog) write(p *plan, c *call, h http.Header, begun time.Time, answer string) {
	if l == nil {
		return
	}
	line := calledLine{
		Begun: begun.UTC(), Ended: time.Now().UTC(), Event: p.id(c.n), Function: c.link, Key: p.key(c.n),
		Call: c.number, Attempt: c.attempt, IdempotencyKey: h.Get("Idempotency-Key"), Answer: answer, Again: c.late,
	}
	if c.link == p.replyLink() {
		line.Function, line.Reply = c.cause, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !l.closed {
		l.err = l.enc.Encode(&line)
	}
}

// close ends the writing and returns its first error: a call that is cut off at
// the end of the run must not write to what the caller has taken back.
func (l *callLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.err
}
