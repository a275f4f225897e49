package function

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Permanent marks err as one that no further attempt can help: the event becomes a
// dead letter. It is nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &failure{cause: err, status: http.StatusUnprocessableEntity}
}

// Retry marks err as one that another attempt may help after so long; no attempt is
// spent then. Zero leaves the time to the gateway, and spends an attempt. It is nil
// for nil.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &failure{cause: err, status: http.StatusServiceUnavailable, after: after}
}

// failure is an error with the status it is answered with.
type failure struct {
	cause  error
	status int
	after  time.Duration
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// answer is the status and the Retry-After header of what a handler returned.
func answer(err error) (status int, retryAfter string) {
	var f *failure
	if !errors.As(err, &f) {
		return http.StatusInternalServerError, ""
	}
	if f.after > 0 {
		retryAfter = strconv.Itoa(max(1, int(math.Ceil(f.after.Seconds()))))
	}
	return f.status, retryAfter
}
