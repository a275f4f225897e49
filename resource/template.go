package resource

import (
	"fmt"
	"regexp"
	"strings"
)

// TemplatePart is plain Text, or the Name of what stands in its place.
type TemplatePart struct {
	Text string
	Name string
}

// templateNameRE: an attribute of the event, its data or a field of these, a file.
var templateNameRE = regexp.MustCompile(`^([a-z0-9]{1,64}|data(\.[A-Za-z0-9_-]{1,128})+|file\.(event|data|replies))$`)

// ParseTemplate reads an argument of a job. {id} and the like are attributes of
// the event; {data} its data; {data.order.items.0} a field of data that are JSON;
// {file.event}, {file.data} and {file.replies} the paths of the run's files. {{ and }} are braces.
func ParseTemplate(s string) (parts []TemplatePart, err error) {
	text := strings.Builder{}
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, TemplatePart{Text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(s) && s[i+1] == c:
			text.WriteByte(c)
			i++
		case c == '{':
			name, _, closed := strings.Cut(s[i+1:], "}")
			if !closed || !templateNameRE.MatchString(name) {
				return nil, fmt.Errorf("%q: want {name of an attribute}, {data}, {data.field}, {file.event}, {file.data} or {file.replies}, and {{ for a brace", cut(s))
			}
			flush()
			parts = append(parts, TemplatePart{Name: name})
			i += len(name) + 1
		case c == '}':
			return nil, fmt.Errorf("%q: has a } without its {: want }} for a brace", cut(s))
		default:
			text.WriteByte(c)
		}
	}
	flush()
	return parts, nil
}
