package dispatcher

import (
	"net/url"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// The headers that Signalbox adds to an event.
const (
	headerLink        = "Signalbox-Link"
	headerAttempt     = "Signalbox-Attempt"
	headerMaxAttempts = "Signalbox-Max-Attempts"
	// headerTimeout is how long the answer is waited for, in milliseconds.
	headerTimeout     = "Signalbox-Timeout"
	headerIdempotency = "Idempotency-Key"
	headerReplay      = "Signalbox-Replay"
	// headerRun is the id of the run record that this call will have: what a
	// function prints can name it.
	headerRun = "Signalbox-Run"
	// headerDelivery is what the function reports by when it asks for a lease
	// in its answer's headerLease.
	headerDelivery = "Signalbox-Delivery"
	headerLease    = "Signalbox-Lease"
)

// The content types of the formats other than binary.
const (
	contentStructured = event.ContentTypeJSON + "; charset=utf-8"
	contentBatch      = event.ContentTypeBatch + "; charset=utf-8"
)

// prepare makes w.req the next call of dl.
func (w *worker) prepare(dl *delivery, e *endpoint, traceparent, tracestate string) {
	r := &w.req
	r.Reset()
	r.SetURI(&e.uri)
	h := &r.Header
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	h.SetMethod("POST")
	if path := event.CallPath(dl.p.rec.Event); path != "" {
		w.goTo(event.CallURL(e.url, path))
	}
	w.format(dl)
	if traceparent != "" {
		h.Add("traceparent", traceparent)
		if tracestate != "" {
			h.Add("tracestate", tracestate)
		}
	}
	h.Add("Prefer", "reply")
	h.Add(headerLink, dl.target.Link.Metadata.Name)
	w.runID = runID(dl)
	h.Add(headerRun, w.runID)
	w.value = strconv.AppendInt(w.value[:0], int64(dl.attempt), 10)
	h.AddBytesV(headerAttempt, w.value)
	w.value = strconv.AppendInt(w.value[:0], int64(dl.spec.Attempts), 10)
	h.AddBytesV(headerMaxAttempts, w.value)
	w.value = strconv.AppendInt(w.value[:0], e.timeout.Milliseconds(), 10)
	h.AddBytesV(headerTimeout, w.value)
	w.value = append(w.value[:0], dl.p.position...)
	w.value = append(w.value, '/')
	w.value = append(w.value, dl.target.Link.Metadata.Name...)
	if dl.parked != nil && dl.parked.Replay != "" {
		h.Add(headerReplay, "true")
		w.value = append(append(w.value, '/'), dl.parked.Replay...)
	}
	h.AddBytesV(headerIdempotency, w.value)
	token := tokenOf(dl)
	w.value = token.AppendTo(w.value[:0])
	h.AddBytesV(headerDelivery, w.value)
}

// goTo makes w.req one for u, at the endpoint's host. What is no URL would not have come as far
// as here, and changes nothing.
func (w *worker) goTo(u *url.URL, err error) {
	if err != nil {
		return
	}
	var uri fasthttp.URI
	uri.DisablePathNormalizing = true
	if uri.Parse(nil, requested(u)) == nil {
		w.req.SetURI(&uri)
	}
}

// format writes the event in the link's format.
func (w *worker) format(dl *delivery) {
	ev := dl.p.rec.Event
	h := &w.req.Header
	format := dl.spec.Format
	if format == resource.FormatBinary && !ev.FitsBinary() {
		format = resource.FormatStructured // its content type would make the data pass for the event
	}
	switch format {
	case resource.FormatStructured:
		w.body = ev.AppendJSON(w.body[:0])
		h.SetContentType(contentStructured)
		w.req.SetBodyRaw(w.body)
	case resource.FormatBatch:
		w.body = event.AppendJSONBatch(w.body[:0], []*event.Event{ev})
		h.SetContentType(contentBatch)
		w.req.SetBodyRaw(w.body)
	default:
		ev.VisitHTTPHeaders(w.add)
		w.req.SetBodyRaw(ev.Data)
	}
}

// keepAtMost is the size of buffers that a worker keeps from one call to the next.
const keepAtMost = 64 << 10

// forget lets go of the event and the answer.
func (w *worker) forget() {
	w.req.SetBodyRaw(nil)
	w.resp.ReleaseBody(keepAtMost)
	if cap(w.body) > keepAtMost {
		w.body = nil
	}
	w.run, w.runID, w.caller = event.Run{}, "", nil
}
