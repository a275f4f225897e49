package main

import (
	"cmp"
	"encoding/json"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// tableOf draws resources of one kind with the columns that matter for it.
func tableOf(w *tabwriter.Writer, k resource.Kind, objects []resource.Object, parts traffic) {
	switch k.Name {
	case resource.KindFunction:
		row(w, "NAME", "VERSION", "TRAFFIC", "STATE", "RUNS AT", "ON", "EMITS", "REVISION")
	case resource.KindLink:
		row(w, "NAME", "FUNCTION", "TYPES", "FILTERS", "PAUSED", "REVISION")
	case resource.KindPolicy:
		row(w, "NAME", "PACKAGE", "PRIORITY", "MODE", "REVISION")
	case resource.KindSchema:
		row(w, "NAME", "TYPES", "URI", "MODE", "REVISION")
	case resource.KindWebhook:
		row(w, "NAME", "PROVIDER", "PATH", "SECRETS", "REVISION")
	case resource.KindReplay:
		replayHeads(w)
	case resource.KindKey:
		keyHeads(w)
	default:
		row(w, "NAME", "LABELS", "REVISION")
	}
	for _, o := range objects {
		row(w, cellsOf(o, parts)...)
	}
}

// cellsOf is one row.
func cellsOf(o resource.Object, parts traffic) []any {
	m := o.Metadata
	switch o.Kind {
	case resource.KindReplay:
		return replayCells(&o)
	case resource.KindKey:
		return keyCells(&o, time.Now())
	case resource.KindFunction:
		s := functionSpec(&o)
		return []any{m.Name, s.Version, parts.of(m.Name), runningState(&o), runsAt(&s), strings.Join(s.On, " "), strings.Join(s.Emits, " "), m.Revision}
	case resource.KindLink:
		s := specOf[resource.LinkSpec](&o)
		return []any{m.Name, s.Function, strings.Join(s.Types, " "), len(s.Filters), s.Paused, m.Revision}
	case resource.KindPolicy:
		s := specOf[resource.PolicySpec](&o)
		return []any{m.Name, packageOf(s.Rego), s.Priority, cmp.Or(s.Mode, resource.ModeEnforce), m.Revision}
	case resource.KindSchema:
		s := specOf[resource.SchemaSpec](&o)
		return []any{m.Name, strings.Join(s.Types, " "), s.URI, cmp.Or(s.Mode, resource.ModeEnforce), m.Revision}
	case resource.KindWebhook:
		s := specOf[resource.WebhookSpec](&o)
		return []any{m.Name, s.Provider, "/webhooks/" + m.Name, strings.Join(s.Secrets, " "), m.Revision}
	}
	return []any{m.Name, labels(m.Labels), m.Revision}
}

// specOf reads the spec of a resource.
func specOf[T any](o *resource.Object) (spec T) {
	_ = json.Unmarshal(o.Spec, &spec) // what the server has is valid
	return spec
}

// packageOf is the package of a Rego module, "" without one.
func packageOf(rego string) string {
	for line := range strings.Lines(rego) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "package" {
			return words[1]
		}
	}
	return ""
}

func labels(m map[string]string) string {
	b, err := json.Marshal(m)
	if err != nil || len(m) == 0 {
		return ""
	}
	return string(b)
}
