package event

import (
	"errors"
	"strconv"
	"strings"
)

var (
	// ErrNotEvent: the message carries no mark of a CloudEvent at all (no ce-
	// header, no ce_ header, no CloudEvents content type). A message that has
	// one and breaks a rule is an *InvalidError instead.
	ErrNotEvent = errors.New("not a CloudEvent")
	// ErrUnsupportedFormat: a CloudEvents content type of a format other than
	// JSON, such as application/cloudevents+avro. HTTP answers 415.
	ErrUnsupportedFormat = errors.New("unsupported CloudEvents format: want JSON")
	// ErrBatchTooLong: the batch holds more events than the receiver takes.
	ErrBatchTooLong = errors.New("batch too long")
)

// InvalidError says which rule of CloudEvents 1.0 a message breaks.
type InvalidError struct {
	// Attribute is the context attribute, "data", or "" for the message as a whole.
	Attribute string
	// Problem names the value (cut short), what is wrong and what is allowed.
	Problem string
}

// Error implements error.
func (e *InvalidError) Error() string {
	if e.Attribute == "" {
		return "invalid CloudEvent: " + e.Problem
	}
	return "invalid CloudEvent: " + e.Attribute + ": " + e.Problem
}

// ItemError is what is wrong with one event of a batch.
type ItemError struct {
	// Index counts from 0.
	Index int
	Err   error
}

// BatchError lists every bad event of a batch, in order.
type BatchError struct{ Items []ItemError }

// Error implements error.
func (e *BatchError) Error() string {
	parts := make([]string, len(e.Items))
	for i, it := range e.Items {
		parts[i] = "[" + strconv.Itoa(it.Index) + "] " + it.Err.Error()
	}
	return "batch: " + strings.Join(parts, "; ")
}

// Unwrap gives the errors of the items.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, len(e.Items))
	for i := range e.Items {
		errs[i] = e.Items[i].Err
	}
	return errs
}
