// Package eventlog is the durable log every event goes through: topics on
// Apache Kafka, or on the embedded broker of eventlog/embedded, which speaks
// the same protocol. A Log appends (acknowledged by all replicas, idempotent),
// consumes as a member of the dispatcher's group (at least once, with progress
// kept per record), and reads back (bounded, or following). The invariants
// stand in DESIGN.md.
package eventlog
