// Package tracing makes the spans of Signalbox and carries trace context
// between HTTP, the event log and functions: W3C Trace Context level 2, the
// CloudEvents distributed tracing extension, and the OpenTelemetry semantic
// conventions for HTTP, messaging, FaaS and CloudEvents. A span that is not
// sampled never reaches the OpenTelemetry SDK: it is a few random bytes. See
// DESIGN.md of package otel.
package tracing
