package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

// The newest runs that a description looks at, and those that it shows.
const (
	maxDescribed = 1000
	maxShown     = 10
)

func newDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Show all about one resource",
		Long: "Show all about one resource; of a function also its versions, what leads to it, what it emits, its last runs\n" +
			"and what it printed; of a link its last runs; of a webhook where it is taken. " + kindsText(),
		Example: "  signalbox describe function thumbs\n  signalbox describe link thumbs-on-upload",
		GroupID: "resources",
		Args:    cobra.ExactArgs(2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, args[0])
		if err != nil {
			return err
		}
		o, err := c.Get(cmd.Context(), k, args[1])
		if err != nil {
			return err
		}
		output := cmd.Flags().Lookup("output").Value.String()
		if output == "json" {
			return showJSON(cmd.OutOrStdout(), o)
		}
		if err := showYAML(cmd.OutOrStdout(), o); err != nil || output == "yaml" {
			return err
		}
		switch k.Name {
		case resource.KindFunction:
			return describeFunction(cmd, c, k, &o)
		case resource.KindLink:
			return describeRuns(cmd, c, client.Query{Link: o.Metadata.Name})
		case resource.KindWebhook:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nTaken at POST /webhooks/%s\n", o.Metadata.Name)
		}
		return err
	}
	return printer(remote(cmd))
}

// describeFunction adds what leads to a function, what it emits and its last runs
// and lines; of a version that is not in force (name@version) those of that version.
func describeFunction(cmd *cobra.Command, c *client.Client, k resource.Kind, o *resource.Object) error {
	name := o.Metadata.Name
	function, version, kept := resource.CutVersion(name)
	links, err := linksOf(cmd, c, name)
	if err != nil {
		return err
	}
	var spec resource.FunctionSpec
	g := new(graph.Graph)
	if !kept {
		spec = functionSpec(o)
		if g, err = c.Graph(cmd.Context(), name, ""); err != nil {
			return err
		}
		if err := describeVersions(cmd, c, k, name, links); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	triggers(w, name, &spec, links, g)
	if err := w.Flush(); err != nil {
		return err
	}
	emits(w, name, g)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := describeRuns(cmd, c, client.Query{Function: function, Version: version}); err != nil {
		return err
	}
	return lastLines(cmd, cmd.OutOrStdout(), c, function, version)
}

// triggers are all that makes a function run: what it listens to itself, links,
// its schedules, and the policies that were seen to add it.
func triggers(w io.Writer, name string, spec *resource.FunctionSpec, links []typedLink, g *graph.Graph) {
	none := true
	trigger := func(what, on, more string) {
		none = false
		fmt.Fprintln(w, strings.TrimRight("  "+what+"\t"+on+"\t"+more, "\t"))
	}
	fmt.Fprintf(w, "\nTriggers:\n")
	if len(spec.On) > 0 {
		trigger("on", strings.Join(spec.On, " "), "")
	}
	for _, l := range links {
		trigger("link "+l.object.Metadata.Name, strings.Join(l.spec.Types, " "), narrowed(&l.spec))
	}
	for i := range spec.Schedule {
		if times, err := spec.Schedule[i].Times(); err == nil {
			trigger("schedule", spec.Schedule[i].Cron, "next at "+times.Next(time.Now()).Format(time.RFC3339))
		}
	}
	for _, e := range g.Edges {
		if policy, ok := strings.CutPrefix(e.From, graph.KindPolicy+":"); ok && e.Kind == graph.Adds && e.To == graph.KindFunction+":"+name {
			trigger("policy "+policy, "added it lately", "")
		}
	}
	if none {
		fmt.Fprintln(w, "  none")
	}
}

// narrowed says what keeps events of a link's types from it.
func narrowed(l *resource.LinkSpec) string {
	var parts []string
	if n := len(l.Filters); n > 0 {
		parts = append(parts, fmt.Sprintf("%d filter(s)", n))
	}
	if l.Paused {
		parts = append(parts, "paused")
	}
	return strings.Join(parts, ", ")
}

// emits are the types that a function declares, and those it was seen to answer with.
func emits(w io.Writer, name string, g *graph.Graph) {
	head := "\nEmits:\n"
	for _, e := range g.Edges {
		if e.Kind != graph.Emits || e.From != graph.KindFunction+":"+name {
			continue
		}
		how := "declared and seen"
		switch {
		case !e.Observed:
			how = "declared, not seen lately"
		case !e.Declared:
			how = "seen, not declared"
		}
		fmt.Fprintf(w, "%s  %s\t%s\n", head, strings.TrimPrefix(e.To, graph.KindType+":"), how)
		head = ""
	}
}

// describeRuns sums up the runs of the last hour, and shows the newest ones.
func describeRuns(cmd *cobra.Command, c *client.Client, q client.Query) error {
	q.Limit = maxDescribed
	runs, err := c.Runs(cmd.Context(), q)
	if err != nil {
		return err
	}
	begin := time.Now().Add(-time.Hour)
	runs = slices.DeleteFunc(runs, func(r event.Run) bool { return r.Time.Before(begin) })
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nRuns of the last hour: %s\n", runSummary(runs))
	if len(runs) > 0 {
		runTable(w, runs[max(0, len(runs)-maxShown):])
	}
	return w.Flush()
}

// runSummary says how many there are, how many of the calls failed, and how long they took.
func runSummary(runs []event.Run) string {
	text := fmt.Sprint(len(runs))
	if len(runs) == maxDescribed {
		text = fmt.Sprintf("%d and more", maxDescribed)
	}
	var took []float64
	failed := 0
	for i := range runs {
		r := &runs[i]
		if r.Attempt == 0 || r.Outcome == event.Waiting {
			continue // there was no call
		}
		took = append(took, r.DurationMS)
		if r.Outcome == event.Retrying || r.Outcome == event.Dead {
			failed++
		}
	}
	if len(took) == 0 {
		return text
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[int(math.Ceil(share*float64(len(took))))-1] }
	return fmt.Sprintf("%s; %.1f %% of %d calls failed; calls took %.1f ms (median), %.1f ms (95 %%), %.1f ms (longest)",
		text, 100*float64(failed)/float64(len(took)), len(took), at(.5), at(.95), at(1))
}
