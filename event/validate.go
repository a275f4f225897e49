package event

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNameLength bounds attribute names. CloudEvents says a name SHOULD be at
// most 20 characters, so longer ones of strangers are taken, up to here.
const maxNameLength = 64

// Validate reports the first rule of CloudEvents 1.0.2 ("Context Attributes",
// "Type System") that the event breaks, as an *InvalidError; nil when it breaks
// none. It does not look at the data. A valid event costs no allocation.
func (e *Event) Validate() error {
	if err := e.validateRequired(); err != nil {
		return err
	}
	if err := e.validateOptional(); err != nil {
		return err
	}
	for i := range e.Extensions {
		x := &e.Extensions[i]
		if err := validateName(x.Name); err != nil {
			return err
		}
		if i > 0 && e.Extensions[i-1].Name >= x.Name {
			return unsorted(e.Extensions[i-1].Name, x.Name)
		}
		if !validString(x.Value) {
			return invalidString(x.Name, x.Value)
		}
	}
	return nil
}

func (e *Event) validateRequired() error {
	switch {
	case e.ID == "":
		return missing("id")
	case e.Source == "":
		return missing("source")
	case e.Type == "":
		return missing("type")
	case !validString(e.ID):
		return invalidString("id", e.ID)
	case !validURIReference(e.Source):
		return invalid("source", e.Source, "want a URI-reference (RFC 3986)")
	case !validString(e.Type):
		return invalidString("type", e.Type)
	}
	return nil
}

func (e *Event) validateOptional() error {
	switch {
	case !validString(e.Subject):
		return invalidString("subject", e.Subject)
	case e.Time != "" && !validTime(e.Time):
		return invalid("time", e.Time, "want an RFC 3339 time, such as 2026-01-31T12:00:00Z")
	case e.DataContentType != "" && !validMediaType(e.DataContentType):
		return invalid("datacontenttype", e.DataContentType, "want a media type, such as application/json")
	case e.DataSchema != "" && !(hasScheme(e.DataSchema) && validURIReference(e.DataSchema)):
		return invalid("dataschema", e.DataSchema, "want an absolute URI (RFC 3986)")
	}
	return nil
}

func unsorted(before, name string) error {
	if before == name {
		return &InvalidError{name, "stands twice: want it once"}
	}
	return &InvalidError{name, "stands after " + quoted(before) + ": want extensions sorted by name"}
}

func missing(attribute string) error {
	return &InvalidError{attribute, "missing or empty: want a non-empty string"}
}

func invalid(attribute, value, want string) error {
	return &InvalidError{attribute, quoted(value) + ": " + want}
}

func invalidString(attribute, value string) error {
	return invalid(attribute, value, "want valid UTF-8 without control characters and noncharacters")
}

// quoted quotes a value for an error, cut after 64 bytes.
func quoted(value string) string {
	const limit = 64
	if len(value) <= limit {
		return strconv.Quote(value)
	}
	cut := limit
	for cut > limit-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return strconv.Quote(value[:cut]) + "…"
}

// validateName checks the name of an extension.
func validateName(name string) error {
	if !nameSyntax(name) {
		return &InvalidError{shortName(name), "name " + quoted(name) + ": want 1 to " + strconv.Itoa(maxNameLength) + " lower-case letters and digits"}
	}
	if reservedName(name) {
		return &InvalidError{name, "name " + quoted(name) + ": not allowed for an extension"}
	}
	return nil
}

func shortName(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxNameLength)], "")
}

func nameSyntax(name string) bool {
	if name == "" || len(name) > maxNameLength {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && !isDigit(c) {
			return false
		}
	}
	return true
}

// reservedName tells the names that an extension must not have.
func reservedName(name string) bool {
	switch name {
	case "data", "id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema":
		return true
	}
	return false
}

// validString checks the type String: Unicode without U+0000-1F, U+007F-9F and
// noncharacters. UTF-8 cannot hold lone surrogates.
func validString(s string) bool {
	for i := range len(s) {
		if c := s[i]; c-0x20 >= 0x5f {
			return c >= utf8.RuneSelf && validUnicode(s[i:])
		}
	}
	return true
}

func validUnicode(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1,
			r < 0x20, r >= 0x7f && r <= 0x9f,
			r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			return false
		}
		i += size
	}
	return true
}

// validMediaType checks type "/" subtype *( OWS ";" OWS [ parameter ] ), RFC
// 9110 section 8.3.1, which allows an empty parameter.
func validMediaType(s string) bool {
	n := tokenLength(s)
	if n == 0 || n == len(s) || s[n] != '/' {
		return false
	}
	s = s[n+1:]
	if n = tokenLength(s); n == 0 {
		return false
	}
	for s = trimBlank(s[n:]); s != ""; s = trimBlank(s[n:]) {
		if s[0] != ';' {
			return false
		}
		if s = trimBlank(s[1:]); s == "" || s[0] == ';' {
			n = 0
			continue
		}
		if n = parameterLength(s); n == 0 {
			return false
		}
	}
	return true
}

// parameterLength is the length of token "=" ( token / quoted-string ) at the
// start of s; 0 when there is none.
func parameterLength(s string) int {
	name := tokenLength(s)
	if name == 0 || name == len(s) || s[name] != '=' {
		return 0
	}
	v := s[name+1:]
	if v == "" || v[0] != '"' {
		if n := tokenLength(v); n > 0 {
			return name + 1 + n
		}
		return 0
	}
	for i := 1; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			return name + 1 + i + 1
		case c == '\\':
			i++
		case c < 0x20 && c != '\t', c >= 0x7f:
			return 0
		}
	}
	return 0
}

func tokenLength(s string) int {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return i
		}
	}
	return len(s)
}

func isTokenChar(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func trimBlank(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
