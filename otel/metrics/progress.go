package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Progress is how far deliveries are that do not follow the live stream, in
// the partitions of this process: take the sum over all.
type Progress struct {
	catchUp, replay, redriven, lag *vec
}

// vec is a family of which some series come and go.
type vec struct {
	gauge   *prometheus.GaugeVec
	counter *prometheus.CounterVec
	// shown are the labels that were set last.
	shown map[string]struct{}
}

func (m *Metrics) progress() {
	m.Progress = Progress{
		catchUp: &vec{gauge: m.gauge("signalbox_catchup_records",
			"Events that a paused link was not sent yet, or one that catches up, in the partitions of this process.", "link")},
		replay: &vec{gauge: m.gauge("signalbox_replay_records",
			"Events of a replay's range that were not looked at yet, in the partitions of this process.", "replay")},
		redriven: &vec{counter: m.counter("signalbox_redrives_total",
			"Dead letters that were sent again and then ended, by outcome: delivered, dead or dropped.", "outcome")},
		lag: &vec{gauge: m.gauge("signalbox_consumer_lag_records",
			"Records of the event log that are not settled yet, by partition; of the partitions that this process owns.", "partition")},
	}
}

// Redriven counts a dead letter that was sent again and has an outcome now.
func (m *Metrics) Redriven(outcome string) { m.redriven.counter.WithLabelValues(outcome).Inc() }

// Lag shows the records not settled, by partition; others are not shown any
// more. One goroutine may call it at a time, which holds for the next two as well.
func (m *Metrics) Lag(byPartition map[int32]int64) {
	byName := make(map[string]int64, len(byPartition))
	for p, n := range byPartition {
		byName[strconv.Itoa(int(p))] = n
	}
	m.lag.show(byName)
}

// CatchUp shows how many events links have before them.
func (m *Metrics) CatchUp(byLink map[string]int64) { m.catchUp.show(byLink) }

// Replays shows how many events replays have before them.
func (m *Metrics) Replays(byReplay map[string]int64) { m.replay.show(byReplay) }

// show sets the series and takes those away that are not among them.
func (v *vec) show(values map[string]int64) {
	for name := range v.shown {
		if _, ok := values[name]; !ok {
			v.gauge.DeleteLabelValues(name)
		}
	}
	v.shown = make(map[string]struct{}, len(values))
	for name, n := range values {
		v.gauge.WithLabelValues(name).Set(float64(n))
		v.shown[name] = struct{}{}
	}
}
