package resource

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KindLink connects event types to a function.
const KindLink = "Link"

// LinkSpec says which events go to which function, and how.
type LinkSpec struct {
	// Function is the name of a function, or name@version.
	Function string `json:"function"`
	// Types are exact event types or prefixes ending in '*'; an event matches
	// when one of them does. "*" alone matches every event.
	Types []string `json:"types"`
	// Filters are of the CloudEvents Subscriptions dialects; all must hold.
	Filters []Filter `json:"filters,omitempty"`
	// Order is none (default) or key: then deliveries of events with one key
	// (partitionkey, else subject) succeed one after the other, in the order of
	// the log. Events without a key have no order.
	Order string `json:"order,omitempty"`
	// StartFrom is where a new link begins in the log: latest (default),
	// earliest, or an RFC 3339 time.
	StartFrom string `json:"startFrom,omitempty"`
	// Paused links keep their place in the log and go on from there.
	Paused   bool     `json:"paused,omitempty"`
	Delivery Delivery `json:"delivery,omitzero"`
}

// LinkStatus is what a link's status says. It is computed when it is asked for.
type LinkStatus struct {
	// Access is how events find the link, such as "type com.x and source = /a",
	// or that it is tried for every event.
	Access string `json:"access"`
}

// The orders of a link, and the starts of one that are no time.
const (
	OrderNone     = "none"
	OrderKey      = "key"
	StartLatest   = "latest"
	StartEarliest = "earliest"
)

// Ordered reports whether deliveries of one key wait for one another.
func (s *LinkSpec) Ordered() bool { return s.Order == OrderKey }

// StartTime is StartFrom when that is a time.
func (s *LinkSpec) StartTime() (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s.StartFrom)
	return t, err == nil
}

// Filter is one filter of the CloudEvents Subscriptions API (0.1-wip, section
// "Filters"): exactly one dialect is set.
type Filter struct {
	Exact  map[string]string `json:"exact,omitempty"`
	Prefix map[string]string `json:"prefix,omitempty"`
	Suffix map[string]string `json:"suffix,omitempty"`
	All    []Filter          `json:"all,omitempty"`
	Any    []Filter          `json:"any,omitempty"`
	Not    *Filter           `json:"not,omitempty"`
	SQL    string            `json:"sql,omitempty"`
	// emptySQL: sql is there, and "".
	emptySQL bool
}

// Delivery says how a link calls its function. Zero values are the defaults.
type Delivery struct {
	// Timeout bounds one call; default 30s, 1ms to 1h.
	Timeout Duration `json:"timeout,omitzero"`
	// Attempts is the number of calls before the delivery is dead; default 8, 1 to 100.
	Attempts int     `json:"attempts,omitempty"`
	Backoff  Backoff `json:"backoff,omitzero"`
	// MaxAge ends retrying this long after the event entered the log; default 24h.
	MaxAge Duration `json:"maxAge,omitzero"`
	// Concurrency bounds the calls of this link in flight per dispatcher; default 64.
	Concurrency int `json:"concurrency,omitempty"`
	// Rate bounds the calls of this link per second, over all dispatchers
	// together; 0 is unbounded, else 0.001 to 1000000.
	Rate float64 `json:"rate,omitempty"`
	// AfterDead says what becomes of a key, with order key, once one of its
	// deliveries is a dead letter: hold (default) keeps the later ones until it is
	// redriven or dropped, continue goes on with them.
	AfterDead string `json:"afterDead,omitempty"`
	// Format is binary (default), structured or batch (a batch of one).
	Format string `json:"format,omitempty"`
}

// Backoff is exponential with full jitter: before attempt n+1 a random time
// between 0 and min(Max, Initial * 2^(n-1)).
type Backoff struct {
	// Initial defaults to 200ms, Max to 5m.
	Initial Duration `json:"initial,omitzero"`
	Max     Duration `json:"max,omitzero"`
}

// What becomes of a key after a dead letter.
const (
	AfterDeadHold     = "hold"
	AfterDeadContinue = "continue"
)

// The formats of a delivery.
const (
	FormatBinary     = "binary"
	FormatStructured = "structured"
	FormatBatch      = "batch"
)

// WithDefaults fills in what is zero.
func (d Delivery) WithDefaults() Delivery {
	orD := func(v *Duration, def time.Duration) {
		if *v == 0 {
			*v = Duration(def)
		}
	}
	orD(&d.Timeout, 30*time.Second)
	orD(&d.Backoff.Initial, 200*time.Millisecond)
	orD(&d.Backoff.Max, 5*time.Minute)
	orD(&d.MaxAge, 24*time.Hour)
	if d.Attempts == 0 {
		d.Attempts = 8
	}
	if d.Concurrency == 0 {
		d.Concurrency = 64
	}
	if d.AfterDead == "" {
		d.AfterDead = AfterDeadHold
	}
	if d.Format == "" {
		d.Format = FormatBinary
	}
	return d
}

// Link is a resource of kind Link.
type Link struct {
	Metadata Metadata
	Spec     LinkSpec
}

// FunctionName splits the reference name@version.
func (s *LinkSpec) FunctionName() (name, version string) {
	name, version, _ = strings.Cut(s.Function, "@")
	return name, version
}

