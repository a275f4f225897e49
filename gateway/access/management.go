package access

import (
	"encoding/json"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// managesManagement reports whether the request changes a policy that says who
// may manage what, or makes one, so that only an admin can make himself more.
func (r *Request) managesManagement() bool {
	for _, o := range []*resource.Object{r.Object, r.Before} {
		if o != nil && o.Kind == resource.KindPolicy && isManagement(o) {
			return true
		}
	}
	return false
}

// isManagement reports whether a Policy is of the package signalbox.management,
// or might be: the package is read as it is usually written, and what is written
// otherwise counts as that one.
func isManagement(o *resource.Object) bool {
	var s resource.PolicySpec
	if json.Unmarshal(o.Spec, &s) != nil {
		return true
	}
	if strings.TrimSpace(s.Rego) == "" {
		return false
	}
	words := strings.Fields(withoutComments(s.Rego))
	if len(words) < 2 || words[0] != "package" {
		return true
	}
	for _, part := range strings.Split(words[1], ".") {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool {
			return c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
		}) {
			return true
		}
	}
	return words[1] == "signalbox" || words[1] == "signalbox.management" || strings.HasPrefix(words[1], "signalbox.management.")
}

// withoutComments leaves out what follows '#' up to the package: no text or raw
// string can stand before it.
func withoutComments(rego string) string {
	var b strings.Builder
	for line := range strings.Lines(rego) {
		code, _, _ := strings.Cut(line, "#")
		b.WriteString(code + "\n")
		if strings.Contains(code, "package") && len(strings.Fields(b.String())) >= 2 {
			break
		}
	}
	return b.String()
}
