package event

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// errNotUTF8: a header value is not UTF-8 once it is decoded.
var errNotUTF8 = errors.New("not UTF-8 when percent-decoded")

// AppendPercent appends s as an HTTP header value (CloudEvents HTTP binding
// 1.0.2, section "HTTP Header Values"): space, '"', '%' and all outside
// U+0021-7E percent-encoded as UTF-8, in upper-case hex.
func AppendPercent(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	start := 0
	for i := range len(s) {
		if c := s[i]; mustEscape(c) {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			start = i + 1
		}
	}
	return append(dst, s[start:]...)
}

func mustEscape(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }

// percentEncoded is s as a header value; s itself when nothing needs escaping.
func percentEncoded(s string) string {
	for i := range len(s) {
		if mustEscape(s[i]) {
			return text(AppendPercent(make([]byte, 0, len(s)+16), s))
		}
	}
	return s
}

// DecodePercent reads an HTTP header value: it undoes a double-quoted string
// (legacy senders) and then exactly one round of percent-encoding. Lower-case
// hex and needless escapes are accepted. A '%' that two hex digits do not follow
// stands for itself, because the SDKs of Go, JavaScript and Java send values as
// they are. What is not UTF-8 then is an error. The string is a copy.
func DecodePercent(s []byte) (string, error) {
	if !encoded(s) {
		if !utf8.Valid(s) {
			return "", errNotUTF8
		}
		return string(s), nil
	}
	b, err := appendDecoded(make([]byte, 0, len(s)), s)
	return text(b), err
}

func encoded(s []byte) bool {
	return bytes.IndexByte(s, '%') >= 0 || isQuoted(s)
}

func isQuoted(s []byte) bool { return len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' }

// appendDecoded appends the decoded value, which is never longer than s.
func appendDecoded(dst, s []byte) ([]byte, error) {
	start := len(dst)
	if isQuoted(s) {
		s = unquote(s[1 : len(s)-1])
	}
	for {
		i := bytes.IndexByte(s, '%')
		if i < 0 {
			break
		}
		dst = append(dst, s[:i]...)
		if i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			s = s[i+3:]
			continue
		}
		dst = append(dst, '%')
		s = s[i+1:]
	}
	dst = append(dst, s...)
	if !utf8.Valid(dst[start:]) {
		return dst[:start], errNotUTF8
	}
	return dst, nil
}

// unquote undoes the backslash escapes of a quoted string's inside.
func unquote(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return out
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
