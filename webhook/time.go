package webhook

import (
	"strconv"
	"time"
)

// layouts are how providers write times, beside Unix seconds.
var layouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", time.RFC1123Z, time.RFC1123, time.DateOnly}

// readTime reads a provider's time into RFC 3339; "" when it is none.
func readTime(s string) string {
	if s == "" {
		return ""
	}
	if t, ok := unixTime(s); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 {
			return t.UTC().Format(time.RFC3339Nano)
		}
	}
	return ""
}

// unixTime reads seconds, also with a fraction; numbers too large for seconds
// of this age are milliseconds.
func unixTime(s string) (time.Time, bool) {
	f, err := strconv.ParseFloat(s, 64)
	const year3000 = 32_503_680_000
	switch {
	case err != nil || f <= 0 || f != f || f > 1000*year3000:
		return time.Time{}, false
	case f > year3000:
		return time.UnixMilli(int64(f)), true
	}
	return time.UnixMicro(int64(f * 1e6)), true
}
