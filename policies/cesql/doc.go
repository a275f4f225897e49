// Package cesql parses and evaluates CloudEvents SQL 1.0 over events as they
// move inside Signalbox.
//
// The grammar is the published one, which the SDK's parser
// (github.com/cloudevents/sdk-go/sql/v2) is generated from; the tests run its
// compatibility kit and compare the two engines on generated expressions. This
// one exists because the SDK's needs an SDK event for every evaluation, hides
// its syntax tree from an index, prints lexical errors to standard error and
// goes on, counts bytes where the text says characters, and panics on input as
// plain as `a b` and SUBSTRING('abc', 2, -1).
//
// Attributes are Strings, whatever their type was on the wire: an event gives
// the same answer in every mode. Casts make `seq = 10` and `on = TRUE` work.
package cesql
