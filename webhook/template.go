package webhook

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

var errPath = errors.New(`want a path such as body.a.b[0]["c d"]`)

// template makes a text of a request: see resource.WebhookEvent.
type template struct {
	source string
	parts  []part
}

// part is a text, or the first of alternatives that has a value.
type part struct {
	text string
	any  []value
}

// value reads something of a request; "" is that it is not there.
type value func(p *payload) string

// compileTemplate reads a template; name is the webhook's.
func compileTemplate(src, name string) (*template, error) {
	t := &template{source: src}
	for rest := src; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: rest[:open]})
		}
		if rest = rest[open:]; rest == "" {
			break
		}
		end := closing(rest)
		if end < 0 {
			return nil, fmt.Errorf("%q: a { is not closed", src)
		}
		p := part{}
		for _, alternative := range alternatives(rest[1:end]) {
			v, err := compileValue(strings.TrimSpace(alternative), name)
			if err != nil {
				return nil, fmt.Errorf("{%s}: %w", rest[1:end], err)
			}
			p.any = append(p.any, v)
		}
		t.parts, rest = append(t.parts, p), rest[end+1:]
	}
	return t, nil
}

// closing finds the } that closes the { at the beginning of s, past what is quoted.
func closing(s string) int {
	return outside(s, '}')
}

// outside finds c where it is not quoted.
func outside(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == c && !quoted:
			return i
		}
	}
	return -1
}

func alternatives(s string) []string {
	var all []string
	for {
		i := outside(s, '|')
		if i < 0 {
			return append(all, s)
		}
		all, s = append(all, s[:i]), s[i+1:]
	}
}

func compileValue(s, name string) (value, error) {
	if s == "name" {
		return func(*payload) string { return name }, nil
	}
	if strings.HasPrefix(s, `"`) {
		text, err := strconv.Unquote(s)
		if err != nil {
			return nil, errors.New("a quoted text is malformed")
		}
		return func(*payload) string { return text }, nil
	}
	kind, rest, _ := strings.Cut(s, ".")
	if kind == "body" || strings.HasPrefix(kind, "body[") {
		steps, err := parsePath(s)
		if err != nil {
			return nil, err
		}
		return func(p *payload) string { return p.at(steps[1:]) }, nil
	}
	if rest == "" {
		return nil, fmt.Errorf(`%q: want body.…, form.…, header.…, query.…, name or "text"`, s)
	}
	switch kind {
	case "form":
		return func(p *payload) string { return p.form().Get(rest) }, nil
	case "query":
		return func(p *payload) string { return p.r.query().Get(rest) }, nil
	case "header":
		header := textproto.CanonicalMIMEHeaderKey(rest)
		if isCredential(header) {
			return nil, fmt.Errorf("header %s: it holds what proves the sender, and does not go into an event", header)
		}
		return func(p *payload) string { return p.r.header(header) }, nil
	}
	return nil, fmt.Errorf(`%q: want body.…, form.…, header.…, query.…, name or "text"`, s)
}

// isCredential tells headers whose value is as good as the secret.
func isCredential(header string) bool {
	switch header {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Gitlab-Token", "X-Api-Key":
		return true
	}
	return false
}

// make makes the text; ok is false when something of it is not there.
func (t *template) make(p *payload) (text string, ok bool) {
	var b strings.Builder
	for _, part := range t.parts {
		if part.any == nil {
			b.WriteString(part.text)
			continue
		}
		v := ""
		for _, read := range part.any {
			if v = read(p); v != "" {
				break
			}
		}
		if v == "" {
			return "", false
		}
		b.WriteString(v)
	}
	return b.String(), b.Len() > 0
}
