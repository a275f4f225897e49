package event

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of an event's data.
const maxJSONDepth = 512

// scanner reads JSON (RFC 8259) strictly from a string that is valid UTF-8.
// Its results are views of the string where nothing is escaped.
type scanner struct {
	s string
	i int
}

// fail says what was wanted at the current place.
func (r *scanner) fail(want string) error {
	got := "the end"
	if r.i < len(r.s) {
		_, size := utf8.DecodeRuneInString(r.s[r.i:])
		got = strconv.Quote(r.s[r.i : r.i+size])
	}
	return &InvalidError{"", "not JSON: offset " + strconv.Itoa(r.i) + ": " + got + ": want " + want}
}

// space skips blanks and returns the byte after them, 0 at the end.
func (r *scanner) space() byte {
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take skips blanks and then c, or fails.
func (r *scanner) take(c byte) error {
	if r.space() != c || r.i == len(r.s) {
		return r.fail(strconv.Quote(string(rune(c))))
	}
	r.i++
	return nil
}

// end checks that nothing but blanks is left.
func (r *scanner) end() error {
	if r.space(); r.i != len(r.s) {
		return r.fail("nothing more")
	}
	return nil
}

// list reads the members of an object or the items of an array, whose opening
// bracket is next, with one call of item for each.
func (r *scanner) list(closing byte, item func() error) error {
	r.i++
	if r.space() == closing {
		r.i++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch c := r.space(); {
		case c == closing:
			r.i++
			return nil
		case c == ',':
			r.i++
		default:
			return r.fail("',' or " + strconv.Quote(string(rune(closing))))
		}
	}
}

// raw reads any value, with at most depth arrays and objects in one another,
// and returns it as it stands.
func (r *scanner) raw(depth int) (string, error) {
	r.space()
	start := r.i
	err := r.skip(depth)
	return r.s[start:r.i], err
}

func (r *scanner) skip(depth int) error {
	switch c := r.space(); {
	case c == '{' || c == '[':
		if depth == 0 {
			return r.fail("at most " + strconv.Itoa(maxJSONDepth) + " levels")
		}
		if c == '[' {
			return r.skipArray(depth - 1)
		}
		return r.skipObject(depth - 1)
	case c == '"':
		_, _, err := r.quoted()
		return err
	case c == '-' || isDigit(c):
		_, err := r.number()
		return err
	}
	_, err := r.word()
	return err
}

func (r *scanner) skipArray(depth int) error {
	return r.list(']', func() error { return r.skip(depth) })
}

func (r *scanner) skipObject(depth int) error {
	return r.list('}', func() error {
		if r.space() != '"' {
			return r.fail("a member name")
		}
		if _, _, err := r.quoted(); err != nil {
			return err
		}
		if err := r.take(':'); err != nil {
			return err
		}
		return r.skip(depth)
	})
}

// word reads true, false or null.
func (r *scanner) word() (string, error) {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.s[r.i:], w) {
			r.i += len(w)
			return w, nil
		}
	}
	return "", r.fail("a value")
}

// number reads a number as it stands.
func (r *scanner) number() (string, error) {
	start := r.i
	if r.peek() == '-' {
		r.i++
	}
	if r.peek() == '0' {
		r.i++
	} else if !r.digits() {
		return "", r.fail("a digit")
	}
	if r.peek() == '.' {
		if r.i++; !r.digits() {
			return "", r.fail("a digit")
		}
	}
	if r.peek()|0x20 == 'e' {
		if r.i++; r.peek() == '+' || r.peek() == '-' {
			r.i++
		}
		if !r.digits() {
			return "", r.fail("a digit")
		}
	}
	return r.s[start:r.i], nil
}

func (r *scanner) digits() bool {
	start := r.i
	for isDigit(r.peek()) {
		r.i++
	}
	return r.i > start
}

func (r *scanner) peek() byte {
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

// quoted reads a string and returns what is between the quotes, with its
// escapes, and whether there are any.
func (r *scanner) quoted() (inside string, escapes bool, err error) {
	r.i++
	start := r.i
	for r.i < len(r.s) {
		switch c := r.s[r.i]; {
		case c == '"':
			r.i++
			return r.s[start : r.i-1], escapes, nil
		case c == '\\':
			escapes = true
			if err := r.escape(); err != nil {
				return "", false, err
			}
		case c < 0x20:
			return "", false, r.fail("no control character in a string")
		default:
			r.i++
		}
	}
	return "", false, r.fail("the end of the string")
}

// escape skips one escape sequence.
func (r *scanner) escape() error {
	r.i++
	switch r.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.i++
		return nil
	case 'u':
		r.i++
		for range 4 {
			if !isHex(r.peek()) {
				return r.fail("a hex digit")
			}
			r.i++
		}
		return nil
	}
	return r.fail("an escape sequence")
}

// str reads a string and undoes its escapes. field names it in errors: a lone
// surrogate is JSON, but no text.
func (r *scanner) str(field string) (string, error) {
	inside, escapes, err := r.quoted()
	if err != nil || !escapes {
		return inside, err
	}
	s, ok := unescape(inside)
	if !ok {
		return "", invalid(field, inside, "want no lone surrogates")
	}
	return s, nil
}

// unescape undoes the escapes of a string that quoted has read; false when
// there is a lone surrogate.
func unescape(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return text(append(out, s...)), true
		}
		out = append(out, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		if c != 'u' {
			out = append(out, unescaped(c))
			continue
		}
		r := hex4(s)
		s = s[4:]
		if utf16.IsSurrogate(r) {
			if !strings.HasPrefix(s, `\u`) {
				return "", false
			}
			if r = utf16.DecodeRune(r, hex4(s[2:])); r == utf8.RuneError {
				return "", false
			}
			s = s[6:]
		}
		out = utf8.AppendRune(out, r)
	}
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(s string) rune {
	return rune(unhex(s[0]))<<12 | rune(unhex(s[1]))<<8 | rune(unhex(s[2]))<<4 | rune(unhex(s[3]))
}

// isJSON reports whether b is one JSON value that the parser reads back.
func isJSON(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	r := scanner{s: text(b)}
	if _, err := r.raw(maxJSONDepth); err != nil {
		return false
	}
	return r.end() == nil
}

// appendQuoted appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
		} else if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, `\ufffd`...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
