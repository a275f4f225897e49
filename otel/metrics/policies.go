package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Policies are the instruments of what the policies decide.
type Policies struct {
	// MemoHits, MemoMisses and MemoOff count decisions of trigger policies that
	// were remembered, that were looked up in vain, and that cannot be remembered.
	MemoHits, MemoMisses, MemoOff prometheus.Counter
	// MemoEntries is the number of decisions remembered.
	MemoEntries prometheus.Gauge

	memoOff    *prometheus.GaugeVec
	failures   *prometheus.CounterVec
	shadow     *prometheus.CounterVec
	evaluation *prometheus.HistogramVec
	known      *knownPolicies
}

// knownPolicies are the policies that were in force last.
type knownPolicies struct {
	mu    sync.Mutex
	names []string
}

// evaluationBuckets are in seconds: most evaluations take microseconds.
var evaluationBuckets = []float64{.000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}

func (m *Metrics) policies() {
	m.known = new(knownPolicies)
	memo := m.counter("signalbox_policy_memo_lookups_total",
		"Decisions of trigger policies looked up, by result: hit, miss, or off where they cannot be remembered.", "result")
	m.MemoHits, m.MemoMisses, m.MemoOff = memo.WithLabelValues("hit"), memo.WithLabelValues("miss"), memo.WithLabelValues("off")
	m.MemoEntries = m.gauge("signalbox_policy_memo_entries",
		"Decisions of trigger policies that are remembered.").WithLabelValues()
	m.memoOff = m.gauge("signalbox_policy_memo_off",
		"1 for each trigger policy that keeps decisions from being remembered, by the first reason.", "policy", "reason")
	m.failures = m.counter("signalbox_policy_failures_total",
		"Failures of policies, by class: error, budget, or breaker where a policy was not asked because it kept failing.", "policy", "class")
	m.shadow = m.counter("signalbox_policy_shadow_total",
		"Decisions that a policy in shadow mode would have made otherwise, by difference: newly, stops, admit, refuse or error.", "policy", "difference")
	m.evaluation = m.histogram("signalbox_policy_evaluation_duration_seconds",
		"Time one evaluation of all policies of a stage took.", evaluationBuckets, "stage")
}

// PolicyFailed counts a failure of a policy.
func (p *Policies) PolicyFailed(policy, class string) {
	p.failures.WithLabelValues(policy, class).Inc()
}

// PolicyWouldDiffer counts a decision that a policy in shadow mode would have made otherwise.
func (p *Policies) PolicyWouldDiffer(policy, difference string) {
	p.shadow.WithLabelValues(policy, difference).Inc()
}

// PolicyEvaluation returns the histogram of evaluations at a stage, in seconds.
func (p *Policies) PolicyEvaluation(stage string) prometheus.Observer {
	return p.evaluation.WithLabelValues(stage)
}

// SetPolicies tells which policies are in force, and which of them keep
// decisions from being remembered, and why. The series of others are forgotten.
func (p *Policies) SetPolicies(names []string, forgetful map[string]string) {
	p.known.mu.Lock()
	defer p.known.mu.Unlock()
	p.memoOff.Reset()
	for policy, reason := range forgetful {
		p.memoOff.WithLabelValues(policy, reason).Set(1)
	}
	for _, name := range p.known.names {
		if !slices.Contains(names, name) {
			p.failures.DeletePartialMatch(prometheus.Labels{"policy": name})
			p.shadow.DeletePartialMatch(prometheus.Labels{"policy": name})
		}
	}
	p.known.names = slices.Clone(names)
}
