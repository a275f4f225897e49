package resource

import (
	"fmt"
	"strings"
	"testing"
)

func TestTemplatesOfArguments(t *testing.T) {
	for _, c := range []struct{ text, want, fault string }{
		{text: "", want: ""},
		{text: "--verbose", want: "text --verbose"},
		{text: "{id}", want: "name id"},
		{text: "s3://{data.bucket}/{data.items.0.key}", want: "text s3://, name data.bucket, text /, name data.items.0.key"},
		{text: "{file.event}", want: "name file.event"},
		{text: `{{"a":"{subject}"}}`, want: `text {"a":", name subject, text "}`},
		{text: "{id", fault: "want {name"},
		{text: "id}", fault: "without its {"},
		{text: "{}", fault: "want {name"},
		{text: "{data.}", fault: "want {name"},
		{text: "{file.secret}", fault: "want {name"},
		{text: `{"a":1}`, fault: "{{ for a brace"},
	} {
		t.Run(c.text, func(t *testing.T) {
			parts, err := ParseTemplate(c.text)
			var got []string
			for _, p := range parts {
				if p.Name != "" {
					got = append(got, "name "+p.Name)
				} else {
					got = append(got, "text "+p.Text)
				}
			}
			if fault := fmt.Sprint(err); (err != nil) != (c.fault != "") || !strings.Contains(fault, c.fault) && err != nil {
				t.Fatalf("got %v, want %q", err, c.fault)
			}
			if err == nil && strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
