package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// errClaims is a payload that is no set of claims.
var errClaims = errors.New("the token's payload is not a JSON object")

// claims are those of a token; numbers are json.Number.
type claims map[string]any

func parseClaims(payload []byte) (claims, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var c claims
	if err := dec.Decode(&c); err != nil || c == nil || dec.More() {
		return nil, errClaims
	}
	return c, nil
}

// time reads a NumericDate (RFC 7519, section 2); found says whether there is one.
func (c claims) time(name string) (t time.Time, found bool, err error) {
	v, found := c[name]
	if !found {
		return t, false, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return t, true, errClaims
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 253402300799 { // the year 9999
		return t, true, errClaims
	}
	return time.Unix(int64(f), 0), true, nil
}

// names reads a claim that is a text, several joined by spaces, or a list; a
// path joined by dots leads into objects, unless a claim has that very name.
func (c claims) names(path string) []string {
	v, ok := c[path]
	if !ok {
		v = lookUp(c, strings.Split(path, "."))
	}
	var out []string
	switch v := v.(type) {
	case string:
		out = strings.Fields(v)
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return text(s) == "" })
	return out[:min(len(out), maxRoles)]
}

// maxRoles bounds the roles of one identity.
const maxRoles = 64

func lookUp(in map[string]any, path []string) any {
	v, ok := in[path[0]]
	if !ok || len(path) == 1 {
		return v
	}
	inner, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return lookUp(inner, path[1:])
}

// has reports whether the audience is among those of the token.
func (c claims) hasAudience(want string) bool {
	switch aud := c["aud"].(type) {
	case string:
		return aud == want
	case []any:
		return slices.Contains(aud, any(want))
	}
	return false
}
