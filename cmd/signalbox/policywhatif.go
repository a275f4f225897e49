package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// whatIfFlags are the options of `policy whatif`.
type whatIfFlags struct {
	query client.WhatIf
	file  string
	all   bool
}

func newPolicyWhatIf() *cobra.Command {
	f := whatIfFlags{}
	cmd := &cobra.Command{
		Use:   "whatif [-f FILE|DIR] [--remove KIND/NAME]",
		Short: "Say what other links and policies would have made of recorded events; changes nothing",
		Long: `Take what is in force, apply manifests over it and take resources out, and say for every function and
link which recorded events it would newly get, and which no more. Nothing is changed, and nothing is delivered.

Counted is what links and trigger policies choose, at the time of each event. Paused links get nothing. Events
that came twice count twice. The server works on one such request at a time, behind its deliveries.`,
		Example: `  signalbox policy whatif -f policies/
  signalbox policy whatif -f night.rego --since 168h --where "type LIKE 'com.example.%'"
  signalbox policy whatif --remove link/thumbs -o json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "manifest or .rego file, directory of them, or - for standard input")
	flags.StringArrayVar(&f.query.Remove, "remove", nil, "a resource to take out, as kind/name; may be given several times")
	f.query.Since = time.Now().Add(-24 * time.Hour)
	flags.Var((*timeFlag)(&f.query.Since), "since", "only since then: an RFC 3339 time, or how long ago, such as 10m")
	flags.Lookup("since").DefValue = "24h"
	flags.Var((*timeFlag)(&f.query.Until), "until", "only before then: an RFC 3339 time, or how long ago")
	flags.BoolVar(&f.all, "all", false, "all events that are recorded, however old")
	flags.StringVar(&f.query.Where, "where", "", "only events for which a CESQL expression is true")
	flags.IntVar(&f.query.Limit, "limit", 0, "so many events at most, the oldest first in each partition (0: no limit)")
	flags.IntVar(&f.query.Examples, "examples", 3, "examples of each difference, at most 20")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return printer(remote(cmd))
}

func (f *whatIfFlags) run(cmd *cobra.Command) error {
	switch {
	case f.file == "" && len(f.query.Remove) == 0:
		return usagef("what would be changed: want -f, --remove, or both")
	case f.all && (cmd.Flags().Changed("since") || cmd.Flags().Changed("until")):
		return usagef("want --all or --since and --until, not both")
	}
	if f.all {
		f.query.Since = time.Time{}
	}
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	var manifests *resource.Manifests
	if f.file != "" {
		if manifests, err = readManifests(cmd.InOrStdin(), f.file); err != nil {
			return err
		}
		f.query.Objects = manifests.Objects
	}
	began := time.Now()
	answer, err := c.WhatIf(cmd.Context(), f.query, func(sum client.WhatIfAnswer) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d events so far, %d of them changed\n", sum.Events, sum.Changed)
	})
	if err != nil {
		if manifests != nil {
			err = located(manifests, err)
		}
		return err
	}
	return show(cmd, answer, func(w *tabwriter.Writer) { whatIfTable(w, &answer, time.Since(began)) })
}

func whatIfTable(w *tabwriter.Writer, a *client.WhatIfAnswer, took time.Duration) {
	differenceTable(w, "FUNCTION", a.Functions)
	fmt.Fprintln(w)
	differenceTable(w, "LINK", a.Links)
	if len(a.Versions) > 0 {
		fmt.Fprintln(w)
		differenceTable(w, "VERSION", a.Versions)
	}
	examples(w, a)
	for _, x := range a.Failures {
		fmt.Fprintf(w, "\n%s, no policy could decide about %s of %s at %s: %s\n", x.When, x.ID, x.Source, x.Position, x.Error)
	}
	fmt.Fprintf(w, "\n%d events of the log compared in %.1f s: for %d something changes", a.Events, took.Seconds(), a.Changed)
	if a.FailedBefore+a.FailedAfter > 0 {
		fmt.Fprintf(w, "; policies fail for %d now, and for %d then", a.FailedBefore, a.FailedAfter)
	}
	fmt.Fprintf(w, " (resources of revision %d)\n", a.Revision)
}

// differenceTable shows what differs, and says how much does not.
func differenceTable(w io.Writer, head string, all []history.Difference) {
	row(w, head, "BEFORE", "AFTER", "NEWLY FIRES", "STOPS FIRING")
	same := 0
	for _, d := range all {
		if d.Newly+d.Stops == 0 {
			same++
			continue
		}
		row(w, d.Name, d.Before, d.After, d.Newly, d.Stops)
	}
	if same > 0 {
		fmt.Fprintf(w, "(%d more, as before)\n", same)
	}
}

// examples shows those of the links, and of functions what is not among them.
func examples(w io.Writer, a *client.WhatIfAnswer) {
	for _, d := range a.Links {
		for _, x := range d.Examples {
			what := "newly fires"
			if x.Change == history.Stops {
				what = "stops firing"
			}
			fmt.Fprintf(w, "\n%s %s for %s (id %s of %s, at %s)\n", d.Name, what, x.Type, x.ID, x.Source, x.Position)
			if x.Before+x.After != "" {
				fmt.Fprintf(w, "  before: %s\n  after:  %s\n", x.Before, x.After)
			}
		}
	}
}
