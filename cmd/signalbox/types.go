package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/graph"
)

func newTypes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "types [TYPE]",
		Short: "List the types of events: how many, from where, who listens and who emits; or show one with a sample",
		Example: `  signalbox types
  signalbox types 'com.example.*'
  signalbox types com.example.uploaded`,
		GroupID: "events",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		pattern := ""
		if len(args) == 1 {
			pattern = args[0]
		}
		if pattern != "" && !strings.HasSuffix(pattern, "*") {
			t, err := c.Type(cmd.Context(), pattern)
			if err != nil {
				return err
			}
			return show(cmd, t, func(w *tabwriter.Writer) { typeDetails(w, &t) })
		}
		types, err := c.Types(cmd.Context(), pattern)
		if err != nil {
			return err
		}
		if types == nil {
			types = []catalogue.Type{}
		}
		return show(cmd, types, func(w *tabwriter.Writer) { typeTable(w, types) })
	}
	return printer(remote(cmd))
}

func typeTable(w io.Writer, types []catalogue.Type) {
	row(w, "TYPE", "COUNT", "LAST HOUR", "LAST SEEN", "LISTENERS", "EMITTED BY", "SCHEMAS")
	for i := range types {
		t := &types[i]
		row(w, t.Name, t.Count, rateOf(t.Rate1h, t.Count), timeOrNone(t.LastSeen), strings.Join(functionsOf(t), " "), strings.Join(emitters(t), ", "), strings.Join(t.Schemas, " "))
	}
}

// rateOf is "" of a type of which no event came.
func rateOf(r float64, count uint64) string {
	if count == 0 {
		return ""
	}
	return graph.Rate(r)
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// functionsOf are the functions that links lead the type to, each once.
func functionsOf(t *catalogue.Type) []string {
	var all []string
	seen := map[string]bool{}
	for _, l := range t.Listeners {
		if !seen[l.Function] {
			seen[l.Function] = true
			all = append(all, l.Function)
		}
	}
	return all
}

// emitters are the functions that emit the type; of one that was not seen to,
// or does not declare it, that is said.
func emitters(t *catalogue.Type) []string {
	declared, seen := map[string]bool{}, map[string]bool{}
	for _, f := range t.DeclaredBy {
		declared[f] = true
	}
	var all []string
	for _, f := range t.EmittedBy {
		seen[f] = true
		if !declared[f] {
			f += " (observed)"
		}
		all = append(all, f)
	}
	for _, f := range t.DeclaredBy {
		if !seen[f] {
			all = append(all, f+" (declared)")
		}
	}
	return all
}

func typeDetails(w io.Writer, t *catalogue.Type) {
	line := func(name string, value any) { row(w, name+":", value) }
	line("Type", t.Name)
	line("Count", t.Count)
	line("Rate", fmt.Sprintf("%s over the last minute, %s over the last hour", graph.Rate(t.Rate1m), graph.Rate(t.Rate1h)))
	line("First seen", timeOrNone(t.FirstSeen))
	line("Last seen", timeOrNone(t.LastSeen))
	line("Sources", strings.Join(t.Sources, " ")+andMore(t.MoreSources))
	line("Content types", strings.Join(t.ContentTypes, " ")+andMore(t.MoreContentTypes))
	line("Emitted by", strings.Join(emitters(t), ", "))
	var links []string
	for _, l := range t.Listeners {
		links = append(links, l.Link+" -> "+l.Function)
	}
	line("Listeners", strings.Join(links, ", "))
	line("Schemas", strings.Join(t.Schemas, " "))
	switch {
	case t.Sample == nil:
	case t.SampleSize > 0:
		line("Sample", fmt.Sprintf("%s (without its %d bytes of data)", t.Sample, t.SampleSize))
	default:
		line("Sample", string(t.Sample))
	}
}

func andMore(more bool) string {
	if more {
		return " and more"
	}
	return ""
}
