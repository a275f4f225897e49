package metrics

import (
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the instruments of one Signalbox process. Make one with New. All
// methods and all instruments are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	defs     []definition

	// Accepted counts events that the log has acknowledged for a sender.
	Accepted prometheus.Counter
	// AcceptDuration is the time from a request's arrival to its 202, in seconds.
	AcceptDuration prometheus.Observer
	// AppendDuration is the time one append to the event log took until it was
	// acknowledged, in seconds.
	AppendDuration prometheus.Observer
	// Chosen counts deliveries: pairs of an event and a link that matched it.
	Chosen prometheus.Counter
	// Replies counts events that functions answered with and the log has acknowledged.
	Replies prometheus.Counter
	// EndToEnd is the time from the event's timestamp in the log to the end of
	// a successful delivery, in seconds.
	EndToEnd prometheus.Observer
	// InFlight is the number of calls waiting for an answer, over all functions.
	InFlight prometheus.Gauge
	// RunsDropped counts run records that were thrown away because their queue was full.
	RunsDropped prometheus.Counter
	// DecisionsDropped counts records of the decision log that were thrown away likewise.
	DecisionsDropped prometheus.Counter
	// Revision is the revision of the resources in force.
	Revision prometheus.Gauge
	Policies
	// Links is the number of links in force; LinksUnindexed is how many of them
	// are tried on every event, because no index could hold them.
	Links          prometheus.Gauge
	LinksUnindexed prometheus.Gauge
	// TraceExportFailures counts batches of spans that could not be sent;
	// TraceSpansDropped counts the spans lost that way or to a full queue.
	TraceExportFailures prometheus.Counter
	TraceSpansDropped   prometheus.Counter

	Backlog
	Progress
	Artifacts

	refused *prometheus.CounterVec
	dropped *prometheus.CounterVec
	exports *prometheus.CounterVec
	unsent  *prometheus.CounterVec
	vecs    functionVecs
	schema  schemaCounts

	bundlePolls *prometheus.CounterVec
	bundleFresh *prometheus.GaugeVec

	// functions is read without a lock; a map is never changed once it is here.
	functions atomic.Pointer[map[string]*Function]
	// mu is held by who replaces it.
	mu sync.Mutex
}

// definition is one row of docs/metrics.md.
type definition struct {
	name   string
	kind   string
	labels []string
	help   string
}

// Buckets are in seconds. Those of calls reach further, because a call may take
// as long as its link's timeout.
var (
	fastBuckets = []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	callBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	flowBuckets = []float64{.001, .002, .003, .006, .012, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800}
)

// New makes the instruments, with the Go runtime's and the process's beside them.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.functions.Store(&map[string]*Function{})
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.intake()
	m.deliveries()
	m.containers()
	m.artifacts()
	m.backlog()
	m.bundles()
	m.progress()
	m.schemas()
	m.state()
	return m
}

func (m *Metrics) intake() {
	m.Accepted = m.counter("signalbox_events_accepted_total",
		"Events accepted: acknowledged by the log before the sender was answered.").WithLabelValues()
	m.refused = m.counter("signalbox_events_refused_total",
		"Requests to emit events that were refused, by reason.", "reason")
	m.AcceptDuration = m.histogram("signalbox_accept_duration_seconds",
		"Time from a request's arrival to its acceptance.", fastBuckets).WithLabelValues()
	m.AppendDuration = m.histogram("signalbox_log_append_duration_seconds",
		"Time an append to the event log took until it was acknowledged.", fastBuckets).WithLabelValues()
	m.dropped = m.counter("signalbox_events_dropped_total",
		"Events read from the log and dropped on purpose, by reason.", "reason")
}

