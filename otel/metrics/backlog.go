package metrics

import "github.com/prometheus/client_golang/prometheus"

// Backlog is what is not settled, as the whole log has it: every process says
// the same, so take the maximum and not the sum.
type Backlog struct {
	// BacklogEvents and BacklogParked are numbers of records not settled.
	BacklogEvents, BacklogParked prometheus.Gauge
	// BacklogLimit is the limit of both together; 0 is none.
	BacklogLimit prometheus.Gauge
	// BacklogDrain is the mean of settled records per second.
	BacklogDrain prometheus.Gauge
	// BacklogBytes is about what it takes of disk; 0 where there is no limit of that.
	BacklogBytes prometheus.Gauge
}

func (m *Metrics) backlog() {
	records := m.gauge("signalbox_backlog_records",
		"Records that no dispatcher has settled yet, by what they are: events or parked deliveries. Every gateway says the same number.", "what")
	m.BacklogEvents, m.BacklogParked = records.WithLabelValues("events"), records.WithLabelValues("parked")
	m.BacklogBytes = m.gauge("signalbox_backlog_bytes",
		"Bytes of disk that the backlog takes in one replica, by the mean size of events; 0 without --max-backlog-bytes.").WithLabelValues()
	m.BacklogLimit = m.gauge("signalbox_backlog_limit_records",
		"Backlog at which new events are refused, with --max-backlog-bytes by the size that events have now; 0 is no limit.").WithLabelValues()
	m.BacklogDrain = m.gauge("signalbox_backlog_drain_records_per_second",
		"How fast the backlog shrinks, but for what this gateway adds; what Retry-After is computed from.").WithLabelValues()
}
