// Package verifytest has a small deployment for tests of verify: in one process,
// without a log, and with mistakes that can be asked for.
package verifytest
