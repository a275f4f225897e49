// Package ledger keeps in Redis what the log does not: the resources, changed
// by compare-and-set under one revision and announced to every replica, and
// which event (source and id) stands where in the log, so that a duplicate is
// told from a redelivery. It also counts what all replicas share: the permits of a
// rate, the events of a chain. Redis may come back empty at any time: resources are
// healed from the History, claims may be lost without losing an event. See
// DESIGN.md for the keys, the order of writes and what a crash leaves behind.
package ledger
