// Package problem turns errors into RFC 9457 problem documents. One table
// (kinds.go) names every kind of refusal there is, and one function (Of) says
// which error is which kind; handlers return errors and never pick a status.
package problem
