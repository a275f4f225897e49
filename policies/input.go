package policies

import (
	"bytes"
	"mime"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// eventInput is input.event, with no more in it than the policies read.
func (r *reads) eventInput(ev *event.Event) ast.Object {
	o := ast.NewObject()
	if r.whole || r.event {
		for _, name := range [...]string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"} {
			if v, ok := ev.Attribute(name); ok {
				o.Insert(ast.InternedTerm(name), ast.StringTerm(v))
			}
		}
		for _, x := range ev.Extensions {
			o.Insert(ast.StringTerm(x.Name), extensionTerm(x.Value))
		}
	} else {
		r.insertAttributes(o, ev)
	}
	if r.whole || r.event || r.data {
		if v := dataInput(ev); v != nil {
			o.Insert(ast.InternedTerm("data"), ast.NewTerm(v))
		}
	}
	return o
}

func (r *reads) insertAttributes(o ast.Object, ev *event.Event) {
	for _, k := range r.attributes {
		if v, ok := ev.Extension(k.name); ok {
			o.Insert(k.term, extensionTerm(v))
		} else if v, ok := ev.Attribute(k.name); ok {
			o.Insert(k.term, ast.StringTerm(v))
		}
	}
}

// extensionTerm gives Booleans back the type that the canonical string has
// lost. Integers stay strings: an order number must not change its type when
// it happens to have digits only.
func extensionTerm(v string) *ast.Term {
	if v == "true" || v == "false" {
		return ast.InternedTerm(v == "true")
	}
	return ast.StringTerm(v)
}

// dataInput is the payload where it is JSON, by its content type (none is
// JSON, CloudEvents JSON format 3.1) and in truth; nil otherwise.
func dataInput(ev *event.Event) ast.Value {
	if len(ev.Data) == 0 || !isJSON(ev.DataContentType) {
		return nil
	}
	v, err := jsonValue(ev.Data)
	if err != nil {
		return nil
	}
	return v
}

func jsonValue(data []byte) (ast.Value, error) { return ast.ValueFromReader(bytes.NewReader(data)) }

func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"))
}

// triggerInput is the input of trigger policies. links is called only if they read it.
func (r *reads) triggerInput(ev *event.Event, links func() *ast.Term, now time.Time) ast.Value {
	o := ast.NewObject()
	if r.whole || r.event || r.data || len(r.attributes) > 0 {
		o.Insert(ast.InternedTerm("event"), ast.NewTerm(r.eventInput(ev)))
	}
	if r.whole || r.links {
		o.Insert(ast.InternedTerm("links"), links())
	}
	if r.whole || r.time {
		o.Insert(ast.InternedTerm("time"), timeTerm(now))
	}
	return o
}

func timeTerm(now time.Time) *ast.Term {
	return ast.StringTerm(now.UTC().Format(time.RFC3339Nano))
}

// linkTerm is a candidate in input.links.
func linkTerm(l *resource.Link, fn *resource.Function) *ast.Term {
	types := make([]*ast.Term, len(l.Spec.Types))
	for i, t := range l.Spec.Types {
		types[i] = ast.StringTerm(t)
	}
	return ast.ObjectTerm(
		ast.Item(ast.InternedTerm("name"), ast.StringTerm(l.Metadata.Name)),
		ast.Item(ast.InternedTerm("function"), ast.StringTerm(fn.Metadata.Name)),
		ast.Item(ast.InternedTerm("version"), ast.StringTerm(fn.Spec.Version)),
		ast.Item(ast.InternedTerm("labels"), stringMapTerm(l.Metadata.Labels)),
		ast.Item(ast.InternedTerm("annotations"), stringMapTerm(l.Metadata.Annotations)),
		ast.Item(ast.InternedTerm("types"), ast.ArrayTerm(types...)),
	)
}

func stringMapTerm(m map[string]string) *ast.Term {
	o := ast.NewObject()
	for k, v := range m {
		o.Insert(ast.StringTerm(k), ast.StringTerm(v))
	}
	return ast.NewTerm(o)
}
