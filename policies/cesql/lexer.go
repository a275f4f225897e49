package cesql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// token is one lexical element; text is as it was written.
type token struct {
	kind tokenKind
	text string
	pos  int
}

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokOperator
	tokKeyword
	tokString
	tokInteger
	// tokWord is letters, tokWordDigits letters and digits, tokFunction
	// letters and underscores: only the first two name attributes, only the
	// first and the last functions.
	tokWord
	tokWordDigits
	tokFunction
)

// keywords never name attributes.
var keywords = [...]string{"AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"}

// operators stand longest first.
var operators = [...]string{"!=", ">=", "<=", "<>", "=", ">", "<", "*", "/", "%", "+", "-", "(", ")", ","}

func (t token) is(kind tokenKind, text string) bool { return t.kind == kind && t.text == text }

func (t token) String() string {
	if t.kind == tokEnd {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// next reads the token at pos, blanks skipped. A keyword's text is upper-case.
func next(src string, pos int) (token, error) {
	for pos < len(src) && strings.IndexByte(" \t\r\n", src[pos]) >= 0 {
		pos++
	}
	if pos == len(src) {
		return token{kind: tokEnd, pos: pos}, nil
	}
	c := src[pos]
	switch {
	case c == '\'' || c == '"':
		return nextString(src, pos)
	case isDigit(c) || ((c == '-' || c == '+') && pos+1 < len(src) && isDigit(src[pos+1])):
		return nextNumber(src, pos), nil
	case isLetter(c):
		return nextWord(src, pos), nil
	}
	for _, op := range operators {
		if strings.HasPrefix(src[pos:], op) {
			return token{tokOperator, op, pos}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(src[pos:])
	return token{}, errorAt(src, pos, "character %q has no meaning here", r)
}

func nextString(src string, pos int) (token, error) {
	quote := src[pos]
	for i := pos + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\':
			i++
		case src[i] == quote && i+1 < len(src) && src[i+1] == quote:
			i++
		case src[i] == quote:
			return token{tokString, src[pos : i+1], pos}, nil
		}
	}
	return token{}, errorAt(src, pos, "the string has no closing %c", quote)
}

// nextNumber reads an integer, or a word that begins with digits.
func nextNumber(src string, pos int) token {
	end := pos + 1
	for end < len(src) && isDigit(src[end]) {
		end++
	}
	if isDigit(src[pos]) && end < len(src) && isLetter(src[end]) {
		return token{tokWordDigits, src[pos:wordEnd(src, end)], pos}
	}
	return token{tokInteger, src[pos:end], pos}
}

// nextWord takes the longest of: letters, letters and digits, letters and underscores.
func nextWord(src string, pos int) token {
	plain := pos
	for plain < len(src) && isLetter(src[plain]) {
		plain++
	}
	fn := plain
	for fn < len(src) && (isLetter(src[fn]) || src[fn] == '_') {
		fn++
	}
	if fn > plain {
		return token{tokFunction, src[pos:fn], pos}
	}
	if end := wordEnd(src, plain); end > plain {
		return token{tokWordDigits, src[pos:end], pos}
	}
	for _, k := range keywords {
		if strings.EqualFold(src[pos:plain], k) {
			return token{tokKeyword, k, pos}
		}
	}
	return token{tokWord, src[pos:plain], pos}
}

func wordEnd(src string, pos int) int {
	for pos < len(src) && (isLetter(src[pos]) || isDigit(src[pos])) {
		pos++
	}
	return pos
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// unquote takes the quotes off; only the escaped quote is an escape.
func unquote(text string) string {
	quote := text[:1]
	return strings.ReplaceAll(text[1:len(text)-1], `\`+quote, quote)
}

// errorAt is a parse error with the place in the expression, counted in characters from 1.
func errorAt(src string, pos int, format string, args ...any) *Error {
	before := src[:pos]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &Error{Kind: ParseError, Text: fmt.Sprintf("line %d, column %d: ", line, column) + fmt.Sprintf(format, args...)}
}
