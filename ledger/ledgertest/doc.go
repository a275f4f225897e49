// Package ledgertest holds the conformance suite that every Redis a ledger
// runs on must pass, and a history in memory that fails on demand. Production
// code never imports it.
package ledgertest
