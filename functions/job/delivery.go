package job

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// delivery is an event on its way to a job.
type delivery struct {
	event *event.Event
	// token is what is reported by; nil for a call whose caller waits for the end.
	token   *event.DeliveryToken
	link    string
	attempt int
	run     string
	// patience is how long the caller waits for an answer; 0 is not known.
	patience                time.Duration
	traceParent, traceState string
}

// maxBody bounds the events that are taken.
const maxBody = 64 << 20

// callLink begins the link of synchronous calls; no name of a link has a colon.
const callLink = "invoke:"

// runRE is what ids of runs are made of: they are names of files and labels.
var runRE = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._]{0,127}$`)

// readDelivery reads what the dispatcher or the gateway sends.
func readDelivery(r *http.Request) (*delivery, error) {
	ev, err := readEvent(r)
	if err != nil {
		return nil, err
	}
	attempt, _ := strconv.Atoi(r.Header.Get("Signalbox-Attempt"))
	d := &delivery{
		event: ev, link: r.Header.Get("Signalbox-Link"), attempt: max(attempt, 1),
		traceParent: r.Header.Get("Traceparent"), traceState: r.Header.Get("Tracestate"),
	}
	if ms, err := strconv.ParseInt(r.Header.Get("Signalbox-Timeout"), 10, 32); err == nil {
		d.patience = time.Duration(ms) * time.Millisecond
	}
	if id := r.Header.Get("Signalbox-Run"); runRE.MatchString(id) {
		d.run = id
	}
	token := r.Header.Get("Signalbox-Delivery")
	if token == "" || d.link == "" || strings.HasPrefix(d.link, callLink) {
		if d.link == "" {
			d.link = callLink
		}
		return d, nil // a caller's own headers say nothing of a delivery
	}
	t, err := event.ParseDeliveryToken(token)
	if err != nil {
		return nil, err
	}
	d.token, d.attempt = &t, t.Attempt
	if d.run == "" {
		d.run = event.RunID(t.Position, t.Link, t.Attempt)
	}
	return d, nil
}

// readEvent reads the event in any mode.
func readEvent(r *http.Request) (*event.Event, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	return event.ParseOne(r.Header.Get("Content-Type"), event.Headers(r.Header), body)
}
