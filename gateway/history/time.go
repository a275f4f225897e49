package history

import (
	"time"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// ParseTime reads the parameter name: an RFC 3339 time, or a duration such as
// 10m, which is that long before now.
func ParseTime(name, value string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, problem.New(problem.InvalidQuery, "%s %q: want an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago, such as 10m", name, clip(value))
}