func (s *LinkSpec) validate(Metadata) Faults {
	var f Faults
	name, version, at := strings.Cut(s.Function, "@")
	switch {
	case s.Function == "":
		f.add("spec.function", "missing: want the name of a function")
	case !nameRE.MatchString(name) || (at && !versionRE.MatchString(version)):
		f.add("spec.function", "%q: want the name of a function, or name@version", s.Function)
	}
	if len(s.Types) == 0 {
		f.add("spec.types", "empty: want at least one event type, a prefix ending in *, or \"*\"")
	}
	validateTypes(&f, "spec.types", s.Types)
	for i := range s.Filters {
		s.Filters[i].validate(&f, index("spec.filters", i))
	}
	switch s.Order {
	case "", OrderNone, OrderKey:
	default:
		f.add("spec.order", "%q: want none or key", s.Order)
	}
	if _, isTime := s.StartTime(); !isTime && s.StartFrom != "" && s.StartFrom != StartLatest && s.StartFrom != StartEarliest {
		f.add("spec.startFrom", "%q: want latest, earliest or a time such as 2026-01-02T15:04:05Z", s.StartFrom)
	}
	s.Delivery.validate(&f, "spec.delivery")
	return f
}

func (x *Filter) validate(f *Faults, field string) {
	var set []string
	uses := func(dialect string, there bool) {
		if there {
			set = append(set, dialect)
		}
	}
	for _, d := range []struct {
		name string
		of   map[string]string
	}{{"exact", x.Exact}, {"prefix", x.Prefix}, {"suffix", x.Suffix}} {
		uses(d.name, d.of != nil)
		validateAttributes(f, field+"."+d.name, d.of)
	}
	for _, d := range []struct {
		name string
		of   []Filter
	}{{"all", x.All}, {"any", x.Any}} {
		uses(d.name, d.of != nil)
		if d.of != nil && len(d.of) == 0 {
			f.add(field+"."+d.name, "empty: want at least one filter")
		}
		for i := range d.of {
			d.of[i].validate(f, index(field+"."+d.name, i))
		}
	}
	uses("not", x.Not != nil)
	if x.Not != nil {
		x.Not.validate(f, field+".not")
	}
	uses("sql", x.SQL != "" || x.emptySQL)
	if x.emptySQL {
		f.add(field+".sql", "empty: want a CESQL expression")
	}
	if len(set) != 1 {
		f.add(field, "has %d dialects %v: want exactly one of exact, prefix, suffix, all, any, not, sql", len(set), set)
	}
}

// validateAttributes checks what attributes are compared with; nil is no such dialect.
func validateAttributes(f *Faults, field string, m map[string]string) {
	if m != nil && len(m) == 0 {
		f.add(field, "empty: want at least one attribute")
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !validAttributeName(k) {
			f.add(field, "attribute %q: want lower-case letters and digits", k)
		}
		if m[k] == "" {
			f.add(field+"."+k, "empty: want a non-empty string")
		}
	}
}

func (d *Delivery) validate(f *Faults, field string) {
	within := func(name string, v Duration, low, high time.Duration) {
		if v != 0 && (v.D() < low || v.D() > high) {
			f.add(field+"."+name, "%s: want %s to %s", v, low, high)
		}
	}
	within("timeout", d.Timeout, time.Millisecond, time.Hour)
	within("backoff.initial", d.Backoff.Initial, time.Millisecond, time.Hour)
	within("backoff.max", d.Backoff.Max, time.Millisecond, 24*time.Hour)
	if b := d.WithDefaults().Backoff; b.Initial > b.Max {
		f.add(field+".backoff.initial", "%s: want at most max, which is %s", b.Initial, b.Max)
	}
	within("maxAge", d.MaxAge, time.Second, 30*24*time.Hour)
	if d.Attempts < 0 || d.Attempts > 100 {
		f.add(field+".attempts", "%d: want 1 to 100, or 0 for the default of 8", d.Attempts)
	}
	if d.Concurrency < 0 || d.Concurrency > 10000 {
		f.add(field+".concurrency", "%d: want 1 to 10000, or 0 for the default of 64", d.Concurrency)
	}
	if d.Rate != 0 && (d.Rate < 0.001 || d.Rate > 1e6 || d.Rate != d.Rate) {
		f.add(field+".rate", "%v: want 0.001 to 1000000 calls per second, or 0 for no bound", d.Rate)
	}
	switch d.AfterDead {
	case "", AfterDeadHold, AfterDeadContinue:
	default:
		f.add(field+".afterDead", "%q: want hold or continue", d.AfterDead)
	}
	switch d.Format {
	case "", FormatBinary, FormatStructured, FormatBatch:
	default:
		f.add(field+".format", "%q: want binary, structured or batch", d.Format)
	}
}

func validAttributeName(s string) bool {
	if s == "" || s == "data" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if (s[i] < 'a' || s[i] > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// UnmarshalJSON keeps the difference between an absent and an empty sql string,
// which validation refuses.
func (x *Filter) UnmarshalJSON(b []byte) error {
	type plain Filter
	var probe struct {
		plain
		SQL *string `json:"sql"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return err
	}
	*x = Filter(probe.plain)
	if probe.SQL != nil {
		x.SQL, x.emptySQL = *probe.SQL, *probe.SQL == ""
	}
	return nil
}
