package dispatcher

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Caller is what the calls of one function present. It is safe for concurrent use.
type Caller interface {
	// TLS is what connections are made by, without a server's name; nil is as for
	// other functions. Connections made by another pointer are not used.
	TLS() *tls.Config
	// Present adds the headers of one call, whose delivery id names, with this body.
	// add copies the value.
	Present(id, body []byte, at time.Time, add func(name string, value []byte))
	// Refused is told of an answer 401, and reports whether another call may be let in.
	Refused() bool
	// Redact returns text without what a function's answer must not repeat.
	Redact(text []byte) []byte
}

// Callers know what calls present.
type Callers interface {
	// Of is asked before each call of a function whose spec has call. It does not
	// wait for anybody else. An error means "not yet": no attempt is spent.
	Of(fn *resource.Function) (Caller, error)
}

var (
	errNoCallers = errors.New("the function's spec has call, and nobody knows what calls present")
	errPlain     = errors.New("the function is called by http, and its call.tls wants https")
	// errTokenRefused is the cause of a call that was made with a token that is not good any more.
	errTokenRefused = errors.New("the function refused the token; the next call has another one")
)

// authenticate finds out what the call of dl at that URL presents; for a
// function whose spec says nothing that is nothing, and costs nothing.
func (l *lane) authenticate(w *worker, dl *delivery, rawURL string) error {
	fn := dl.target.Function
	if l.key.callsBack() {
		fn = l.d.callbacks
	}
	if fn.Spec.Call == nil {
		return nil
	}
	if l.d.parts.Callers == nil {
		return errNoCallers
	}
	caller, err := l.d.parts.Callers.Of(fn)
	if err != nil {
		return err
	}
	if caller.TLS() != nil && !strings.HasPrefix(rawURL, "https:") {
		return errPlain
	}
	w.caller = caller
	return nil
}

// identity is the TLS identity of the call that w makes.
func (w *worker) identity() *tls.Config {
	if w.caller == nil {
		return nil
	}
	return w.caller.TLS()
}

// present adds to the request, which is complete but for that, what the call presents.
func (w *worker) present(at time.Time) {
	if w.caller != nil {
		w.caller.Present(w.req.Header.Peek(headerIdempotency), w.req.Body(), at, w.addBytes)
	}
}

// presented looks at the failure of a call that presented something: a token
// that is no longer good spends no attempt, and nothing of it stands in a record.
func (w *worker) presented(fail *DeliveryError) *DeliveryError {
	if w.caller == nil || fail == nil {
		return fail
	}
	if fail.Status == http.StatusUnauthorized && w.caller.Refused() {
		return &DeliveryError{Class: fail.Class, Status: fail.Status, PutOff: true, Cause: errTokenRefused}
	}
	if fail.Cause != nil {
		text := fail.Cause.Error()
		if redacted := string(w.caller.Redact([]byte(text))); redacted != text {
			fail.Cause = errors.New(redacted)
		}
	}
	return fail
}
