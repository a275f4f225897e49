// Package history says what is asked of the past and how it is answered: the
// queries and pages with which the gateway asks whoever reads the log for it, and
// the explanations, traces, lines, tallies and what-if answers that the server
// writes as JSON and clients read.
package history
