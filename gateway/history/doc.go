// Package history says what is asked of the past and how it is answered: the
// queries, pages and explanations that the API and the live stream share with
// whoever reads the log for them.
package history
