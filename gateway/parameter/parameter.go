// Package parameter reads the parameters of requests, so that every route says
// the same of what is wrong with one.
package parameter

import (
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// maxEcho is how much of a value an answer repeats, in bytes.
const maxEcho = 64

// Clip bounds and copies what an answer repeats of a request.
func Clip(s string) string {
	if len(s) > maxEcho {
		return s[:maxEcho] + "…"
	}
	return strings.Clone(s)
}

// OneOf reads the parameter name, whose value is one of known; anything else is a
// problem.InvalidQuery that lists them.
func OneOf[T ~string](name, value string, known ...T) (T, error) {
	names := make([]string, len(known))
	for i, k := range known {
		if value == string(k) {
			return k, nil
		}
		names[i] = string(k)
	}
	return "", problem.New(problem.InvalidQuery, "%s %q: want one of %s", name, Clip(value), strings.Join(names, ", "))
}

// Time reads the parameter name: an RFC 3339 time, or a duration such as 10m,
// which is that long before now. Anything else is a problem.InvalidQuery.
func Time(name, value string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, problem.New(problem.InvalidQuery, "%s %q: want an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago, such as 10m", name, Clip(value))
}
