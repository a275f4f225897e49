package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/client"
)

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deadletters",
		Aliases: []string{"deadletter", "dlq"},
		Short:   "See deliveries that ended without success, deliver them again or give them up",
		GroupID: "events",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usagef("want a command: list, show, redrive or drop") },
	}
	cmd.AddCommand(newDeadLettersList(), newDeadLettersShow(), newRedrive(), newDrop())
	return cmd
}

// letterSelection are the flags that say which dead letters are meant.
type letterSelection struct {
	query client.Query
	// flags are their names.
	flags []string
}

func (s *letterSelection) addTo(flags *pflag.FlagSet) {
	text := func(p *string, name, usage string) {
		flags.StringVar(p, name, "", usage)
		s.flags = append(s.flags, name)
	}
	text(&s.query.Function, "function", "only of this function")
	text(&s.query.Link, "link", "only of this link")
	text(&s.query.Reason, "reason", "only those whose reason contains this")
	text(&s.query.Type, "type", "only of events of this type, or of a prefix ending in *")
	text(&s.query.Source, "source", "only of events with this source")
	text(&s.query.ID, "id", "only of events with this id")
	text(&s.query.Where, "where", "only of events for which this CESQL expression is true")
	flags.Var((*timeFlag)(&s.query.Since), "since", "only since then: an RFC 3339 time, or how long ago, such as 10m")
	flags.Var((*timeFlag)(&s.query.Until), "until", "only before then: an RFC 3339 time, or how long ago")
	s.flags = append(s.flags, "since", "until")
}

// given are the flags that were used.
func (s *letterSelection) given(cmd *cobra.Command) (names []string) {
	for _, name := range s.flags {
		if cmd.Flags().Changed(name) {
			names = append(names, "--"+name)
		}
	}
	return names
}

// timeFlag is a point in time.
type timeFlag time.Time

func (f *timeFlag) String() string {
	if t := time.Time(*f); !t.IsZero() {
		return t.Format(time.RFC3339)
	}
	return ""
}

func (f *timeFlag) Type() string { return "time" }

func (f *timeFlag) Set(s string) error {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		*f = timeFlag(t)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("want an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago, such as 10m")
	}
	*f = timeFlag(time.Now().Add(-d))
	return nil
}

// letterStates are what --state may be.
var letterStates = []string{"open", "redriven", "dropped"}

func newDeadLettersList() *cobra.Command {
	var s letterSelection
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters and what was decided about them",
		Example: `  signalbox deadletters list --state open --function thumbs
  signalbox deadletters list --reason 'status 503' --since 2h --where "subject LIKE 'images/%'"`,
		Args: cobra.NoArgs,
	}
	s.addTo(cmd.Flags())
	s.query.Since = time.Now().Add(-7 * 24 * time.Hour)
	cmd.Flags().Lookup("since").DefValue = "168h"
	cmd.Flags().StringVar(&s.query.State, "state", "", "only those that are open, redriven or dropped")
	cmd.Flags().IntVar(&s.query.Limit, "limit", 100, "how many at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if s.query.State != "" && !contains(letterStates, s.query.State) {
			return usagef("--state %s: want one of %s", s.query.State, strings.Join(letterStates, ", "))
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		letters, err := c.DeadLetters(cmd.Context(), s.query)
		if err != nil {
			return err
		}
		if letters == nil {
			letters = []json.RawMessage{}
		}
		return show(cmd, letters, func(w *tabwriter.Writer) { deadLetterTable(w, letters) })
	}
	return printer(remote(cmd))
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// deadLetterRow is what the table shows of a dead letter.
type deadLetterRow struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	State    string    `json:"state"`
	Link     string    `json:"link"`
	Function string    `json:"function"`
	Reason   string    `json:"reason"`
	Attempts []any     `json:"attempts"`
	Event    struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"event"`
}

func deadLetterTable(w *tabwriter.Writer, letters []json.RawMessage) {
	row(w, "ID", "TIME", "STATE", "EVENT", "EVENT ID", "FUNCTION", "LINK", "ATTEMPTS", "REASON")
	for _, raw := range letters {
		var d deadLetterRow
		if err := json.Unmarshal(raw, &d); err != nil {
			row(w, "?", "", "", "", "", "", "", "", err)
			continue
		}
		row(w, d.ID, d.Time.Local().Format("2006-01-02 15:04:05"), d.State, d.Event.Type, d.Event.ID, d.Function, d.Link, len(d.Attempts), d.Reason)
	}
}

func newDeadLettersShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one dead letter: the event, every attempt, and what was decided", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		letter, err := c.DeadLetterByID(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return show(cmd, letter, func(w *tabwriter.Writer) {
			w.Flush()
			if err := showYAML(cmd.OutOrStdout(), letter); err != nil {
				fmt.Fprintln(w, err)
			}
		})
	}
	return printer(remote(cmd))
}
