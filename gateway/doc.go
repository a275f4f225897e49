// Package gateway is HTTP in: it takes events, shows and changes resources,
// answers questions about the past and streams the present. Its rooms are
// ingest, api and subscribe; this package joins them to one server. What it
// needs of the log, the ledger and the policies it declares as interfaces (see
// Deps); DESIGN.md says what holds.
package gateway
