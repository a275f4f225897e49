package settings

import "strings"

// Private reports whether a variable (NAME=value) of this process's environment
// is Signalbox's own: its options and secrets, and what it shows to where its
// traces go. Functions inherit the others.
func Private(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return strings.HasPrefix(name, "SIGNALBOX_") || strings.HasPrefix(name, "OTEL_EXPORTER_OTLP") && strings.HasSuffix(name, "HEADERS")
}

// AWS reports whether a variable is one that all AWS tools know, by which they sign
// in among others.
func AWS(variable string) bool { return strings.HasPrefix(variable, "AWS_") }
