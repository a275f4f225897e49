// Package verify proves delivery against a running Signalbox: it sends events
// whose ids it keeps, receives them with functions of its own that fail on a
// plan, and compares what was accepted with what arrived. It speaks the public
// HTTP API only. DESIGN.md has its rules.
package verify
