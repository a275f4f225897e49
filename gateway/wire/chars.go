package wire

import "bytes"

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

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The characters of a token (RFC 9110, section 5.6.2), of a name in Host (RFC 3986,
// section 3.2.2, where percent-encoding has no use), and of an address in brackets.
var (
	tokenChar   = set("!#$%&'*+-.^_`|~" + alphanumeric)
	hostChar    = set("-._~!$&'()*+,;=" + alphanumeric)
	addressChar = set("-._~:%" + alphanumeric)
	digit       = set("0123456789")
)

func set(chars string) (t [256]bool) {
	for _, c := range []byte(chars) {
		t[c] = true
	}
	return t
}

func all(b []byte, chars *[256]bool) bool {
	for _, c := range b {
		if !chars[c] {
			return false
		}
	}
	return true
}

func token(b []byte) bool { return all(b, &tokenChar) }

// A zone is what alone is percent-encoded in an address (RFC 6874).
var percent, zone = []byte("%"), []byte("%25")

// hostAndPort: a name or an address, in brackets if it has colons, and a port if
// there is a colon after it. It may be empty, as where a target names no host.
func hostAndPort(b []byte) bool {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !all(b[1:end], &addressChar) || bytes.Count(b[:end], percent) != bytes.Count(b[:end], zone) {
			return false
		}
		if b = b[end+1:]; len(b) > 0 && b[0] != ':' {
			return false
		}
	}
	name, port, _ := bytes.Cut(b, []byte{':'})
	return all(name, &hostChar) && all(port, &digit) && len(port) <= len("65535")
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

func visible(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
