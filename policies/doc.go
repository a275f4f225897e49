// Package policies decides which functions get an event: links by type and
// filter through an index, then Rego trigger policies over the candidates; and
// who may emit it: Rego admission policies. It explains both. DESIGN.md says how.
package policies