func (m *Metrics) deliveries() {
	m.Chosen = m.counter("signalbox_deliveries_chosen_total",
		"Deliveries chosen: pairs of an event and a link that matched it.").WithLabelValues()
	m.vecs = functionVecs{
		delivered: m.counter("signalbox_deliveries_delivered_total",
			"Deliveries that ended with success.", "function"),
		retried: m.counter("signalbox_deliveries_retried_total",
			"Failed attempts that were followed by another, by class of the failure.", "function", "class"),
		dead: m.counter("signalbox_deliveries_dead_total",
			"Deliveries that ended as dead letters, by class of the last failure.", "function", "class"),
		duration: m.histogram("signalbox_delivery_duration_seconds",
			"Time of one call of a function.", callBuckets, "function"),
		depth: m.gauge("signalbox_lane_depth",
			"Deliveries waiting in a function's lane.", "function"),
		parked: m.counter("signalbox_deliveries_parked_total",
			"Deliveries that were parked, by reason.", "function", "reason"),
		waiting: m.gauge("signalbox_parked_records",
			"Deliveries waiting in a function's parked topic, over all dispatchers.", "function"),
		closed: m.gauge("signalbox_lane_closed",
			"1 while a function is not called, because it refuses calls or fails too often.", "function"),
		limit: m.gauge("signalbox_lane_limit",
			"Calls of a function that this process makes at a time, as its answers and the machine allow.", "function"),
		leases: m.gauge("signalbox_leases_open",
			"Deliveries that a function of this process works on under leases.", "function"),
		running: m.gauge("signalbox_lane_in_flight",
			"Calls of a function that wait for an answer, in this process.", "function"),
		lines: m.counter("signalbox_function_lines_total",
			"Lines of a function that were kept.", "function"),
		linesLost: m.counter("signalbox_function_lines_dropped_total",
			"Lines of a function that were thrown away: above its rate, or because the queue was full.", "function", "reason"),
	}
	m.Replies = m.counter("signalbox_replies_total",
		"Events that functions answered with, acknowledged by the log.").WithLabelValues()
	m.EndToEnd = m.histogram("signalbox_end_to_end_duration_seconds",
		"Time from an event's timestamp in the log to the end of a successful delivery.", flowBuckets).WithLabelValues()
	m.InFlight = m.gauge("signalbox_deliveries_in_flight",
		"Calls of functions that wait for an answer.").WithLabelValues()
	m.RunsDropped = m.counter("signalbox_runs_dropped_total",
		"Run records thrown away because their queue was full.").WithLabelValues()
	m.DecisionsDropped = m.counter("signalbox_decisions_dropped_total",
		"Records of the decision log thrown away because their queue was full.").WithLabelValues()
}

func (m *Metrics) state() {
	m.Revision = m.gauge("signalbox_resources_revision",
		"Revision of the resources in force.").WithLabelValues()
	m.policies()
	m.Links = m.gauge("signalbox_links", "Links in force.").WithLabelValues()
	m.LinksUnindexed = m.gauge("signalbox_links_unindexed",
		"Links tried on every event, because no index could hold them.").WithLabelValues()
	m.TraceExportFailures = m.counter("signalbox_trace_export_failures_total",
		"Batches of spans that could not be exported.").WithLabelValues()
	m.TraceSpansDropped = m.counter("signalbox_trace_spans_dropped_total",
		"Spans lost to a failed export or a full queue.").WithLabelValues()
	m.exports = m.counter("signalbox_otlp_export_failures_total",
		"Exports of logs or metrics over OTLP that failed, by signal.", "signal")
	m.unsent = m.counter("signalbox_otlp_dropped_total",
		"Log records, or rounds of metrics, lost to a failed export or a full queue, by signal.", "signal")
	version, revision, goVersion := build()
	m.gauge("signalbox_build_info", "Always 1; the labels say what is running.",
		"version", "revision", "goversion").WithLabelValues(version, revision, goVersion).Set(1)
}

// Refused returns the counter of requests refused for reason, a short constant
// such as "too_large". Keep it where the reason is fixed.
func (m *Metrics) Refused(reason string) prometheus.Counter {
	return m.refused.WithLabelValues(reason)
}

// Dropped returns the counter of events dropped for reason, a short constant
// such as "duplicate". Keep it where the reason is fixed.
func (m *Metrics) Dropped(reason string) prometheus.Counter {
	return m.dropped.WithLabelValues(reason)
}

// Unsent counts what was lost on its way to a collector: n records of a signal
// (logs or metrics), by a failed export or, when failed is false, a full queue.
func (m *Metrics) Unsent(signal string, n int, failed bool) {
	m.unsent.WithLabelValues(signal).Add(float64(n))
	if failed {
		m.exports.WithLabelValues(signal).Inc()
	}
}

// Gatherer gives every metric, for those who pass them on.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers with every metric, in the format the scraper asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	m.define(name, "counter", help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	m.define(name, "gauge", help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.define(name, "histogram", help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) define(name, kind, help string, labels []string) {
	m.defs = append(m.defs, definition{name: name, kind: kind, labels: labels, help: help})
}

// build reads what the linker knows; "unknown" where it knows nothing.
func build() (version, revision, goVersion string) {
	version, revision, goVersion = "unknown", "unknown", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision, goVersion
	}
	goVersion = info.GoVersion
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision, goVersion
}
