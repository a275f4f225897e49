package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// functionVecs are the families that have a function label.
type functionVecs struct {
	delivered *prometheus.CounterVec
	retried   *prometheus.CounterVec
	dead      *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	depth     *prometheus.GaugeVec
	parked    *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	closed    *prometheus.GaugeVec
	limit     *prometheus.GaugeVec
	leases    *prometheus.GaugeVec
	running   *prometheus.GaugeVec
	lines     *prometheus.CounterVec
	linesLost *prometheus.CounterVec

	containers containerVecs
}

// Why lines of functions are dropped.
const (
	lostRate = "rate"
	lostFull = "full"
)

// Function are the instruments of one function, bound to its name. Whoever
// calls the function keeps them. After Forget they still work and count into
// nothing, so that a late answer brings no removed series back.
type Function struct {
	// Delivered counts deliveries that ended with success.
	Delivered prometheus.Counter
	// Duration is the time of one call, in seconds.
	Duration prometheus.Observer
	// Depth is the number of deliveries waiting in the lane.
	Depth prometheus.Gauge
	// Waiting is the number of deliveries in the parked topic.
	Waiting prometheus.Gauge
	// Closed is 1 while the lane calls nothing, Limit how many calls it makes at a time.
	Closed, Limit prometheus.Gauge
	// Leases is the number of leases that are open, Running that of calls in flight.
	Leases, Running prometheus.Gauge
	// Lines counts lines that were kept; LinesDropped those above the function's
	// rate, LinesLost those for which there was no room in the buffer of the log.
	Lines, LinesDropped, LinesLost prometheus.Counter

	name string
	vecs *functionVecs

	mu        sync.Mutex
	forgotten bool
}

// Function returns the instruments of the function name, always the same ones
// until Forget. Only functions that exist may be asked for: that bounds the
// number of series. It takes no lock but the first time.
func (m *Metrics) Function(name string) *Function {
	if f, ok := (*m.functions.Load())[name]; ok {
		return f
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := *m.functions.Load()
	if f, ok := all[name]; ok {
		return f
	}
	f := &Function{
		Delivered: m.vecs.delivered.WithLabelValues(name),
		Duration:  m.vecs.duration.WithLabelValues(name),
		Depth:     m.vecs.depth.WithLabelValues(name),
		Waiting:   m.vecs.waiting.WithLabelValues(name),
		Closed:    m.vecs.closed.WithLabelValues(name),
		Limit:     m.vecs.limit.WithLabelValues(name),
		Leases:    m.vecs.leases.WithLabelValues(name),
		Running:   m.vecs.running.WithLabelValues(name),
		Lines:     m.vecs.lines.WithLabelValues(name),
		name:      name,
		vecs:      &m.vecs,

		LinesDropped: m.vecs.linesLost.WithLabelValues(name, lostRate),
		LinesLost:    m.vecs.linesLost.WithLabelValues(name, lostFull),
	}
	all = maps.Clone(all)
	all[name] = f
	m.functions.Store(&all)
	return f
}

// Retried counts a failed attempt that will be followed by another; class is
// one of the dispatcher's few classes of failure.
func (f *Function) Retried(class string) { f.count(f.vecs.retried, class) }

// Dead counts a delivery that became a dead letter; class is one of the
// dispatcher's few classes of failure.
func (f *Function) Dead(class string) { f.count(f.vecs.dead, class) }

// Parked counts a delivery that was parked; reason is one of event.ParkReason.
func (f *Function) Parked(reason string) { f.count(f.vecs.parked, reason) }

// count looks the class up, which is cheap enough for failures. The lock keeps
// a series from being made again while Forget deletes it.
func (f *Function) count(v *prometheus.CounterVec, class string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.forgotten {
		v.WithLabelValues(f.name, class).Inc()
	}
}

// Forget takes away every series of a function that was deleted. A function
// made again under that name begins at zero, with new instruments.
func (m *Metrics) Forget(function string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(function)
}

// Retain forgets every function that is not among existing.
func (m *Metrics) Retain(existing []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range *m.functions.Load() {
		if !slices.Contains(existing, name) {
			m.forget(name)
		}
	}
}

func (m *Metrics) forget(name string) {
	all := *m.functions.Load()
	f, ok := all[name]
	if !ok {
		return
	}
	all = maps.Clone(all)
	delete(all, name)
	m.functions.Store(&all)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = true
	of := prometheus.Labels{"function": name}
	m.vecs.delivered.DeletePartialMatch(of)
	m.vecs.retried.DeletePartialMatch(of)
	m.vecs.dead.DeletePartialMatch(of)
	m.vecs.duration.DeletePartialMatch(of)
	m.vecs.depth.DeletePartialMatch(of)
	m.vecs.parked.DeletePartialMatch(of)
	m.vecs.waiting.DeletePartialMatch(of)
	m.vecs.closed.DeletePartialMatch(of)
	m.vecs.limit.DeletePartialMatch(of)
	m.vecs.running.DeletePartialMatch(of)
	m.vecs.lines.DeletePartialMatch(of)
	m.vecs.linesLost.DeletePartialMatch(of)
	m.vecs.leases.DeletePartialMatch(of)
	m.vecs.containers.start.DeletePartialMatch(of)
	m.vecs.containers.failures.DeletePartialMatch(of)
}
