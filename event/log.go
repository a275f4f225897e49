package event

import "time"

// The streams of a function's lines.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
	// StreamLog is what a function said through an SDK.
	StreamLog = "log"
)

// Log is one line that a function wrote.
type Log struct {
	Time     time.Time `json:"time"`
	Function string    `json:"function"`
	Version  string    `json:"version,omitempty"`
	// Stream is stdout, stderr or log.
	Stream string `json:"stream"`
	// Level is debug, info, warning or error where the line says one.
	Level string `json:"level,omitempty"`
	// Line is the text without its end.
	Line string `json:"line"`
	// Run is the id of the run that wrote the line; "" where that is not known.
	Run string `json:"run,omitempty"`
	// Instance tells replicas apart, such as a container's id or a process's number.
	Instance string `json:"instance,omitempty"`
	TraceID  string `json:"traceId,omitempty"`
	SpanID   string `json:"spanId,omitempty"`
}
