package main

import (
	"encoding/json"
	"testing"
)

func TestWhatSchemasDescribeIsImagined(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"an object":         {`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer","minimum":5},"c":{"type":"boolean"},"d":{"type":"number"}}}`, `{"a":"text","b":5,"c":true,"d":1}`},
		"said values":       {`{"properties":{"a":{"const":1},"b":{"enum":["x","y"]},"c":{"default":null},"d":{"examples":["e"]}}}`, `{"a":1,"b":"x","d":"e"}`},
		"formats":           {`{"properties":{"a":{"type":"string","format":"date-time"},"b":{"type":"string","minLength":6}}}`, `{"a":"2026-01-02T15:04:05Z","b":"textxx"}`},
		"lists":             {`{"type":"array","items":{"type":["integer","null"]}}`, `[1]`},
		"a list of nothing": {`{"type":"array"}`, `[]`},
		"references":        {`{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"object","properties":{"x":{"type":"integer"}}}}}`, `{"x":1}`},
		"all of":            {`{"properties":{"z":{"type":"integer"}},"allOf":[{"properties":{"x":{"type":"integer"}}},{"properties":{"y":{"type":"integer"}}}]}`, `{"x":1,"y":1,"z":1}`},
		"one of":            {`{"oneOf":[{"type":"integer"},{"type":"string"}]}`, `1`},
		"elsewhere":         {`{"$ref":"https://example.com/schema"}`, `null`},
		"no schema":         {`true`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			var root any
			if err := json.Unmarshal([]byte(test.schema), &root); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal((&imagination{root: root}).value(root, 0))
			if err != nil || string(got) != test.want {
				t.Errorf("%s %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestASchemaThatLeadsToItselfEnds(t *testing.T) {
	var root any
	if err := json.Unmarshal([]byte(`{"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"},"d":{"$ref":"#"},"e":{"$ref":"#"},"f":{"$ref":"#"},"g":{"$ref":"#"}}}`), &root); err != nil {
		t.Fatal(err)
	}
	im := &imagination{root: root}
	im.value(root, 0)
	if im.made > 8*maxImaginedValues {
		t.Errorf("%d values", im.made)
	}
}
