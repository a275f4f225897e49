package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

func newReplay() *cobra.Command {
	var spec resource.ReplaySpec
	var name string
	var wait bool
	cmd := &cobra.Command{
		Use:   "replay --link LINK --from TIME",
		Short: "Send a part of the log to one link again",
		Example: "  signalbox replay --link to-index --from 2h --rate 100 --wait\n" +
			"  signalbox replay --link to-index --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --where \"tenant = 'a'\"",
		GroupID: "events",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&spec.Link, "link", "", "the link that gets the events")
	f.StringVar(&spec.From, "from", "", "where to begin: earliest, an RFC 3339 time, or how long ago (such as 2h)")
	f.StringVar(&spec.To, "to", "", "where to end: an RFC 3339 time, or how long ago (default: now)")
	f.StringVar(&spec.Where, "where", "", "only events for which this CESQL expression holds")
	f.Float64Var(&spec.Rate, "rate", 0, "events per second at most, over all dispatchers (default: no bound)")
	f.StringVar(&name, "name", "", "name of the replay (default: the link's and some letters)")
	f.BoolVar(&wait, "wait", false, "wait until it is done, with its progress on standard error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fixTimes(&spec, time.Now()); err != nil {
			return err
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		if name == "" {
			name = spec.Link + "-" + strings.ToLower(rand.Text()[:6])
		}
		o, err := createReplay(cmd.Context(), c, name, spec)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "replay/%s: to link %s, from %s to %s\n", name, spec.Link, spec.From, spec.To); err != nil || !wait {
			return err
		}
		return waitForReplay(cmd.Context(), c, name, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return remote(cmd)
}

// fixTimes turns "how long ago" into times, and asks for what is missing.
func fixTimes(s *resource.ReplaySpec, now time.Time) error {
	if s.Link == "" || s.From == "" {
		return usagef("--link and --from: want both")
	}
	if s.From != resource.StartEarliest {
		if err := fixTime("--from", &s.From, now); err != nil {
			return err
		}
	}
	if s.To == "" {
		return nil
	}
	return fixTime("--to", &s.To, now)
}

func fixTime(flag string, at *string, now time.Time) error {
	if _, err := time.Parse(time.RFC3339Nano, *at); err == nil {
		return nil
	}
	ago, err := time.ParseDuration(*at)
	if err != nil || ago < 0 {
		return usagef("%s %q: want a time such as 2026-01-02T15:04:05Z, or how long ago, such as 90m", flag, *at)
	}
	*at = now.Add(-ago).UTC().Format(time.RFC3339Nano)
	return nil
}

func replayKind() resource.Kind {
	k, err := resource.LookupKind(resource.KindReplay)
	if err != nil {
		panic(err) // the kind is one of the table's
	}
	return k
}

func createReplay(ctx context.Context, c *client.Client, name string, spec resource.ReplaySpec) (resource.Object, error) {
	b, err := json.Marshal(spec)
	if err != nil {
		return resource.Object{}, err
	}
	return c.Put(ctx, replayKind(), resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindReplay, Metadata: resource.Metadata{Name: name}, Spec: b,
	})
}

// replayPoll is how often the progress is asked for.
const replayPoll = 250 * time.Millisecond

// waitForReplay shows the progress until the replay ended.
func waitForReplay(ctx context.Context, c *client.Client, name string, out, progress io.Writer) error {
	tick := time.NewTicker(replayPoll)
	defer tick.Stop()
	shown := ""
	for {
		s, err := replayStatus(ctx, c, name)
		var p *client.Problem
		switch {
		case errors.As(err, &p) && p.Status == http.StatusNotFound:
			return fmt.Errorf("replay %s was cancelled", name)
		case err != nil:
			return err
		case s.State == resource.ReplayFailed:
			return fmt.Errorf("replay %s failed: %s", name, s.Message)
		case s.State == resource.ReplayDone:
			_, err := fmt.Fprintf(out, "replay/%s: done, %s\n", name, sentOf(&s))
			return err
		}
		if line := progressOf(name, &s); line != shown {
			shown = line
			fmt.Fprintln(progress, line)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("replay %s goes on: `signalbox delete replay %s` cancels it", name, name)
		}
	}
}

func replayStatus(ctx context.Context, c *client.Client, name string) (resource.ReplayStatus, error) {
	var s resource.ReplayStatus
	o, err := c.Get(ctx, replayKind(), name)
	if err == nil {
		err = json.Unmarshal(o.Status, &s)
	}
	return s, err
}

func progressOf(name string, s *resource.ReplayStatus) string {
	line := fmt.Sprintf("replay/%s: %s, %d of %d records looked at, %d sent", name, s.State, s.Done, s.Total, s.Parked)
	if s.Message != "" {
		line += " (" + s.Message + ")"
	}
	return line
}

// sentOf is the sum of a replay.
func sentOf(s *resource.ReplayStatus) string {
	line := fmt.Sprintf("%d of %d records sent", s.Parked, s.Total)
	if s.Missing > 0 {
		line += fmt.Sprintf(", %d were removed by retention before", s.Missing)
	}
	if s.Unsent > 0 {
		line += fmt.Sprintf(", %d could not be sent (see the log of the dispatcher)", s.Unsent)
	}
	return line
}

// replayHeads and replayCells are the table of replays.
func replayHeads(w *tabwriter.Writer) {
	row(w, "NAME", "LINK", "STATE", "DONE", "SENT", "FROM", "TO")
}

func replayCells(o *resource.Object) []any {
	var spec resource.ReplaySpec
	var s resource.ReplayStatus
	if json.Unmarshal(o.Spec, &spec) != nil {
		return []any{o.Metadata.Name, "", "", "", "", "", ""}
	}
	if len(o.Status) > 0 && json.Unmarshal(o.Status, &s) != nil {
		s.State = "?"
	}
	done := fmt.Sprintf("%d of %d", s.Done, s.Total)
	return []any{o.Metadata.Name, spec.Link, s.State, done, s.Parked, spec.From, spec.To}
}
