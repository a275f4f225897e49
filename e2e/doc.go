// Package e2e holds the whole-system tests: the built binary, real Kafka,
// Redis and Jaeger, functions in other languages and clients that are not
// ours. They run with the build tag e2e (`make e2e`).
package e2e
