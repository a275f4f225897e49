package event

import "errors"

var errTodo = errors.New("not there yet")

// AppendPercent appends s, percent-encoded for an HTTP header value.
func AppendPercent(dst []byte, s string) []byte { return append(dst, s...) }

// DecodePercent decodes an HTTP header value.
func DecodePercent(s []byte) (string, error) { return string(s), nil }
