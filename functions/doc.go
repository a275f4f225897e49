// Package functions knows where functions are: those with a URL are there,
// those with a command are local programs that it starts, watches and stops.
// See DESIGN.md.
package functions
