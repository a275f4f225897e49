package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNumber bounds a number: the digits of its literal, and its exponent either
// way. The check computes with exact fractions, so 1e1000000000 would be a
// gigabyte; a float64 ends at 1e308.
const maxNumber = 400

// parse reads JSON as the validator wants it. Data that readers understand
// differently is refused: a member that stands twice, text that is not UTF-8.
func parse(data []byte, maxDepth int) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	r := reader{dec: json.NewDecoder(bytes.NewReader(data)), maxDepth: maxDepth}
	r.dec.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

type reader struct {
	dec      *json.Decoder
	maxDepth int
}

func (r *reader) value(depth int) (any, error) {
	t, err := r.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth++; depth > r.maxDepth {
			return nil, fmt.Errorf("nested deeper than %d", r.maxDepth)
		}
		if t == '{' {
			return r.object(depth)
		}
		return r.array(depth)
	case json.Number:
		return t, checkNumber(string(t))
	}
	return t, nil
}

func (r *reader) object(depth int) (any, error) {
	out := map[string]any{}
	for r.dec.More() {
		t, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // the decoder takes nothing else here
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("member %s stands twice", quoted(name))
		}
		if out[name], err = r.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.Token() // '}'
	return out, err
}

func (r *reader) array(depth int) (any, error) {
	out := []any{}
	for r.dec.More() {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := r.dec.Token() // ']'
	return out, err
}

func checkNumber(s string) error {
	digits, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	n, err := strconv.Atoi(exponent)
	if len(digits) > maxNumber || exponent != "" && (err != nil || n > maxNumber || n < -maxNumber) {
		return fmt.Errorf("number %s: want at most %d digits, and an exponent between -%d and %d", cut(s, 32), maxNumber, maxNumber, maxNumber)
	}
	return nil
}

func quoted(s string) string { return strconv.Quote(cut(s, 64)) }

// cut bounds a text to n bytes, at a character's end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
