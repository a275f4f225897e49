package api

import (
	"encoding/base64"
	"sort"
	"strings"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// selector is a label selector: all requirements must hold.
type selector []requirement

// requirement is one of key=value, key!=value, key, !key.
type requirement struct {
	key, value string
	// equality: the value counts; otherwise only whether the key is there.
	equality, negated bool
}

// parseSelector reads requirements separated by commas; "" selects everything.
func parseSelector(s string) (selector, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var sel selector
	for part := range strings.SplitSeq(s, ",") {
		r := parseRequirement(strings.TrimSpace(part))
		if r.key == "" || strings.ContainsAny(r.key, "=! ()") || strings.ContainsAny(r.value, "=! ()") {
			return nil, problem.New(problem.InvalidQuery, "selector %q: want key=value, key!=value, key or !key, separated by commas", parameter.Clip(part))
		}
		sel = append(sel, r)
	}
	return sel, nil
}

func parseRequirement(s string) requirement {
	if k, v, ok := strings.Cut(s, "!="); ok {
		return requirement{key: strings.TrimSpace(k), value: strings.TrimSpace(v), equality: true, negated: true}
	}
	if k, v, ok := strings.Cut(s, "="); ok {
		return requirement{key: strings.TrimSpace(k), value: strings.TrimSpace(strings.TrimPrefix(v, "=")), equality: true}
	}
	if k, ok := strings.CutPrefix(s, "!"); ok {
		return requirement{key: strings.TrimSpace(k), negated: true}
	}
	return requirement{key: s}
}

// matches: as with Kubernetes, key!=value holds for a resource without the key.
func (sel selector) matches(labels map[string]string) bool {
	for _, r := range sel {
		v, ok := labels[r.key]
		holds := ok && (!r.equality || v == r.value)
		if holds == r.negated {
			return false
		}
	}
	return true
}

// page selects the resources whose names come after the cursor.
func (sel selector) page(all []resource.Object, after string, limit int) history.Page[resource.Object] {
	var p history.Page[resource.Object]
	from := sort.Search(len(all), func(i int) bool { return all[i].Metadata.Name > after })
	for _, o := range all[from:] {
		if !sel.matches(o.Metadata.Labels) {
			continue
		}
		if len(p.Items) == limit {
			p.Next = encodeCursor(p.Items[limit-1].Metadata.Name)
			break
		}
		p.Items = append(p.Items, o)
	}
	return p
}

// A cursor is opaque: base64 of the last name of the page before.
func encodeCursor(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func decodeCursor(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", problem.New(problem.InvalidQuery, "cursor %q: want the next of a page before", parameter.Clip(s))
	}
	return string(b), nil
}
