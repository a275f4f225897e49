package webhook

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// payload is what a verified request says, parsed when it is first asked for.
type payload struct {
	r *Request
	// json is what paths start from: the body, or the payload within a form.
	json   any
	parsed bool
	fields url.Values
}

// body is the JSON of the request; nil when it holds none.
func (p *payload) body() any {
	if p.parsed {
		return p.json
	}
	p.parsed = true
	raw := p.r.Body
	if p.r.isForm() {
		raw = []byte(p.form().Get("payload"))
	} else if !p.r.mayBeJSON() {
		return nil
	}
	p.json = decode(raw)
	return p.json
}

// decode reads one JSON value; nil when it is none.
func decode(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil
	}
	return v
}

// form is the body as a form; empty when it is none.
func (p *payload) form() url.Values {
	if p.fields == nil {
		p.fields = url.Values{}
		if p.r.isForm() {
			if v, err := url.ParseQuery(string(p.r.Body)); err == nil {
				p.fields = v
			}
		}
	}
	return p.fields
}

// text is the value at a path of the body, such as a.b[0].c: a string, a number
// or a Boolean; "" for everything else.
func (p *payload) text(path string) string {
	steps, err := parsePath(path)
	if err != nil || len(steps) == 0 {
		return ""
	}
	return p.at(steps)
}

// first is the first of the paths that has a value.
func (p *payload) first(paths ...string) string {
	for _, path := range paths {
		if v := p.text(path); v != "" {
			return v
		}
	}
	return ""
}

func (p *payload) at(steps []step) string {
	v := p.body()
	for _, s := range steps {
		switch have := v.(type) {
		case map[string]any:
			v = have[s.name]
		case []any:
			if s.name != "" || s.index >= len(have) {
				return ""
			}
			v = have[s.index]
		default:
			return ""
		}
	}
	return scalar(v)
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// step is one member of an object, or with name "" one element of a list.
type step struct {
	name  string
	index int
}

// parsePath reads a.b[0].c; a member with other characters is ["so written"].
func parsePath(path string) ([]step, error) {
	var steps []step
	for rest := path; rest != ""; {
		if rest[0] == '[' {
			s, after, err := parseIndex(rest)
			if err != nil {
				return nil, err
			}
			steps, rest = append(steps, s), after
		} else {
			n := strings.IndexAny(rest, ".[")
			if n < 0 {
				n = len(rest)
			}
			if n == 0 || strings.ContainsAny(rest[:n], `]" `) {
				return nil, errPath
			}
			steps, rest = append(steps, step{name: rest[:n]}), rest[n:]
		}
		if strings.HasPrefix(rest, ".") {
			if rest = rest[1:]; rest == "" || rest[0] == '.' || rest[0] == '[' {
				return nil, errPath
			}
		} else if rest != "" && rest[0] != '[' {
			return nil, errPath
		}
	}
	return steps, nil
}

// parseIndex reads [0] or ["name"] at the beginning.
func parseIndex(s string) (step, string, error) {
	if strings.HasPrefix(s, `["`) {
		quoted, err := strconv.QuotedPrefix(s[1:])
		if err != nil {
			return step{}, "", errPath
		}
		name, err := strconv.Unquote(quoted)
		after, ok := strings.CutPrefix(s[1+len(quoted):], "]")
		if err != nil || !ok || name == "" {
			return step{}, "", errPath
		}
		return step{name: name}, after, nil
	}
	digits, after, ok := strings.Cut(s[1:], "]")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil {
		return step{}, "", errPath
	}
	return step{index: int(n)}, after, nil
}
