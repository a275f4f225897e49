package job

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// record is what is known of a run without its data. It is kept beside the run,
// so that another process can follow it to its end.
type record struct {
	// Key names the delivery, whatever its attempt.
	Key string `json:"key"`
	// Place is where the run happens.
	Place string `json:"place"`
	// Run is the id of the run.
	Run      string `json:"run"`
	Function string `json:"function"`
	Version  string `json:"version,omitempty"`
	Link     string `json:"link"`
	Attempt  int    `json:"attempt"`
	// Index tells the events about the run from those of other attempts.
	Index int `json:"index"`
	// Delivery is what is reported of; nil for a call whose caller waits.
	Delivery *event.DeliveryToken `json:"delivery,omitempty"`
	Began    time.Time            `json:"began"`
	Timeout  time.Duration        `json:"timeoutNs"`
	// Permanent are the exit codes after which the event is not tried again.
	Permanent   []int  `json:"permanent,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
	// Namespace is where a Kubernetes Job is, KeepFor how long it stays after its report.
	Namespace string        `json:"namespace,omitempty"`
	KeepFor   time.Duration `json:"keepForNs,omitempty"`
	// Secrets names those that are masked in what the run prints.
	Secrets []string `json:"secrets,omitempty"`
	// Cause is the event in the JSON format, without its data.
	Cause json.RawMessage `json:"cause"`
}

// newRecord is the record of a run that is about to begin.
func newRecord(fn *resource.Function, d *delivery, key string, now time.Time) *record {
	j := fn.Spec.Job.WithDefaults()
	cause := *d.event
	cause.Data = nil
	r := &record{
		Key: key, Place: placeOf(fn), Run: d.run, Function: fn.Metadata.Name, Version: fn.Spec.Version, Link: d.link, Attempt: d.attempt,
		Delivery: d.token, Began: now.UTC(), Timeout: j.Timeout.D(), Permanent: j.PermanentExitCodes,
		TraceParent: d.traceParent, TraceState: d.traceState, Secrets: settings.SecretNames(fn), Cause: cause.AppendJSON(nil),
	}
	if r.Run == "" {
		r.Run = "call-" + r.Key
	}
	r.Index = -d.attempt
	if d.token != nil {
		r.Index -= d.token.Redrive << 20
	}
	return r
}

// key names the delivery to a version of a function, in one installation.
func (d *delivery) key(installation string, fn *resource.Function) string {
	h := sha256.New()
	part := func(s string) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		_, _ = h.Write([]byte(s))
	}
	for _, s := range []string{installation, fn.Metadata.Name, fn.Spec.Version, d.event.Source, d.event.ID, d.link} {
		part(s)
	}
	if d.token != nil {
		part(strconv.Itoa(d.token.Redrive))
		part(d.token.Replay)
	}
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:15])
}

// name is that of the run in what is outside of this process: a DNS label of at most
// 63 characters, made of the function's name, the key and the attempt.
func (r *record) name() string {
	const most = 24
	readable := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, r.Function)
	readable = strings.Trim(readable[:min(len(readable), most)], "-")
	return "job-" + readable + "-" + r.Key + "-" + strconv.Itoa(min(r.Attempt, 99999))
}

// cause is the event of the run, without its data.
func (r *record) cause() (*event.Event, error) { return event.ParseJSON(r.Cause) }

// secretValues are what is masked in what the run prints, as far as they are known.
func (r *record) secretValues(lookup settings.Lookup) (values [][]byte) {
	for _, name := range r.Secrets {
		if lookup == nil {
			break
		}
		if v, err := lookup(name); err == nil {
			values = append(values, v)
		}
	}
	return values
}

// traceID is the trace that the run belongs to; "" is none.
func (r *record) traceID() string {
	if parts := strings.Split(r.TraceParent, "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}
