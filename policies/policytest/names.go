package policytest

import (
	"fmt"
	"strings"
)

// exportedNames are the rules that stand for the cases in what Export writes,
// in their order: test_ and the name of the case, and a number where two would
// be the same.
func (s *Suite) exportedNames() []string {
	names := make([]string, len(s.cases))
	seen := map[string]bool{}
	for i := range s.cases {
		name := "test_" + identifier(s.cases[i].Name)
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("test_%s_%d", identifier(s.cases[i].Name), n)
		}
		seen[name] = true
		names[i] = name
	}
	return names
}

// identifier is a name as a part of a rule's name.
func identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, name)
	return strings.Trim(strings.Join(strings.FieldsFunc(id, func(r rune) bool { return r == '_' }), "_"), "_")
}
