package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

func newPolicyGraph() *cobra.Command {
	var file, function, typ, output string
	cmd := &cobra.Command{
		Use:   "graph [-f FILE|DIR]",
		Short: "Show which types lead to which functions and what those emit; needs no server with -f",
		Long: `Show types, links, functions and what those emit: as the server's resources declare it and as it was
observed, or with -f as manifests declare it. Mermaid and DOT can be drawn; the table ends with what is wrong:
cycles, functions nothing leads to, types nobody listens to, links that lead nowhere.`,
		Example: `  signalbox policy graph -f functions/
  signalbox policy graph -o mermaid
  signalbox policy graph --function thumbs -o dot | dot -Tsvg > thumbs.svg`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "manifest, directory of manifests, or - for standard input, instead of a server")
	cmd.Flags().StringVar(&function, "function", "", "only the part around this function")
	cmd.Flags().StringVar(&typ, "type", "", "only the part around this type of events")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json, mermaid or dot")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if function != "" && typ != "" {
			return usagef("--function and --type: want one of them")
		}
		if !slices.Contains([]string{"table", "json", "mermaid", "dot"}, output) {
			return usagef("-o %q: want table, json, mermaid or dot", output)
		}
		g, err := graphOf(cmd, file, function, typ)
		if err != nil {
			return err
		}
		return drawGraph(cmd.OutOrStdout(), g, output)
	}
	return remote(cmd)
}

// graphOf makes the graph of manifests, or asks the server for that of its resources.
func graphOf(cmd *cobra.Command, file, function, typ string) (*graph.Graph, error) {
	if file == "" {
		c, err := dial(cmd)
		if err != nil {
			return nil, err
		}
		return c.Graph(cmd.Context(), function, typ)
	}
	manifests, err := readManifests(cmd.InOrStdin(), file)
	if err != nil {
		return nil, err
	}
	set, faults := resource.NewSet(0, manifests.Objects)
	if err := manifests.Locate(faults).Err(); err != nil {
		return nil, err
	}
	g := graph.Build(set, graph.Observed{})
	switch {
	case function != "":
		g = g.Part(graph.KindFunction, function)
	case typ != "":
		g = g.Part(graph.KindType, typ)
	}
	if g == nil {
		return nil, fmt.Errorf("there is no %s in the graph", function+typ)
	}
	return g, nil
}

func drawGraph(out io.Writer, g *graph.Graph, output string) error {
	switch output {
	case "json":
		return showJSON(out, g)
	case "mermaid":
		return g.WriteMermaid(out)
	case "dot":
		return g.WriteDOT(out)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	graphTable(w, g)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range g.Findings {
		fmt.Fprintf(out, "%s: %s\n", f.Severity, f.Text)
	}
	return nil
}

// graphTable has a row for each link, and for each function that no link leads to.
func graphTable(w io.Writer, g *graph.Graph) {
	row(w, "TYPES", "LINK", "FUNCTION", "EMITS")
	outOf := map[string][]string{}
	nodes := map[string]*graph.Node{}
	for i := range g.Nodes {
		nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	for _, e := range g.Edges {
		if e.Kind != graph.Emits {
			continue
		}
		mark := ""
		if !e.Declared {
			mark = " (observed)"
		}
		outOf[e.From] = append(outOf[e.From], nodes[e.To].Name+mark)
	}
	led := map[string]bool{}
	for _, e := range g.Edges {
		if e.Kind != graph.Delivers {
			continue
		}
		led[e.To] = true
		function := nodes[e.To].Name
		if e.Version != "" {
			function = resource.VersionName(function, e.Version)
		}
		row(w, strings.Join(nodes[e.From].Types, " "), nodes[e.From].Name, function, strings.Join(outOf[e.To], ", "))
	}
	for _, n := range g.Nodes {
		if n.Kind == graph.KindFunction && !led[n.ID] {
			row(w, "", "", n.Name, strings.Join(outOf[n.ID], ", "))
		}
	}
	if len(g.Findings) > 0 {
		fmt.Fprintln(w)
	}
}

// warn prints what a change introduces, a line each.
func warn(out io.Writer, warnings []graph.Finding) {
	for _, f := range warnings {
		fmt.Fprintln(out, "warning: "+strings.Join(strings.Fields(f.Text), " "))
	}
}

// radiusTable shows what a change reaches.
func radiusTable(w io.Writer, r *graph.Radius) {
	if len(r.Functions)+len(r.Types) > 0 {
		fmt.Fprintln(w)
		row(w, "REACHES", "NAME", "DISTANCE", "RATE")
		for _, x := range r.Functions {
			row(w, "function", x.Name, distance(x.Distance), rateOrNone(x.Rate))
		}
		for _, x := range r.Types {
			row(w, "type", x.Name, distance(x.Distance), rateOrNone(x.Rate))
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note: "+n)
	}
}

func distance(n int) string {
	switch n {
	case 0:
		return "its own"
	case 1:
		return "1 function on"
	}
	return fmt.Sprintf("%d functions on", n)
}

func rateOrNone(r *float64) string {
	if r == nil {
		return ""
	}
	return graph.Rate(*r)
}
