package wire

import (
	"bytes"
	"strings"
)

// seen counts the fields that may stand once only, and keeps what frames the body.
type seen struct {
	host, length, coding, contentType int
	// size is what Content-Length says.
	size int64
}

// request judges a request line.
func (w *Watch) request(line []byte) *Fault {
	if len(line) == 0 {
		if w.blank++; w.blank > maxBlank {
			return fault("empty lines instead of a request")
		}
		return nil
	}
	method, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(method) == 0 || !token(method) {
		return fault("a request line without a method")
	}
	end := bytes.LastIndexByte(rest, ' ')
	if end < 0 {
		return fault("a request line without a version")
	}
	switch string(rest[end+1:]) {
	case "HTTP/1.1":
		w.http11 = true
	case "HTTP/1.0":
	default:
		return fault("want HTTP/1.1")
	}
	w.phase = fieldLine
	return w.target(string(method), rest[:end])
}

// target judges the request target (RFC 9112, section 3.2).
func (w *Watch) target(method string, t []byte) *Fault {
	if len(t) == 0 || !visible(t) || bytes.IndexByte(t, '#') >= 0 {
		return fault("blanks, control characters or a fragment in the request target")
	}
	switch {
	case method == "CONNECT":
		return fault("CONNECT: this is no proxy")
	case t[0] == '/':
		return path(t)
	case len(t) == 1 && t[0] == '*' && method == "OPTIONS":
		return nil
	}
	scheme, rest, ok := strings.Cut(string(t), "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return fault("a request target that is neither a path nor a URL")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	w.authority = rest[:end]
	if w.authority == "" || !hostAndPort([]byte(w.authority)) {
		return fault("a request target that is neither a path nor a URL")
	}
	return path([]byte(rest[end:]))
}

// path wants what is percent-encoded in it to be so, and no NUL.
func path(t []byte) *Fault {
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '?':
			return nil
		case '%':
			if i+2 >= len(t) {
				return fault("a path with a broken percent-encoding")
			}
			high, ok1 := hexDigit(t[i+1])
			low, ok2 := hexDigit(t[i+2])
			if !ok1 || !ok2 || high == 0 && low == 0 {
				return fault("a path with a broken percent-encoding")
			}
			i += 2
		}
	}
	return nil
}

// field judges one line of the header block.
func (w *Watch) field(line []byte) *Fault {
	if w.fields++; w.fields > maxFields {
		return fault("too many header fields")
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !token(line[:colon]) {
		return fault("a header line without a valid name")
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	if !fieldValue(value) {
		return fault("control characters in a header value")
	}
	switch len(name) {
	case len("host"):
		if fold(name, "host") {
			return w.host(value)
		}
	case len("content-type"):
		if fold(name, "content-type") {
			w.seen.contentType++
		}
	case len("content-length"):
		if fold(name, "content-length") {
			return w.length(value)
		}
	case len("transfer-encoding"):
		if fold(name, "transfer-encoding") {
			w.seen.coding++
			if !fold(value, "chunked") {
				return fault("Transfer-Encoding: want chunked")
			}
		}
	}
	return nil
}

func (w *Watch) host(value []byte) *Fault {
	w.seen.host++
	if !hostAndPort(value) {
		return fault("a Host that is none")
	}
	if w.authority != "" && !strings.EqualFold(w.authority, string(value)) {
		return fault("a Host that is not that of the request target")
	}
	return nil
}

// length reads Content-Length: digits, and no more than a sender could send.
func (w *Watch) length(value []byte) *Fault {
	w.seen.length++
	w.seen.size = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return fault("Content-Length: want digits")
		}
		w.seen.size = w.seen.size*10 + int64(c-'0')
	}
	if len(value) == 0 || len(value) > 18 {
		return fault("Content-Length: want digits")
	}
	return nil
}

// endOfFields judges the header block as a whole and says what comes next.
func (w *Watch) endOfFields() *Fault {
	s := &w.seen
	switch {
	case s.host > 1:
		return fault("several Host headers")
	case s.host == 0 && w.http11:
		return fault("no Host header")
	case s.length > 1:
		return fault("several Content-Length headers")
	case s.coding > 1 || s.coding == 1 && s.length > 0:
		return fault("both Transfer-Encoding and Content-Length, or one of them twice")
	case s.coding == 1 && !w.http11:
		return fault("Transfer-Encoding in HTTP/1.0")
	case s.contentType > 1:
		return fault("several Content-Type headers")
	case s.coding == 1:
		w.phase = chunkLine
	case s.size > 0:
		w.phase, w.left = sizedBody, s.size
	default:
		w.next()
	}
	return nil
}
