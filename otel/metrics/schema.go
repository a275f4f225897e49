package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// schemaCounts counts by schema; mu guards which schemas have series.
type schemaCounts struct {
	violations *prometheus.CounterVec
	mu         sync.Mutex
	names      []string
}

func (m *Metrics) schemas() {
	m.schema.violations = m.counter("signalbox_schema_violations_total",
		"Events whose data did not satisfy a schema, by schema and mode: enforce (refused), warn (accepted) or reply (a function's answer, accepted).", "schema", "mode")
}

// SchemaViolation counts an event that did not satisfy a schema that exists;
// mode is enforce, warn or reply.
func (m *Metrics) SchemaViolation(schema, mode string) {
	m.schema.mu.Lock()
	defer m.schema.mu.Unlock()
	if !slices.Contains(m.schema.names, schema) {
		m.schema.names = append(m.schema.names, schema)
	}
	m.schema.violations.WithLabelValues(schema, mode).Inc()
}

// RetainSchemas takes away the series of schemas that are not among existing.
func (m *Metrics) RetainSchemas(existing []string) {
	m.schema.mu.Lock()
	defer m.schema.mu.Unlock()
	m.schema.names = slices.DeleteFunc(m.schema.names, func(name string) bool {
		gone := !slices.Contains(existing, name)
		if gone {
			m.schema.violations.DeletePartialMatch(prometheus.Labels{"schema": name})
		}
		return gone
	})
}
