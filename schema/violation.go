package schema

import (
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/message"
)

// Violation is one place of an event's data that does not satisfy a schema.
type Violation struct {
	// Path is a JSON pointer (RFC 6901) into the data; "" is all of it.
	Path string `json:"path"`
	// Keyword is the keyword of the schema that fails, such as required or
	// maxLength; "" when the data cannot be checked at all.
	Keyword string `json:"keyword,omitempty"`
	// Problem says what is wrong, at most 200 bytes.
	Problem string `json:"problem"`
}

const (
	maxProblem = 200
	maxPath    = 400
)

// violations are the ends of an error's tree, sorted by place: at most limit of
// them, and how many there are.
func violations(err *jsonschema.ValidationError, limit int, p *message.Printer) (all []Violation, total int) {
	var ends []*jsonschema.ValidationError
	collect(err, &ends)
	slices.SortStableFunc(ends, func(a, b *jsonschema.ValidationError) int {
		return slices.Compare(a.InstanceLocation, b.InstanceLocation)
	})
	for _, e := range ends[:min(limit, len(ends))] {
		all = append(all, Violation{Path: cut(pointer(e.InstanceLocation), maxPath), Keyword: keyword(e), Problem: cut(problemOf(e, p), maxProblem)})
	}
	return all, len(ends)
}

// collect gathers the errors that have no cause of their own. Of an anyOf or a
// oneOf, none of which fits, the whole is told before what each lacks.
func collect(e *jsonschema.ValidationError, ends *[]*jsonschema.ValidationError) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		*ends = append(*ends, e)
	default:
		if len(e.Causes) == 0 {
			*ends = append(*ends, e)
		}
	}
	for _, c := range e.Causes {
		collect(c, ends)
	}
}

func keyword(e *jsonschema.ValidationError) string {
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		return path[0]
	}
	switch e.ErrorKind.(type) {
	case *kind.Not:
		return "not"
	case *kind.FalseSchema:
		return "false"
	}
	return ""
}

func problemOf(e *jsonschema.ValidationError, p *message.Printer) string {
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		return "fits none of the schemas of anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return "fits none of the schemas of oneOf"
		}
	case *kind.Not:
		return "fits the schema of not"
	case *kind.FalseSchema:
		return "nothing is allowed here"
	case *kind.Type:
		return "is of type " + k.Got + ": want " + strings.Join(k.Want, " or ")
	}
	return e.ErrorKind.LocalizedString(p)
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointer writes a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		_, _ = escaper.WriteString(&b, t)
	}
	return b.String()
}
