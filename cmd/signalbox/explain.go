package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

func newExplain() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:     "explain ID",
		Short:   "Say for every link why it did or did not fire for an event, and what became of it",
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&source, "source", "", "source of the event, when several have the id")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		ex, err := c.Explain(cmd.Context(), source, args[0])
		if err != nil {
			return err
		}
		return show(cmd, ex, func(w *tabwriter.Writer) { explainTable(w, ex) })
	}
	return printer(remote(cmd))
}

func explainTable(w *tabwriter.Writer, ex client.Explanation) {
	if e, err := event.ParseJSON(ex.Event); err == nil {
		fmt.Fprintf(w, "%s\nat %s in the log, by resources of revision %d\n\n", eventLine(e), ex.Position, ex.Revision)
	}
	row(w, "LINK", "FUNCTION", "MATCHED", "WHY", "OUTCOME")
	for _, l := range ex.Links {
		row(w, l.Name, l.Function, yesNo(l.Matched), l.Why, outcome(l.Deliveries))
	}
}

// outcome sums up a link's deliveries by the last one.
func outcome(runs []event.Run) string {
	if len(runs) == 0 {
		return ""
	}
	r := runs[len(runs)-1]
	s := string(r.Outcome)
	if r.Attempt > 0 {
		s += fmt.Sprintf(" after %d attempt(s)", r.Attempt)
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
