package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/history"
)

func newTrace() *cobra.Command {
	var source string
	var lines bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show the whole chain that an event, a run or a trace belongs to, as a tree",
		Long: "Show the whole chain that something belongs to: from its first event down to all that came of\n" +
			"it, with functions, times, attempts and outcomes. ID is an event's, a run's or a trace's.",
		Example: "  signalbox trace A234-1234-1234 --logs\n  signalbox trace 3-17-bf4b9bad694f4809-1",
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&source, "source", "", "the event's source; needed when several sources use the id")
	cmd.Flags().BoolVar(&lines, "logs", false, "with what each run printed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		t, err := c.Trace(cmd.Context(), source, args[0], lines)
		if err != nil {
			return err
		}
		if cmd.Flags().Lookup("output").Value.String() != "table" {
			return show(cmd, t, func(*tabwriter.Writer) {})
		}
		return traceTree(cmd.OutOrStdout(), &t)
	}
	return printer(remote(cmd))
}

// branch are the strings before a child and before what is below it.
type branch struct{ first, rest string }

// branchOf draws the way to child i of n.
func branchOf(prefix string, i, n int) branch {
	if i == n-1 {
		return branch{prefix + "└─ ", prefix + "   "}
	}
	return branch{prefix + "├─ ", prefix + "│  "}
}

func traceTree(w io.Writer, t *history.Trace) error {
	for _, ref := range t.Traces {
		fmt.Fprintln(w, strings.TrimSpace("trace "+ref.ID+"  "+ref.URL))
	}
	for _, e := range t.Roots {
		drawEvent(w, branch{}, e)
	}
	if t.Cut != "" {
		fmt.Fprintln(w, t.Cut)
	}
	return nil
}

func drawEvent(w io.Writer, at branch, e *history.TraceEvent) {
	text := fmt.Sprintf("%s id=%s source=%s", plain(e.Type), plain(e.ID), plain(e.Source))
	if e.Subject != "" {
		text += " subject=" + plain(e.Subject)
	}
	if !e.Accepted.IsZero() {
		text += "  " + e.Accepted.Local().Format("15:04:05.000")
	}
	if e.Position != "" {
		text += " at " + e.Position
	}
	fmt.Fprintln(w, at.first+text+marked(e.Asked))
	for i := range e.Runs {
		drawRun(w, branchOf(at.rest, i, len(e.Runs)), &e.Runs[i])
	}
	if len(e.Runs) == 0 {
		fmt.Fprintln(w, at.rest+"└─ no function was called")
	}
}

func drawRun(w io.Writer, at branch, r *history.TraceRun) {
	name := calledAs(&r.Run)
	if name == "" {
		name = "-"
	}
	text := fmt.Sprintf("%s by %s  %s  %s", name, plain(r.Link), r.Time.Local().Format("15:04:05.000"), r.Outcome)
	if r.Attempt > 0 {
		text += fmt.Sprintf(" in attempt %d", r.Attempt)
	}
	if r.Status > 0 {
		text += fmt.Sprintf(", status %d", r.Status)
	}
	if r.DurationMS > 0 {
		text += fmt.Sprintf(", %.1f ms", r.DurationMS)
	}
	if r.Reason != "" {
		text += ": " + plain(r.Reason)
	}
	fmt.Fprintln(w, at.first+text+"  run "+r.ID+marked(r.Asked))
	for i := range r.Lines {
		fmt.Fprintf(w, "%s| %s %-7s %s\n", at.rest, r.Lines[i].Time.Local().Format("15:04:05.000"), streamOf(&r.Lines[i]), said(&r.Lines[i]))
	}
	for i, e := range r.Effects {
		drawEvent(w, branchOf(at.rest, i, len(r.Effects)), e)
	}
}

// marked points at what was asked for.
func marked(asked bool) string {
	if asked {
		return "  <- asked for"
	}
	return ""
}
