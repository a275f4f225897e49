package scripts

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// maxFrame bounds what a worker may say at a time.
const maxFrame = 64 << 20

// toWorker is what is written to a worker: a run, or the answer to a question.
type toWorker struct {
	Do       string                     `json:"do"` // run or answer
	Event    json.RawMessage            `json:"event,omitempty"`
	Function string                     `json:"function,omitempty"`
	Version  string                     `json:"version,omitempty"`
	Run      string                     `json:"run,omitempty"`
	Link     string                     `json:"link,omitempty"`
	Attempt  int                        `json:"attempt,omitempty"`
	Replay   bool                       `json:"replay,omitempty"`
	Config   map[string]json.RawMessage `json:"config,omitempty"`
	// Error, ID and Value answer a question.
	Error string  `json:"error,omitempty"`
	ID    string  `json:"id,omitempty"`
	Value *string `json:"value,omitempty"`
}

// fromWorker is what a worker says.
type fromWorker struct {
	Is string `json:"is"` // ready, send, state, log, done or failed
	// Runtime is the interpreter's name and version (ready).
	Runtime string `json:"runtime"`
	// Event is in the CloudEvents JSON format, without id, and perhaps source (send).
	Event json.RawMessage `json:"event"`
	// Op is get, set or delete (state).
	Op    string  `json:"op"`
	Key   string  `json:"key"`
	Value *string `json:"value"`
	// Level and Message are a line of the log.
	Level   string `json:"level"`
	Message string `json:"message"`
	// Error and Trace say why a run failed; Permanent that no attempt can help, After
	// that another one makes sense in so many seconds.
	Error     string   `json:"error"`
	Trace     string   `json:"trace"`
	Permanent bool     `json:"permanent"`
	After     *float64 `json:"after"`
	// Ended: the worker ends with this run (done or failed).
	Ended bool `json:"ended"`
}

func writeFrame(w io.Writer, m *toWorker) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	frame := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

func readFrame(r io.Reader) (m fromWorker, err error) {
	var head [4]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return m, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return m, fmt.Errorf("a frame of %d bytes: want at most %d", n, maxFrame)
	}
	body := make([]byte, n)
	if _, err = io.ReadFull(r, body); err != nil {
		return m, err
	}
	return m, json.Unmarshal(body, &m)
}
