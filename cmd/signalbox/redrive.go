package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// decideFlags are the options of redrive and drop.
type decideFlags struct {
	letterSelection
	action client.LetterAction
	all    bool
	// data, event and contentType edit the one dead letter that is redriven.
	data, event, contentType string
}

func newRedrive() *cobra.Command {
	f := decideFlags{action: client.LetterAction{Action: event.Redrive}}
	cmd := f.command(&cobra.Command{
		Use:   "redrive [ID…]",
		Short: "Deliver dead letters again: as they were, edited, or to another version",
		Long: `Deliver dead letters again: those named by their ids, or those that the flags select.
Attempts are counted from 1. A dead letter is redriven once; if its delivery fails again there is a new one.`,
		Example: `  signalbox deadletters redrive 3-17-9f86d081884c7d65
  signalbox deadletters redrive 3-17-9f86d081884c7d65 --data @fixed.json
  signalbox deadletters redrive --function thumbs --reason 'status 503' --version v2
  signalbox deadletters redrive --all --dry-run`,
	})
	flags := cmd.Flags()
	flags.StringVar(&f.action.Version, "version", "", "version of the function to deliver to (default: the one in force)")
	flags.StringVar(&f.data, "data", "", "one dead letter only: other data for its event; JSON or text, @FILE for a file's content, @- for standard input")
	flags.StringVar(&f.contentType, "content-type", "", "with --data: its content type (default: as it was, if both are JSON; else application/json when it is JSON, else text/plain)")
	flags.StringVar(&f.event, "event", "", "one dead letter only: another event in its place; in the CloudEvents JSON format, @FILE or @-")
	return cmd
}

func newDrop() *cobra.Command {
	f := decideFlags{action: client.LetterAction{Action: event.Drop}}
	return f.command(&cobra.Command{
		Use:     "drop [ID…]",
		Short:   "Give dead letters up",
		Long:    "Give dead letters up: those named by their ids, or those that the flags select.\nThey stay in the list, as dropped.",
		Example: "  signalbox deadletters drop 3-17-9f86d081884c7d65\n  signalbox deadletters drop --function gone",
	})
}

func (f *decideFlags) command(cmd *cobra.Command) *cobra.Command {
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.all, "all", false, "all of them; needed when nothing else says which")
	cmd.Flags().IntVar(&f.query.Limit, "limit", 0, "look at so many at most, the oldest first (0: no limit)")
	cmd.Flags().BoolVar(&f.action.DryRun, "dry-run", false, "only say what would be done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd, args); err != nil {
			return err
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return f.decideAll(cmd, c)
		}
		if err := f.edit(cmd, c, args[0]); err != nil {
			return err
		}
		return f.decideEach(cmd, c, args)
	}
	return printer(remote(cmd))
}

// check refuses what makes no sense before anything is asked of the server.
func (f *decideFlags) check(cmd *cobra.Command, ids []string) error {
	given := f.given(cmd)
	if f.all {
		given = append(given, "--all")
	}
	if cmd.Flags().Changed("limit") && len(ids) > 0 {
		given = append(given, "--limit")
	}
	edits := f.data != "" || f.event != "" || f.contentType != ""
	switch {
	case len(ids) == 0 && len(given) == 0:
		return usagef("which dead letters: want their ids, one of --%s, or --all", strings.Join(f.flags, ", --"))
	case len(ids) > 0 && len(given) > 0:
		return usagef("want ids or %s, not both", strings.Join(given, ", "))
	case edits && len(ids) != 1:
		return usagef("--data, --content-type and --event: for one dead letter only, named by its id")
	case f.data != "" && f.event != "":
		return usagef("want --data or --event, not both")
	case f.contentType != "" && f.data == "":
		return usagef("--content-type: only with --data")
	case f.query.Limit < 0:
		return usagef("--limit %d: want 0 (no limit) or more", f.query.Limit)
	}
	return nil
}

// edit makes the event that is redriven in the dead letter's place, if any.
func (f *decideFlags) edit(cmd *cobra.Command, c *client.Client, id string) error {
	switch {
	case f.event != "":
		b, err := readArgument(cmd, f.event)
		if err != nil {
			return err
		}
		if f.action.Event, err = event.ParseJSON(b); err != nil {
			return usagef("--event: %w", err)
		}
	case f.data != "":
		data, err := readArgument(cmd, f.data)
		if err != nil {
			return err
		}
		was, err := c.DeadLetterEvent(cmd.Context(), id)
		if err != nil {
			return err
		}
		if was == nil {
			return fmt.Errorf("dead letter %s was no event: send one with --event", id)
		}
		f.action.Event = withData(was, data, f.contentType)
	}
	return nil
}

func withData(was *event.Event, data []byte, contentType string) *event.Event {
	e := was.Clone()
	e.Data = data
	guess := guessContentType(data)
	switch {
	case contentType != "":
		e.DataContentType = contentType
	case strings.Contains(e.DataContentType, "json") && strings.Contains(guess, "json"):
	default:
		e.DataContentType = guess
	}
	return e
}

// decideEach acts on dead letters by their ids; one that fails stops none of the others.
func (f *decideFlags) decideEach(cmd *cobra.Command, c *client.Client, ids []string) error {
	decided := []client.LetterDecided{}
	var failed []error
	for _, id := range ids {
		d, err := c.DecideDeadLetter(cmd.Context(), id, f.action)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		decided = append(decided, d)
	}
	if err := show(cmd, decided, func(w *tabwriter.Writer) {
		for _, d := range decided {
			fmt.Fprintf(w, "%s\t%s\n", d.ID, f.became(d))
		}
	}); err != nil {
		return err
	}
	return errors.Join(failed...)
}

func (f *decideFlags) became(d client.LetterDecided) string {
	switch {
	case d.Already:
		return "already " + string(d.State)
	case d.DryRun:
		return "would be " + string(d.State)
	}
	return string(d.State)
}

// decideAll acts on what the flags select, and says on standard error how far it is.
func (f *decideFlags) decideAll(cmd *cobra.Command, c *client.Client) error {
	n, err := c.DecideDeadLetters(cmd.Context(), f.query, f.all, f.action, func(n client.LetterTally) {
		fmt.Fprintln(cmd.ErrOrStderr(), f.tally(n))
	})
	if err != nil && n.Scanned == 0 {
		return err
	}
	if shown := show(cmd, n, func(w *tabwriter.Writer) { fmt.Fprintln(w, f.tally(n)) }); shown != nil {
		return shown
	}
	switch {
	case err != nil:
		return fmt.Errorf("stopped after %d dead letters (the same command goes on): %w", n.Scanned, err)
	case n.Failed > 0:
		return fmt.Errorf("%d of %d dead letters failed, the first: %s: %s", n.Failed, n.Scanned, n.Failures[0].ID, n.Failures[0].Reason)
	}
	return nil
}

func (f *decideFlags) tally(n client.LetterTally) string {
	did, count := "redriven", n.Redriven
	if f.action.Action == event.Drop {
		did, count = "dropped", n.Dropped
	}
	if n.DryRun {
		did = "would be " + did
	}
	return fmt.Sprintf("%d %s, %d decided about before, %d failed", count, did, n.Already, n.Failed)
}
