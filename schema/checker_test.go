package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// schemaOf is a Schema for types (separated by blanks).
func schemaOf(name, types, src string, change ...func(*resource.SchemaSpec)) *resource.Schema {
	s := &resource.Schema{Metadata: resource.Metadata{Name: name, Revision: 7}}
	s.Spec.Types, s.Spec.Schema = strings.Fields(types), json.RawMessage(src)
	for _, f := range change {
		f(&s.Spec)
	}
	return s
}

func uri(u string) func(*resource.SchemaSpec)  { return func(s *resource.SchemaSpec) { s.URI = u } }
func mode(m string) func(*resource.SchemaSpec) { return func(s *resource.SchemaSpec) { s.Mode = m } }

func compile(t testing.TB, schemas ...*resource.Schema) *Checker {
	t.Helper()
	c, faults := Compile(resource.Set{Schemas: schemas}, DefaultConfig())
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func ev(typ, data string) *event.Event {
	return &event.Event{ID: "1", Source: "/s", Type: typ, DataContentType: "application/json", Data: []byte(data)}
}

// told writes failures as schema:path:keyword, with ! before those that refuse.
func told(failures []Failure) string {
	var all []string
	for _, f := range failures {
		for _, v := range f.Violations {
			mark := "!"
			if f.Warn {
				mark = "?"
			}
			all = append(all, mark+f.Schema+":"+v.Path+":"+v.Keyword)
		}
	}
	return strings.Join(all, " ")
}

const order = `{"type":"object","required":["id","lines"],"properties":{"id":{"type":"integer","minimum":1},
 "lines":{"type":"array","items":{"type":"object","required":["sku"],"properties":{"sku":{"type":"string","pattern":"^[A-Z]+$"},"a/b~c":{"type":"null"}}}},
 "mail":{"format":"email"},"when":{"format":"date-time"}}}`

func TestDataIsCheckedAndThePlaceIsTold(t *testing.T) {
	c := compile(t, schemaOf("order", "com.example.ordered", order))
	for name, x := range map[string]struct{ data, want string }{
		"good":                        {`{"id":1,"lines":[{"sku":"AB"}]}`, ""},
		"a member is missing":         {`{"id":1}`, "!order::required"},
		"a wrong type":                {`{"id":"1","lines":[]}`, "!order:/id:type"},
		"too small":                   {`{"id":0,"lines":[]}`, "!order:/id:minimum"},
		"deep in an array":            {`{"id":1,"lines":[{"sku":"A"},{"sku":"a"},{}]}`, "!order:/lines/1/sku:pattern !order:/lines/2:required"},
		"a name that must be escaped": {`{"id":1,"lines":[{"sku":"A","a/b~c":1}]}`, "!order:/lines/0/a~1b~0c:type"},
		"a format":                    {`{"id":1,"lines":[],"mail":"nobody","when":"now"}`, "!order:/mail:format !order:/when:format"},
		"not an object":               {`[]`, "!order::type"},
		"not JSON":                    {`{"id":1`, "!order::"},
		"more than one value":         {`{"id":1,"lines":[]} {}`, "!order::"},
		"a trailing comma":            {`{"id":1,"lines":[1,]}`, "!order::"},
		"a member that stands twice":  {`{"id":1,"id":2,"lines":[]}`, "!order::"},
		"text that is not UTF-8":      {"{\"id\":1,\"lines\":[],\"x\":\"\xff\"}", "!order::"},
		"no data":                     {``, "!order::"},
		"as deep as nothing":          {strings.Repeat("[", 200) + strings.Repeat("]", 200), "!order::"},
		"a number beyond all":         {`{"id":1e1000000000,"lines":[]}`, "!order::"},
		"a number of 1000 digits":     {`{"id":` + strings.Repeat("9", 1000) + `,"lines":[]}`, "!order::"},
		"a great number":              {`{"id":1e300,"lines":[]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.Check(ev("com.example.ordered", x.data))
			if told(got) != x.want {
				t.Errorf("told %q, want %q: %+v", told(got), x.want, got)
			}
			for _, f := range got {
				if f.Revision != 7 {
					t.Errorf("revision %d", f.Revision)
				}
			}
		})
	}
}

func TestOnlyJSONSatisfiesASchema(t *testing.T) {
	c := compile(t, schemaOf("any", "t", "true"))
	for contentType, good := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=utf-8": true, "application/vnd.x+json": true, "text/json": true,
		"text/plain": false, "application/xml": false, "application/jsonl": false,
	} {
		e := ev("t", "{}")
		e.DataContentType = contentType
		if got := c.Check(e); (got == nil) != good {
			t.Errorf("%q: %+v", contentType, got)
		}
	}
}

func TestWhichSchemasApply(t *testing.T) {
	no := `{"const":"never"}`
	c := compile(t,
		schemaOf("exact", "a.b a.b", no), schemaOf("prefix", "a.* a.b", no), schemaOf("all", "*", no, mode(resource.ModeWarn)),
		schemaOf("named", "", no, uri("https://x/named")), schemaOf("both", "q", no, uri("https://x/both")))
	for name, x := range map[string]struct{ typ, schema, want string }{
		"exact, prefix and all, each once; warnings last": {"a.b", "", "!exact::const !prefix::const ?all::const"},
		"prefix":                             {"a.c", "", "!prefix::const ?all::const"},
		"only all":                           {"z", "", "?all::const"},
		"dataschema, whatever the type":      {"z", "https://x/named", "!named::const ?all::const"},
		"dataschema is no way round a type":  {"a.c", "https://x/named", "!named::const !prefix::const ?all::const"},
		"dataschema and type are one schema": {"q", "https://x/both", "!both::const ?all::const"},
		"a dataschema nobody knows":          {"z", "https://x/unknown", "?all::const"},
	} {
		t.Run(name, func(t *testing.T) {
			e := ev(x.typ, "1")
			e.DataSchema = x.schema
			if got := told(c.Check(e)); got != x.want {
				t.Errorf("told %q, want %q", got, x.want)
			}
		})
	}
	if got := fmt.Sprint(c.Names("a.b")); got != "[all exact prefix]" {
		t.Errorf("names %s", got)
	}
	var none *Checker
	if none.Check(ev("t", "")) != nil || none.Names("t") != nil {
		t.Error("no schemas refuse something")
	}
}

func TestReferencesLeadToOtherSchemas(t *testing.T) {
	address := schemaOf("address", "", `{"type":"object","required":["city"],"$defs":{"zip":{"type":"string","maxLength":5}}}`, uri("https://x/address"))
	c := compile(t, address,
		schemaOf("person", "p", `{"properties":{"home":{"$ref":"https://x/address"},"zip":{"$ref":"https://x/address#/$defs/zip"}}}`),
		schemaOf("relative", "r", `{"$id":"https://x/here","properties":{"home":{"$ref":"address"}}}`),
		schemaOf("tree", "tree", `{"properties":{"kids":{"items":{"$ref":"#"}},"n":{"type":"integer"}}}`),
		schemaOf("versions", "v", `{"anyOf":[{"$ref":"https://x/address"},{"type":"integer"}]}`),
		schemaOf("old", "old", `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"n":{"type":"integer"}},"items":[{"$ref":"#/definitions/n"}]}`),
	)
	for _, x := range []struct{ typ, data, want string }{
		{"p", `{"home":{},"zip":"123456"}`, "!person:/home:required !person:/zip:maxLength"},
		{"p", `{"home":{"city":"x"},"zip":"1"}`, ""},
		{"r", `{"home":{}}`, "!relative:/home:required"},
		{"tree", `{"kids":[{"kids":[{"n":1},{"n":""}]}]}`, "!tree:/kids/0/kids/1/n:type"},
		{"v", `5`, ""},
		{"v", `"x"`, "!versions::anyOf !versions::type !versions::type"},
		{"old", `["x"]`, "!old:/0:type"},
	} {
		if got := told(c.Check(ev(x.typ, x.data))); got != x.want {
			t.Errorf("%s %s: told %q, want %q", x.typ, x.data, got, x.want)
		}
	}
}

func TestBrokenSchemasAreFaultsWithThePlace(t *testing.T) {
	for name, x := range map[string]struct {
		schemas []*resource.Schema
		field   string
		says    string
	}{
		"a wrong type":                {[]*resource.Schema{schemaOf("s", "t", `{"properties":{"n":{"type":"int"}}}`)}, "spec.schema.properties.n.type", "/properties/n/type: value must be one of 'array'"},
		"a wrong keyword":             {[]*resource.Schema{schemaOf("s", "t", `{"anyOf":[{},{"minLength":-1}]}`)}, "spec.schema.anyOf[1].minLength", "minimum"},
		"a pattern":                   {[]*resource.Schema{schemaOf("s", "t", `{"pattern":"("}`)}, "spec.schema.pattern", "/pattern"},
		"no such place":               {[]*resource.Schema{schemaOf("s", "t", `{"$ref":"#/$defs/x"}`)}, "spec.schema", "not found"},
		"out on the network":          {[]*resource.Schema{schemaOf("s", "t", `{"$ref":"https://example.com/x"}`)}, "spec.schema", "nothing is fetched"},
		"a file":                      {[]*resource.Schema{schemaOf("s", "t", `{"$ref":"file:///etc/passwd"}`)}, "spec.schema", "nothing is fetched"},
		"a draft nobody knows":        {[]*resource.Schema{schemaOf("s", "t", `{"$schema":"https://example.com/draft"}`)}, "spec.schema", "nothing is fetched"},
		"a URI twice":                 {[]*resource.Schema{schemaOf("a", "", "{}", uri("urn:x:y")), schemaOf("b", "", "{}", uri("urn:x:y"))}, "spec.uri", "Schema/a too"},
		"a URI of JSON Schema":        {[]*resource.Schema{schemaOf("a", "", "{}", uri("https://json-schema.org/draft/2020-12/schema"))}, "spec.uri", "taken"},
		"a list":                      {[]*resource.Schema{schemaOf("s", "t", `[]`)}, "spec.schema", "want an object, true or false"},
		"a keyword that stands twice": {[]*resource.Schema{schemaOf("s", "t", `{"type":"object","type":"array"}`)}, "spec.schema", "stands twice"},
		"too large":                   {[]*resource.Schema{schemaOf("s", "t", `{"title":"`+strings.Repeat("x", 300<<10)+`"}`)}, "spec.schema", "want at most 262144"},
		"a number beyond all":         {[]*resource.Schema{schemaOf("s", "t", `{"maximum":1e99999999}`)}, "spec.schema", "exponent"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := CheckSchemas(resource.Set{Schemas: x.schemas})
			if len(faults) != 1 || faults[0].Field != x.field || !strings.Contains(faults[0].Problem, x.says) || !strings.HasPrefix(faults[0].Resource, "Schema/") {
				t.Errorf("%+v, want field %s and %q", faults, x.field, x.says)
			}
			if len(faults.Error()) > 600 {
				t.Errorf("%d bytes of it", len(faults.Error()))
			}
		})
	}
}

func TestABrokenSchemaLeavesTheOthersInForce(t *testing.T) {
	c, faults := Compile(resource.Set{Schemas: []*resource.Schema{schemaOf("bad", "t", `{"type":"int"}`), schemaOf("good", "t", `{"type":"integer"}`)}}, DefaultConfig())
	if len(faults) != 1 || told(c.Check(ev("t", `""`))) != "!good::type" {
		t.Errorf("%v, %q", faults, told(c.Check(ev("t", `""`))))
	}
}

// explosive takes 2^depth evaluations of data nested that deep which ends in no
// object; late is the same where each fault is found at once, but all are told.
const (
	explosive = `{"type":"object","anyOf":[{"properties":{"x":{"$ref":"#"}}},{"properties":{"x":{"$ref":"#"}}}]}`
	late      = `{"anyOf":[{"properties":{"x":{"$ref":"#"}},"required":["no"]},{"properties":{"x":{"$ref":"#"}},"required":["never"]}]}`
)

func TestWhatTakesTooLongEnds(t *testing.T) {
	c := compile(t, schemaOf("explosive", "t", explosive), schemaOf("late", "q", late))
	data := strings.Repeat(`{"x":`, 60) + "1" + strings.Repeat("}", 60)
	for typ, want := range map[string]string{"t": "too many steps", "q": "so deep"} {
		got := c.Check(ev(typ, data))
		if len(got) != 1 || !strings.Contains(got[0].Violations[0].Problem, want) {
			t.Errorf("%+v", got)
		}
	}
}

func TestWhatIsToldIsBounded(t *testing.T) {
	c := compile(t, schemaOf("s", "t", `{"items":{"type":"integer"},"additionalProperties":{"enum":[1]}}`))
	for _, data := range []string{
		"[" + strings.Repeat(`"",`, 100_000) + `""]`,
		`{"` + strings.Repeat("k", 10_000) + `":"` + strings.Repeat("v", 10_000) + `"}`,
	} {
		got := c.Check(ev("t", data))
		if len(got) != 1 || len(got[0].Violations) > 10 || got[0].Total < 1 {
			t.Fatalf("%d failures", len(got))
		}
		for _, v := range got[0].Violations {
			if len(v.Path) > maxPath+4 || len(v.Problem) > maxProblem+4 {
				t.Errorf("%d bytes of path, %d of problem", len(v.Path), len(v.Problem))
			}
		}
	}
}

func TestChecksRunSideBySide(t *testing.T) {
	c := compile(t, schemaOf("order", "t", order))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 50 {
				want := i%2 == 0
				if got := c.Check(ev("t", fmt.Sprintf(`{"id":%d,"lines":[]}`, 1-i%2))); (got == nil) != want {
					t.Errorf("%d: %v", i, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestConfigurationNamesEveryFault(t *testing.T) {
	_, faults := Compile(resource.Set{}, Config{})
	for _, want := range []string{"MaxDepth 0", "MaxViolations 0", "Steps 0", "MaxSteps 0"} {
		if !strings.Contains(faults.Error(), want) {
			t.Errorf("%v: no %s", faults, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"id":1,"lines":[]}`, `[1,`, `{"a":{"a":1e9}}`, "\xff", `"\ud800"`, `{"":[null,true,-0.0]}`, `1e400`} {
		f.Add([]byte(s))
	}
	c := compile(f, schemaOf("order", "t", order), schemaOf("tree", "t", `{"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"},"minLength":2,"multipleOf":0.3,"uniqueItems":true}`),
		schemaOf("loop", "t", `{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"items":{"$ref":"#"}}],"not":{"type":"null"}}`, mode(resource.ModeWarn)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := ev("t", string(b))
		failures := c.Check(e)
		if !json.Valid(b) && len(failures) != 3 {
			t.Errorf("not JSON, and %d schemas refuse it", len(failures))
		}
		for _, x := range failures {
			if x.Total < 1 || len(x.Violations) < 1 || len(x.Violations) > 10 {
				t.Errorf("%+v", x)
			}
		}
	})
}
