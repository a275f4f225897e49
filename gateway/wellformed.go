package gateway

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// wellFormed refuses what fasthttp lets through although RFC 9112 does not:
// several or no Host headers, framing that two readers may read differently,
// bare line feeds, folded lines, bad names and control characters. It is one
// pass over the header block and allocates nothing for a good one.
func wellFormed(h *fasthttp.RequestHeader) *problem.Problem {
	proto := h.Protocol()
	if string(proto) != "HTTP/1.1" && string(proto) != "HTTP/1.0" {
		return malformed("want HTTP/1.1")
	}
	if !validMethod(h.Method()) {
		return malformed("unknown method")
	}
	if !printable(h.RequestURI()) {
		return malformed("control characters or blanks in the request target")
	}
	return wellFormedFields(h.RawHeaders(), string(proto) == "HTTP/1.1")
}

func malformed(detail string) *problem.Problem {
	return problem.New(problem.MalformedRequest, "%s", detail)
}

// seenFields counts the fields that may stand once only.
type seenFields struct{ host, length, coding, contentType int }

func wellFormedFields(raw []byte, http11 bool) *problem.Problem {
	var seen seenFields
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return malformed("a line that does not end in CR LF")
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		if p := seen.field(line); p != nil {
			return p
		}
	}
	return seen.judge(http11)
}

// field checks one line of the header block.
func (s *seenFields) field(line []byte) *problem.Problem {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !token(line[:colon]) {
		return malformed("a header line without a valid name")
	}
	value := line[colon+1:]
	if !fieldValue(value) {
		return malformed("control characters in a header value")
	}
	switch name := line[:colon]; {
	case fold(name, "host"):
		s.host++
	case fold(name, "content-length"):
		s.length++
	case fold(name, "content-type"):
		s.contentType++
	case fold(name, "transfer-encoding"):
		s.coding++
		if !fold(bytes.Trim(value, " \t"), "chunked") {
			return malformed("Transfer-Encoding: want chunked")
		}
	}
	return nil
}

func (s *seenFields) judge(http11 bool) *problem.Problem {
	switch {
	case s.host > 1:
		return malformed("several Host headers")
	case s.host == 0 && http11:
		return malformed("no Host header")
	case s.length > 1:
		return malformed("several Content-Length headers")
	case s.coding > 1 || s.coding == 1 && s.length > 0:
		return malformed("both Transfer-Encoding and Content-Length, or one of them twice")
	case s.contentType > 1:
		return malformed("several Content-Type headers")
	}
	return nil
}

// fold compares with a lower-case ASCII word, without case.
func fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// tokenChar is true for the characters of a token (RFC 9110, section 5.6.2).
var tokenChar = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

func token(b []byte) bool {
	for _, c := range b {
		if !tokenChar[c] {
			return false
		}
	}
	return true
}

// fieldValue: tab, blank, visible ASCII and bytes from 0x80 on.
func fieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// validMethod: those fiber has routes for; it answers others in plain text.
func validMethod(b []byte) bool {
	switch string(b) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}
