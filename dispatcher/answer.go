package dispatcher

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// verdict is what a status means for a delivery.
type verdict uint8

const (
	verdictRetry verdict = iota
	verdictDone
	verdictReply // done, and the body may hold events
	verdictDead
)

// judge is the outcome table (Knative eventing data plane, "Event delivery").
func judge(status int) verdict {
	switch {
	case status == http.StatusOK:
		return verdictReply
	case status/100 == 2:
		return verdictDone
	case status/100 == 1, status/100 == 3:
		return verdictDead
	case status == http.StatusNotFound, status == http.StatusRequestTimeout,
		status == http.StatusConflict, status == http.StatusTooManyRequests:
		return verdictRetry
	case status/100 == 4:
		return verdictDead
	}
	return verdictRetry
}

// failure is what went wrong with a call that returned err, nil when it was a
// success whose answer may be a reply if that is what it says.
func (d *Dispatcher) failure(resp *fasthttp.Response, err error) *DeliveryError {
	status := resp.StatusCode()
	if err != nil {
		if !errors.Is(err, fasthttp.ErrBodyTooLarge) {
			class := classOf(err)
			return &DeliveryError{Class: class, Cause: err, PutOff: class == ClassRefused}
		}
		// The status came before the body that is too large.
		if judge(status) == verdictReply && claimsEvent(&resp.Header) {
			return &DeliveryError{Class: ClassTooLarge, Status: status, Cause: err}
		}
	}
	switch judge(status) {
	case verdictDead:
		return &DeliveryError{Class: statusClass(status), Status: status, Permanent: true}
	case verdictRetry:
		return &DeliveryError{Class: statusClass(status), Status: status, RetryAfter: d.retryAfter(resp, status), PutOff: busy(status)}
	}
	return nil
}

// busy reports whether a status says that the function takes nothing now.
func busy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// retryAfter is what a 429 or 503 asks for, at most MaxRetryAfter; else 0.
func (d *Dispatcher) retryAfter(resp *fasthttp.Response, status int) time.Duration {
	if !busy(status) {
		return 0
	}
	v := string(resp.Header.Peek("Retry-After"))
	if v == "" {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(v, 10, 63); err == nil {
		wait = time.Duration(min(seconds, uint64(d.cfg.MaxRetryAfter/time.Second)+1)) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(d.parts.Now())
	}
	return max(0, min(wait, d.cfg.MaxRetryAfter))
}
