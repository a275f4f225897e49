package main

import (
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

func newDecisions() *cobra.Command {
	var q client.Query
	var since time.Duration
	cmd := &cobra.Command{
		Use:     "decisions",
		Short:   "List what was refused or changed, and what else was decided",
		GroupID: "events",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&q.Kind, "kind", "", "only admission, management, shadow, schema or choosing")
	f.StringVar(&q.Source, "source", "", "only about events with this source")
	f.StringVar(&q.ID, "id", "", "only about events with this id")
	f.StringVar(&q.Type, "type", "", "only about events of this type, or a prefix ending in *")
	f.DurationVar(&since, "since", time.Hour, "how far back")
	f.IntVar(&q.Limit, "limit", 100, "how many at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		q.Since = time.Now().Add(-since)
		decisions, err := c.Decisions(cmd.Context(), q)
		if err != nil {
			return err
		}
		if decisions == nil {
			decisions = []event.Decision{}
		}
		return show(cmd, decisions, func(w *tabwriter.Writer) { decisionTable(w, decisions) })
	}
	return printer(remote(cmd))
}

func decisionTable(w io.Writer, decisions []event.Decision) {
	row(w, "TIME", "KIND", "ALLOWED", "ABOUT", "BY", "POLICY", "REVISION", "REASON")
	for i := range decisions {
		d := &decisions[i]
		row(w, d.Time.Local().Format("2006-01-02 15:04:05"), d.Kind, decided(d), about(d), identity(d), d.Policy, unlessZero(int(d.Revision)), reason(d))
	}
}

// decided is a cell that is empty where nothing was asked for.
func decided(d *event.Decision) string {
	switch d.Kind {
	case event.DecidedAdmission, event.DecidedManagement, event.DecidedSchema:
		return yesNo(d.Allowed)
	}
	return ""
}

// about names what a decision is about.
func about(d *event.Decision) string {
	var parts []string
	if e := d.Event; e != nil {
		parts = append(parts, e.Type, "id="+e.ID, "source="+e.Source)
	}
	if d.Method != "" || d.Route != "" {
		parts = append(parts, strings.TrimSpace(d.Method+" "+d.Route))
	}
	if d.Resource != "" {
		parts = append(parts, d.Resource)
	}
	if d.Position != "" {
		parts = append(parts, "at "+d.Position)
	}
	return strings.Join(parts, " ")
}

// identity is the name of who asked.
func identity(d *event.Decision) string {
	for _, key := range []string{"name", "subject", "sub"} {
		if s, ok := d.Identity[key].(string); ok {
			return s
		}
	}
	return ""
}

// changed says in a few words what was changed.
func changed(d *event.Decision) []string {
	switch {
	case d.Before == nil && d.After != nil:
		return []string{"made"}
	case d.Before != nil && d.After == nil:
		return []string{"deleted"}
	case len(d.Changed) > maxNamedChanges:
		return []string{"changed " + strings.Join(d.Changed[:maxNamedChanges], ", ") + ", …"}
	case len(d.Changed) > 0:
		return []string{"changed " + strings.Join(d.Changed, ", ")}
	}
	return nil
}

// maxNamedChanges keeps a row readable; -o yaml shows all of it.
const maxNamedChanges = 5

func reason(d *event.Decision) string {
	parts := []string{}
	if d.Reason != "" {
		parts = append(parts, d.Reason)
	}
	if d.Kind == event.DecidedManagement && d.Allowed {
		parts = append(parts, changed(d)...)
	}
	if len(d.Newly) > 0 {
		parts = append(parts, "would add "+strings.Join(d.Newly, ", "))
	}
	if len(d.Stops) > 0 {
		parts = append(parts, "would stop "+strings.Join(d.Stops, ", "))
	}
	return strings.Join(parts, "; ")
}
