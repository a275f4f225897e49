package event

import (
	"net/netip"
	"strings"
)

// validURIReference checks a URI-reference of RFC 3986 (section 4.1): ASCII
// only, escapes whole, brackets nowhere but round an IP literal. It scans bytes,
// since net/url takes much that the RFC does not, and allocates.
func validURIReference(s string) bool {
	rest := s
	if colon := firstSegmentColon(s); colon >= 0 {
		if !isScheme(s[:colon]) {
			return false
		}
		rest = s[colon+1:]
	}
	if strings.HasPrefix(rest, "//") {
		rest = rest[2:]
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if !validAuthority(rest[:end]) {
			return false
		}
		rest = rest[end:]
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		return uriChars(rest[:i]) && uriChars(rest[i+1:])
	}
	return uriChars(rest)
}

// hasScheme tells a URI from a relative reference.
func hasScheme(s string) bool {
	colon := firstSegmentColon(s)
	return colon > 0 && isScheme(s[:colon])
}

// firstSegmentColon finds the colon that ends a scheme; -1 when a '/', '?' or
// '#' comes first. A relative reference cannot have one there.
func firstSegmentColon(s string) int {
	for i := range len(s) {
		switch s[i] {
		case ':':
			return i
		case '/', '?', '#':
			return -1
		}
	}
	return -1
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

func validAuthority(s string) bool {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if strings.IndexByte(s[:at], '@') >= 0 || !uriChars(s[:at]) {
			return false
		}
		s = s[at+1:]
	}
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !validIPLiteral(s[1:end]) {
			return false
		}
		host, port = "", s[end+1:]
		if port != "" && port[0] != ':' {
			return false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	for i := 1; i < len(port); i++ {
		if !isDigit(port[i]) {
			return false
		}
	}
	return uriChars(host)
}

func validIPLiteral(s string) bool {
	if s != "" && s[0]|0x20 == 'v' {
		_, address, ok := strings.Cut(s, ".")
		return ok && address != "" && uriChars(s)
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// uriChars checks the characters of a path, a query or a fragment, all of
// which may hold what the others may, and whole escapes.
func uriChars(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isLetter(c), c >= '&' && c <= ';': // & ' ( ) * + , - . / 0-9 : ;
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case c == '_', c == '~', c == '=', c == '?', c == '@', c == '!', c == '$':
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
