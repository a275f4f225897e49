// Package gatewaytest holds fakes of what a gateway calls: a log and a ledger
// in memory. Production code never imports it.
package gatewaytest
