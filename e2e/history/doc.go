// Package history notes what was sent to a system, what its functions were
// called with and what was done to the system meanwhile, and checks the promises of
// docs/delivery.md against it: nothing accepted is lost, what is repeated has a
// cause and stays within a number, and calls of an ordered link keep the order
// of each key.
package history
