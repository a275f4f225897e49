package job

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// outcome is what a run's end means for its delivery.
type outcome struct {
	// status is what a call would have been answered with.
	status  int
	reason  string
	replies []*event.Event
	// code is the exit code; exited is false when there is none.
	code   int
	exited bool
}

// maxReason bounds what is reported of a failure, in bytes.
const maxReason = 1024

// judge says what the end of the run means.
func (r *record) judge(end ending, late bool) outcome {
	o := outcome{code: end.code, exited: !end.failed}
	switch {
	case !end.failed && end.code == 0:
		return r.judgeReplies(o, &end)
	case late:
		o.status, o.reason, o.exited = http.StatusGatewayTimeout, "not done within "+r.Timeout.String(), false
	case end.failed:
		o.status, o.reason = http.StatusInternalServerError, end.reason
	case slices.Contains(r.Permanent, end.code):
		o.status, o.reason = http.StatusUnprocessableEntity, fmt.Sprintf("exit code %d (permanent)", end.code)
	default:
		o.status, o.reason = http.StatusInternalServerError, fmt.Sprintf("exit code %d", end.code)
	}
	if end.reason != "" && !end.failed && !late {
		o.reason += ": " + end.reason
	}
	o.reason = withTail(o.reason, end.tail)
	return o
}

func (r *record) judgeReplies(o outcome, end *ending) outcome {
	err := end.repliesErr
	if err == nil {
		o.replies, err = parseReplies(end.replies, r)
	}
	if err != nil {
		o.status, o.reason, o.replies = http.StatusBadGateway, withTail("exit code 0, but "+err.Error(), end.tail), nil
		return o
	}
	o.status = http.StatusOK
	return o
}

// withTail puts as much of the end of what a run wrote behind the reason as fits.
func withTail(reason, tail string) string {
	if tail = strings.TrimRight(tail, "\n"); tail == "" {
		return reason
	}
	room := maxReason - len(reason) - 1
	if room <= 0 {
		return strings.ToValidUTF8(reason[:maxReason], "")
	}
	if len(tail) > room {
		tail = tail[len(tail)-room:]
	}
	return reason + "\n" + strings.ToValidUTF8(tail, "")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (o *outcome) done() bool { return o.status == http.StatusOK }

// kind is the type of the event that tells of it.
func (o *outcome) kind() string {
	if o.done() {
		return TypeSucceeded
	}
	return TypeFailed
}

// fill adds the end to an event about the run.
func (o *outcome) fill(report *Report, took time.Duration) {
	ms := max(0, took.Milliseconds())
	report.DurationMS, report.Reason = &ms, o.reason
	report.Permanent = o.status == http.StatusUnprocessableEntity
	if o.exited {
		report.ExitCode = &o.code
	}
}

// answer is what a caller who has waited is told.
func (o *outcome) answer() answer {
	if !o.done() {
		return answer{status: o.status, body: o.reason}
	}
	if len(o.replies) == 0 {
		return answer{status: http.StatusNoContent}
	}
	return answer{status: http.StatusOK, replies: o.replies}
}
