package dispatcher

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
)

// Class says in one word why a call failed. It is a metric label and stands in
// run records and dead letters.
type Class string

// The classes of failure. Besides these there are status_4xx, status_5xx and
// so on, where it was the status that failed the call.
const (
	ClassTimeout     Class = "timeout"
	ClassRefused     Class = "refused"
	ClassReset       Class = "reset"
	ClassUnreachable Class = "unreachable"
	ClassDNS         Class = "dns"
	ClassTLS         Class = "tls"
	// ClassBadAnswer is an answer that is not HTTP, or not as it says.
	ClassBadAnswer Class = "bad_answer"
	// ClassBadReply is an event in the answer that breaks the rules of CloudEvents.
	ClassBadReply Class = "bad_reply"
	// ClassTooLarge is an answer beyond MaxReplyBytes or MaxReplies.
	ClassTooLarge Class = "too_large"
	// ClassAppend is a reply that could not be appended to the log.
	ClassAppend Class = "append"
	// ClassChain is an answer whose events are beyond the budget of their chain.
	ClassChain Class = "chain"
	// ClassNotReady is a function without an endpoint.
	ClassNotReady Class = "not_ready"
	// ClassLease is a lease that ended and nothing was reported.
	ClassLease Class = "lease"
	// ClassPolicy and ClassPaused are why a delivery was dropped: a policy
	// denied it, or its link is paused.
	ClassPolicy Class = "policy"
	ClassPaused Class = "paused"
	// ClassExpired: the event's expirytime has passed. ClassDropped: somebody
	// decided so about its dead letter.
	ClassExpired Class = "expired"
	ClassDropped Class = "dropped"
)

// Final marks an error of a Chooser that would be the same again: the event is
// made a dead letter at once. The error's text stays as it is.
func Final(err error) error { return finalError{err} }

type finalError struct{ error }

// Unwrap is the error that was marked.
func (e finalError) Unwrap() error { return e.error }

func isFinal(err error) bool {
	_, final := errors.AsType[finalError](err)
	return final
}

// errNoRates: nobody counts calls over all dispatchers.
var errNoRates = errors.New("no rates")

// DeliveryError is a call that failed.
type DeliveryError struct {
	// Function is name or name@version.
	Function string
	// Attempt counts from 1.
	Attempt int
	// Status is the HTTP status; 0 when there was no answer.
	Status int
	Class  Class
	// RetryAfter is what the function asked for, bounded; 0 when it did not.
	RetryAfter time.Duration
	// Permanent failures are not repeated.
	Permanent bool
	// PutOff: the function did not take the event (429, 503, refused, not
	// ready). That spends no attempt.
	PutOff bool
	// Cause is nil when the status says it all.
	Cause error
}

// Error implements error.
func (e *DeliveryError) Error() string {
	s := "function " + e.Function + ": attempt " + strconv.Itoa(e.Attempt) + ": " + string(e.Class)
	if e.Status != 0 {
		s += " (status " + strconv.Itoa(e.Status) + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error { return e.Cause }

// reason is the failure without the function and the attempt, which stand elsewhere in a record.
func (e *DeliveryError) reason() string {
	switch {
	case e.Cause == nil:
		return "status " + strconv.Itoa(e.Status)
	case e.Status == 0:
		return string(e.Class) + ": " + e.Cause.Error()
	}
	return string(e.Class) + " (status " + strconv.Itoa(e.Status) + "): " + e.Cause.Error()
}

// statusClass is status_4xx and so on.
func statusClass(status int) Class {
	switch status / 100 {
	case 1:
		return "status_1xx"
	case 2:
		return "status_2xx"
	case 3:
		return "status_3xx"
	case 4:
		return "status_4xx"
	case 5:
		return "status_5xx"
	}
	return "status_other"
}

// errReset stands for ECONNRESET while reading, which fasthttp takes for the
// end of the body. It does not wrap it, or fasthttp would find it.
var errReset = errors.New("connection reset by peer")

// isNoAnswer reports whether a call was made, and the timeout came before the end of its answer.
func isNoAnswer(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, fasthttp.ErrTimeout) || ok && op.Op == "read" && op.Timeout()
}

// noAnswer is a call that took too long, with how long it was waited for.
type noAnswer time.Duration

// Error implements error.
func (n noAnswer) Error() string { return "no complete answer within " + time.Duration(n).String() }

// Timeout marks it as one, as net.Error does.
func (noAnswer) Timeout() bool { return true }

// classOf tells the class of a call without an answer.
func classOf(err error) Class {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	var chunk fasthttp.ErrBrokenChunk
	switch {
	case errors.As(err, &dns):
		return ClassDNS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case errors.Is(err, fasthttp.ErrTLSHandshakeTimeout), errors.Is(err, fasthttp.ErrDialTimeout):
		return ClassTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.As(err, &record), errors.As(err, &cert), errors.As(err, &alert):
		return ClassTLS
	case errors.Is(err, errReset), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, fasthttp.ErrConnectionClosed),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ClassReset
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return ClassTooLarge
	case errors.As(err, &chunk):
		return ClassBadAnswer
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Op == "remote error" || op.Op == "local error" {
			return ClassTLS // an alert
		}
		return ClassUnreachable
	}
	return ClassBadAnswer
}

// errLooped is the reason of an event beyond the hop limit.
func errLooped(ev *event.Event, hops, limit int) error {
	return fmt.Errorf("hop limit: %d functions stand in this chain and the limit is %d: the chain loops, or is too long%s", hops, limit, pathOf(ev))
}

// errAged is the reason of an event whose chain is older than the limit.
func errAged(ev *event.Event, began time.Time, age, limit time.Duration) error {
	return fmt.Errorf("chain age: this chain began at %s, %s ago, and the limit is %s: it loops, or takes too long%s",
		began.UTC().Format(time.RFC3339), age.Round(time.Second), limit, pathOf(ev))
}

// pathOf says which links a chain went through last.
func pathOf(ev *event.Event) string {
	path, _ := ev.Extension(event.ExtPath)
	if path == "" {
		return ""
	}
	return "; its last links: " + strings.ReplaceAll(path, " ", " > ")
}
