package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
)

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deadletters",
		Aliases: []string{"deadletter", "dlq"},
		Short:   "See deliveries that ended without success",
		GroupID: "events",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return usagef("want a command: list or show") },
	}
	cmd.AddCommand(newDeadLettersList(), newDeadLettersShow())
	return cmd
}

// deadLetterRow is what the table shows of a dead letter.
type deadLetterRow struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Link     string    `json:"link"`
	Function string    `json:"function"`
	Reason   string    `json:"reason"`
	Attempts []any     `json:"attempts"`
	Event    struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"event"`
}

func newDeadLettersList() *cobra.Command {
	var q client.Query
	var since time.Duration
	cmd := &cobra.Command{Use: "list", Short: "List dead letters", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&q.Reason, "reason", "", "only those whose reason contains this")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		q.Since = time.Now().Add(-since)
		letters, err := c.DeadLetters(cmd.Context(), q)
		if err != nil {
			return err
		}
		if letters == nil {
			letters = []json.RawMessage{}
		}
		return show(cmd, letters, func(w *tabwriter.Writer) { deadLetterTable(w, letters) })
	}
	return history(printer(remote(cmd)), &q, &since, 7*24*time.Hour)
}

func deadLetterTable(w *tabwriter.Writer, letters []json.RawMessage) {
	row(w, "ID", "TIME", "EVENT", "EVENT ID", "FUNCTION", "LINK", "ATTEMPTS", "REASON")
	for _, raw := range letters {
		var d deadLetterRow
		if err := json.Unmarshal(raw, &d); err != nil {
			row(w, "?", "", "", "", "", "", "", err)
			continue
		}
		row(w, d.ID, d.Time.Local().Format("2006-01-02 15:04:05"), d.Event.Type, d.Event.ID, d.Function, d.Link, len(d.Attempts), d.Reason)
	}
}

func newDeadLettersShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one dead letter: the event and every attempt", Args: cobra.ExactArgs(1)}
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
