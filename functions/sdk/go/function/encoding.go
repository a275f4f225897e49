package function

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The CloudEvents SDK neither decodes nor encodes the values of ce- headers, which
// the HTTP binding asks for.

// decoded returns h with the values of the ce- headers as they are meant.
func decoded(h http.Header) http.Header {
	var out http.Header
	for name, values := range h {
		if !strings.HasPrefix(name, "Ce-") || len(values) != 1 || !strings.ContainsAny(values[0], `%"`) {
			continue
		}
		if v, err := url.PathUnescape(unquoted(values[0])); err == nil && utf8.ValidString(v) {
			if out == nil {
				out = h.Clone()
			}
			out[name] = []string{v}
		}
	}
	if out == nil {
		return h
	}
	return out
}

// unquoted takes a value out of its double quotes, if it has any.
func unquoted(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const hexDigits = "0123456789ABCDEF"

// encode makes the values of ce- headers ones that a header can have.
func encode(h http.Header) {
	for name, values := range h {
		if strings.HasPrefix(name, "Ce-") && len(values) == 1 {
			h[name] = []string{encoded(values[0])}
		}
	}
}

func encoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
