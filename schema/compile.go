package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/signalbox-dev/signalbox/resource"
)

// maxSchema bounds one schema, in bytes.
const maxSchema = 256 << 10

// metaURL is whose URIs belong to JSON Schema itself.
const metaURL = "json-schema.org/"

// documents are the schemas of a set by what they are called: their URI, and
// the URN of their name. It never changes, and loads nothing from anywhere else.
type documents map[string]any

// errUnknown is a reference that leads out of what is there.
var errUnknown = errors.New("no Schema has this URI as its spec.uri, and nothing is fetched")

// Load implements jsonschema.URLLoader.
func (d documents) Load(url string) (any, error) {
	if doc, ok := d[url]; ok {
		return doc, nil
	}
	return nil, errUnknown
}

// urn names a schema that has no URI; urnNot names its negation.
func urn(name string) string    { return "urn:signalbox:schema:" + name }
func urnNot(name string) string { return "urn:signalbox:not:" + name }

// location is what references call the schema.
func location(s *resource.Schema) string {
	if s.Spec.URI != "" {
		uri, _, _ := strings.Cut(s.Spec.URI, "#")
		return uri
	}
	return urn(s.Metadata.Name)
}

// gather reads every schema; a fault leaves its schema out.
func gather(schemas []*resource.Schema) (documents, []*resource.Schema, resource.Faults) {
	docs := documents{}
	named := map[string]string{} // location to name
	var good []*resource.Schema
	var faults resource.Faults
	for _, s := range schemas {
		at := location(s)
		doc, err := document(s.Spec.Schema)
		switch {
		case err != nil:
			faults = append(faults, fault(s, "spec.schema", "%v", err))
		case named[at] != "":
			faults = append(faults, fault(s, "spec.uri", "%q is the URI of Schema/%s too", s.Spec.URI, named[at]))
		case strings.HasPrefix(at, "http://"+metaURL), strings.HasPrefix(at, "https://"+metaURL):
			faults = append(faults, fault(s, "spec.uri", "%q: the URIs of JSON Schema itself are taken", s.Spec.URI))
		default:
			named[at] = s.Metadata.Name
			docs[at] = doc
			docs[urnNot(s.Metadata.Name)] = map[string]any{"not": map[string]any{"$ref": at}}
			good = append(good, s)
		}
	}
	return docs, good, faults
}

func document(src json.RawMessage) (any, error) {
	if len(src) > maxSchema {
		return nil, fmt.Errorf("%d bytes: want at most %d", len(src), maxSchema)
	}
	doc, err := parse(bytes.TrimSpace(src), DefaultConfig().MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch doc.(type) {
	case map[string]any, bool:
		return doc, nil
	}
	return nil, errors.New("want an object, true or false")
}

func fault(s *resource.Schema, field, format string, args ...any) resource.Fault {
	return resource.Fault{Resource: resource.KindSchema + "/" + s.Metadata.Name, Field: field, Problem: fmt.Sprintf(format, args...)}
}

// program is one schema, compiled. Its copies are used by one check at a time,
// since each counts its own steps.
type program struct {
	name string
	warn bool
	// revision is that of the resource.
	revision uint64
	at       string
	docs     documents
	// free holds copies not in use: as many as there are processors. Beyond that,
	// and the first time, one is made.
	free chan *copyOf
}

// copyOf is a compiled schema with its negation, which stops at the first fault
// and tells nothing of it.
type copyOf struct {
	is, not *jsonschema.Schema
	meter   meter
}

func newProgram(s *resource.Schema, docs documents) (*program, error) {
	p := &program{
		name: s.Metadata.Name, warn: s.Spec.Mode == resource.ModeWarn, revision: s.Metadata.Revision,
		at: location(s), docs: docs, free: make(chan *copyOf, runtime.GOMAXPROCS(0)),
	}
	first, err := p.compile()
	if err != nil {
		return nil, err
	}
	p.free <- first
	return p, nil
}

func (p *program) compile() (*copyOf, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(p.docs)
	out := &copyOf{}
	var err error
	if out.is, err = c.Compile(p.at); err != nil {
		return nil, err
	}
	if out.not, err = c.Compile(urnNot(p.name)); err != nil {
		return nil, err
	}
	out.meter.attach(out.is, out.not)
	return out, nil
}

// take returns a copy that nobody else uses; give gives it back.
func (p *program) take() (*copyOf, error) {
	select {
	case c := <-p.free:
		return c, nil
	default:
		return p.compile() // it compiled before
	}
}

func (p *program) give(c *copyOf) {
	select {
	case p.free <- c:
	default:
	}
}

// faultOf says what keeps a schema from compiling, with the place in it.
func faultOf(s *resource.Schema, err error) resource.Fault {
	var wrong *jsonschema.SchemaValidationError
	var tree *jsonschema.ValidationError
	if errors.As(err, &wrong) && errors.As(wrong.Err, &tree) {
		found, _ := violations(tree, maxTold, message.NewPrinter(language.English))
		if found = precise(found); len(found) > 0 {
			field, other := "spec.schema"+fieldPath(found[0].Path), ""
			if at, _, _ := strings.Cut(wrong.URL, "#"); at != location(s) {
				field, other = "spec.schema", " (in "+cut(wrong.URL, 100)+", which it refers to)"
			}
			return fault(s, field, "%s: %s%s", pathOr(found[0].Path), found[0].Problem, other)
		}
	}
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return fault(s, "spec.schema", "$ref or $schema %q: %v", cut(load.URL, 200), load.Err)
	}
	return fault(s, "spec.schema", "%s", cut(err.Error(), 300))
}

// maxTold is how many violations of the metaschema are looked at for the one that says most.
const maxTold = 10

// precise leaves out what only says that some of several schemas should fit,
// where something more precise is said.
func precise(found []Violation) []Violation {
	exact := slices.DeleteFunc(slices.Clone(found), func(v Violation) bool { return v.Keyword == "anyOf" || v.Keyword == "oneOf" })
	if len(exact) == 0 {
		return found
	}
	return exact
}

func pathOr(path string) string {
	if path == "" {
		return "the schema"
	}
	return path
}

// fieldPath writes a JSON pointer as faults write fields: .properties.n.type, .anyOf[0].
func fieldPath(pointer string) string {
	var b strings.Builder
	for i, t := range strings.Split(pointer, "/") {
		t = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
		switch {
		case i == 0:
		case t != "" && strings.Trim(t, "0123456789") == "":
			b.WriteString("[" + t + "]")
		default:
			b.WriteString("." + t)
		}
	}
	return b.String()
}
