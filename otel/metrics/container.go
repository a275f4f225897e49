package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// containerVecs are the families of functions that run in containers of this machine.
type containerVecs struct {
	replicas *prometheus.GaugeVec
	waiting  *prometheus.GaugeVec
	start    *prometheus.HistogramVec
	failures *prometheus.CounterVec
	// shown are the functions whose gauges were set last.
	shown map[string]struct{}
}

// startBuckets are in seconds: a container may have to wait for its image.
var startBuckets = []float64{.05, .1, .2, .4, .8, 1.5, 3, 6, 15, 30, 60, 180, 600}

func (m *Metrics) containers() {
	m.vecs.containers = containerVecs{
		replicas: m.gauge("signalbox_containers",
			"Containers of a function that this process runs, by state: starting, ready or stopping.", "function", "state"),
		waiting: m.gauge("signalbox_container_calls_waiting",
			"Calls of a function that wait for a container of this process.", "function"),
		start: m.histogram("signalbox_container_start_duration_seconds",
			"Time from the decision to start a container until it took calls, its image fetched where that had to be.", startBuckets, "function"),
		failures: m.counter("signalbox_container_failures_total",
			"Containers that did not get ready, or ended though they were wanted, by cause: image, start, unready, exit, memory, killed, removed or engine. Podman says killed for memory, too.", "function", "cause"),
	}
}

// Containers are those of one function in this process.
type Containers struct {
	Starting, Ready, Stopping int
	// Waiting are calls that wait for one.
	Waiting int
}

// Containers shows how many containers functions have; others are not shown any
// more. One goroutine may call it at a time.
func (m *Metrics) Containers(byFunction map[string]Containers) {
	v := &m.vecs.containers
	for name := range v.shown {
		if _, ok := byFunction[name]; !ok {
			v.replicas.DeletePartialMatch(prometheus.Labels{"function": name})
			v.waiting.DeleteLabelValues(name)
		}
	}
	v.shown = make(map[string]struct{}, len(byFunction))
	for name, c := range byFunction {
		v.replicas.WithLabelValues(name, "starting").Set(float64(c.Starting))
		v.replicas.WithLabelValues(name, "ready").Set(float64(c.Ready))
		v.replicas.WithLabelValues(name, "stopping").Set(float64(c.Stopping))
		v.waiting.WithLabelValues(name).Set(float64(c.Waiting))
		v.shown[name] = struct{}{}
	}
}

// ContainerReady notes that a container took calls so long after its start was decided.
func (f *Function) ContainerReady(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.forgotten {
		f.vecs.containers.start.WithLabelValues(f.name).Observe(took.Seconds())
	}
}

// ContainerFailed counts a container that did not get ready, or ended; cause is one
// of the few of package container.
func (f *Function) ContainerFailed(cause string) { f.count(f.vecs.containers.failures, cause) }

// Artifacts are the instruments of the files of functions.
type Artifacts struct {
	// Here counts uses of files that were unpacked on this machine already, Fetched
	// those that were fetched for it, Unfetched those that could not be had.
	Here, Fetched, Unfetched prometheus.Counter
	// Bytes counts the packed bytes that were fetched.
	Bytes prometheus.Counter
	// Duration is how long fetching and unpacking took, in seconds.
	Duration prometheus.Observer
}

func (m *Metrics) artifacts() {
	uses := m.counter("signalbox_artifact_uses_total",
		"Uses of the files of functions, by result: here where they were unpacked on this machine already, fetched, or failed where they could not be had.", "result")
	m.Artifacts = Artifacts{
		Here: uses.WithLabelValues("here"), Fetched: uses.WithLabelValues("fetched"), Unfetched: uses.WithLabelValues("failed"),
		Bytes: m.counter("signalbox_artifact_fetched_bytes_total",
			"Bytes, packed, of the files of functions that were fetched from the store.").WithLabelValues(),
		Duration: m.histogram("signalbox_artifact_fetch_duration_seconds",
			"Time that fetching and unpacking the files of a function took.", callBuckets).WithLabelValues(),
	}
}
