package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

func newTail() *cobra.Command {
	var s client.Subscription
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Print events as they are accepted, or runs as they happen (--runs), until interrupted",
		GroupID: "events",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringSliceVar(&s.Types, "type", nil, "event types, or prefixes ending in *")
	cmd.Flags().StringVar(&s.Filter, "filter", "", "CESQL expression that must be true")
	cmd.Flags().BoolVar(&s.Runs, "runs", false, "print runs instead of events")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		s.OnOpen = func() { fmt.Fprintln(cmd.ErrOrStderr(), "waiting for events") }
		err = c.Subscribe(cmd.Context(), s, func(data []byte) error { return tailLine(cmd, s.Runs, data) })
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	return printer(remote(cmd))
}

// tailLine prints one message: a line for people, or the JSON as it came.
func tailLine(cmd *cobra.Command, runs bool, data []byte) error {
	out := cmd.OutOrStdout()
	switch cmd.Flags().Lookup("output").Value.String() {
	case "json":
		_, err := fmt.Fprintf(out, "%s\n", data)
		return err
	case "yaml":
		if _, err := fmt.Fprintln(out, "---"); err != nil {
			return err
		}
		return showYAML(out, json.RawMessage(data))
	}
	if runs {
		var r event.Run
		if err := json.Unmarshal(data, &r); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, r.Time.Format("15:04:05.000"), runLine(r))
		return err
	}
	e, err := event.ParseJSON(data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, eventLine(e))
	return err
}

// eventLine is an event as one line.
func eventLine(e *event.Event) string {
	line := fmt.Sprintf("%s id=%s source=%s", e.Type, e.ID, e.Source)
	if e.Subject != "" {
		line += " subject=" + e.Subject
	}
	if len(e.Data) > 0 {
		line += " " + shorten(string(e.Data), 200)
	}
	return line
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return fmt.Sprintf("%.*s… (%d bytes)", n, s, len(s))
}
