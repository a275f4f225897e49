// Package hooks takes third parties' webhooks at /webhooks/<name>: the request
// is verified, becomes an event and goes the way of every event. What the
// signatures and events of a provider are is asked of Webhooks.
package hooks
