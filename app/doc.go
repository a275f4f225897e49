// Package app is the only wiring: it reads the options, starts the parts in
// order, joins each package's interfaces with their implementations and stops
// everything in the reverse order.
package app
