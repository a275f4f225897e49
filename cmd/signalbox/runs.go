package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// selecting adds the flags that select from the past.
func selecting(cmd *cobra.Command, q *client.Query, since *time.Duration) *cobra.Command {
	cmd.Flags().StringVar(&q.Function, "function", "", "only of this function")
	cmd.Flags().StringVar(&q.Source, "source", "", "only of events with this source")
	cmd.Flags().StringVar(&q.ID, "id", "", "only of events with this id")
	cmd.Flags().DurationVar(since, "since", 0, "begin so far back (default: the newest there are; 1h with --id, --run or --trace)")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many at most")
	return cmd
}

func newRuns() *cobra.Command {
	var q client.Query
	var since time.Duration
	cmd := &cobra.Command{
		Use:     "runs",
		Short:   "List what functions did with which events",
		Example: "  signalbox runs --function thumbs --since 10m\n  signalbox runs --id A234-1234-1234 -o json",
		GroupID: "events",
		Args:    cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		if since == 0 && q.ID+q.Run+q.Trace != "" { // a few of many, which are not looked for at the end alone
			since = time.Hour
		}
		if since > 0 {
			q.Since = time.Now().Add(-since)
		}
		runs, err := c.Runs(cmd.Context(), q)
		if err != nil {
			return err
		}
		if runs == nil {
			if none := wantFunction(cmd, c, q); none != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", none)
			}
			runs = []event.Run{}
		}
		return show(cmd, runs, func(w *tabwriter.Writer) { runTable(w, runs) })
	}
	f := cmd.Flags()
	f.StringVar(&q.Version, "version", "", "only of this version of a function")
	f.StringVar(&q.Run, "run", "", "only of the run with this id")
	f.StringVar(&q.Trace, "trace", "", "only of the trace with this id")
	return selecting(printer(remote(cmd)), &q, &since)
}

func runTable(w io.Writer, runs []event.Run) {
	row(w, "TIME", "EVENT", "ID", "FUNCTION", "LINK", "ATTEMPT", "OUTCOME", "STATUS", "MS", "RUN", "REASON")
	for _, r := range runs {
		row(w, r.Time.Local().Format("15:04:05.000"), r.EventType, r.EventID, calledAs(&r), r.Link, unlessZero(r.Attempt), r.Outcome, unlessZero(r.Status), fmt.Sprintf("%.1f", r.DurationMS), r.ID, r.Reason)
	}
}

// unlessZero is a number as a cell that is empty for 0: there was no call, or no answer.
func unlessZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// calledAs is the function of a run, with its version if that has a name.
func calledAs(r *event.Run) string {
	if r.Version == "" {
		return r.Function
	}
	return resource.VersionName(r.Function, r.Version)
}
