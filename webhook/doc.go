// Package webhook verifies what third parties send and says which CloudEvent
// it becomes. It knows the signatures and the deliveries of the providers, and
// neither HTTP server nor log. DESIGN.md has its rules.
package webhook
