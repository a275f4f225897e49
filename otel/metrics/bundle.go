package metrics

import "github.com/prometheus/client_golang/prometheus"

func (m *Metrics) bundles() {
	m.bundlePolls = m.counter("signalbox_policy_bundle_polls_total",
		"Polls of policy bundles, by result: applied, unchanged or failed.", "bundle", "result")
	m.bundleFresh = m.gauge("signalbox_policy_bundle_fresh_timestamp_seconds",
		"When the policies in force were last known to be those of the bundle server, in Unix time.", "bundle")
}

// BundlePolls returns the counter of a bundle's polls that ended with result.
func (m *Metrics) BundlePolls(bundle, result string) prometheus.Counter {
	return m.bundlePolls.WithLabelValues(bundle, result)
}

// BundleFresh returns the time at which a bundle was last known to be in force.
func (m *Metrics) BundleFresh(bundle string) prometheus.Gauge {
	return m.bundleFresh.WithLabelValues(bundle)
}
