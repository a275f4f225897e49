// Package metrics holds every Prometheus instrument of Signalbox, in a
// registry of its own. Instruments without labels, or with labels known at
// start, are bound once and are fields; those of a function are bound by
// Metrics.Function, whose result a hot path keeps. Every name begins with
// signalbox_ and is listed in docs/metrics.md.
package metrics
