package resource

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration written as a string such as "30s", "200ms" or "24h".
type Duration time.Duration

// D is the standard library's duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String is the duration as manifests write it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the string form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the string form only: a bare number has no unit.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s: want a string with a unit, such as \"30s\"", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration %q: want a number with a unit, such as 200ms, 30s, 5m, 24h", s)
	}
	*d = Duration(v)
	return nil
}
