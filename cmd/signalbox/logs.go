package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func newLogs() *cobra.Command {
	var q client.Query
	var since time.Duration
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [FUNCTION]",
		Short: "Print what a function prints: the last lines, and with -f each one as it comes",
		Long: "Print what a function prints. FUNCTION may be name@version; without it the lines of all\n" +
			"functions are printed. Without --since it is the last lines there are.",
		Example: "  signalbox logs thumbs -f\n  signalbox logs thumbs@v2 --since 10m\n  signalbox logs --run 3-17-bf4b9bad694f4809-1",
		GroupID: "events",
		Args:    cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	f.StringVar(&q.Run, "run", "", "only of the run with this id")
	f.StringVar(&q.Trace, "trace", "", "only of the trace with this id")
	f.DurationVar(&since, "since", 0, "how far back (default: the last lines there are)")
	f.IntVar(&q.Limit, "limit", 100, "how many at most, before those that come")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			q.Function = args[0]
			if name, version, ok := resource.CutVersion(args[0]); ok {
				q.Function, q.Version = name, version
			}
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		if since > 0 {
			q.Since = time.Now().Add(-since)
		}
		p := &linePrinter{cmd: cmd, named: q.Function == ""}
		if follow {
			return p.follow(cmd.Context(), c, q)
		}
		return p.past(cmd.Context(), c, q)
	}
	return printer(remote(cmd))
}

// linePrinter prints lines of functions as -o says.
type linePrinter struct {
	cmd *cobra.Command
	// named: the function's name is part of a line.
	named bool
	// last are the positions printed last, by partition.
	last map[int32]int64
}

func (p *linePrinter) past(ctx context.Context, c *client.Client, q client.Query) error {
	lines, err := c.Lines(ctx, q)
	if err != nil {
		return err
	}
	if lines == nil {
		if err := wantFunction(p.cmd, c, q); err != nil {
			return err
		}
		lines = []client.Line{}
	}
	switch output := p.cmd.Flags().Lookup("output").Value.String(); output {
	case "json":
		return showJSON(p.cmd.OutOrStdout(), lines)
	case "yaml":
		return showYAML(p.cmd.OutOrStdout(), lines)
	}
	for i := range lines {
		if err := p.line(&lines[i]); err != nil {
			return err
		}
	}
	return nil
}

// wantFunction fails where there is nothing since there is no such function: what
// is gone may have left lines and runs, and a name that is wrong has not.
func wantFunction(cmd *cobra.Command, c *client.Client, q client.Query) error {
	if q.Function == "" {
		return nil
	}
	name := q.Function
	if q.Version != "" {
		name = resource.VersionName(name, q.Version)
	}
	if there, err := isFunctionThere(cmd, c, name); err != nil || there {
		return nil // what was asked for is answered
	}
	return fmt.Errorf("function %s: not found", name)
}

// follow prints the last lines and then each one as it comes. The stream begins
// before the past is read, so that nothing falls between the two.
func (p *linePrinter) follow(ctx context.Context, c *client.Client, q client.Query) error {
	p.last = map[int32]int64{}
	s := client.Subscription{Lines: true, Function: q.Function, Version: q.Version, Run: q.Run}
	var past error
	s.OnOpen = func() {
		fmt.Fprintln(p.cmd.ErrOrStderr(), "waiting for lines")
		lines, err := c.Lines(ctx, q)
		if err == nil && len(lines) == 0 {
			if none := wantFunction(p.cmd, c, q); none != nil {
				fmt.Fprintf(p.cmd.ErrOrStderr(), "warning: %v (yet)\n", none)
			}
		}
		for i := range lines {
			err = errors.Join(err, p.fresh(&lines[i]))
		}
		past = err
	}
	err := c.Subscribe(ctx, s, func(data []byte) error {
		if past != nil {
			return past
		}
		var l client.Line
		if err := json.Unmarshal(data, &l); err != nil {
			return err
		}
		if q.Trace != "" && q.Trace != l.TraceID {
			return nil
		}
		return p.fresh(&l)
	})
	if errors.Is(err, context.Canceled) {
		return past
	}
	return errors.Join(past, err)
}

// fresh prints a line unless it was printed.
func (p *linePrinter) fresh(l *client.Line) error {
	at := l.Position
	if seen, ok := p.last[at.Partition]; ok && at.Offset <= seen {
		return nil
	}
	p.last[at.Partition] = at.Offset
	switch p.cmd.Flags().Lookup("output").Value.String() {
	case "json":
		b, err := json.Marshal(l)
		if err == nil {
			_, err = fmt.Fprintf(p.cmd.OutOrStdout(), "%s\n", b)
		}
		return err
	case "yaml":
		if _, err := fmt.Fprintln(p.cmd.OutOrStdout(), "---"); err != nil {
			return err
		}
		return showYAML(p.cmd.OutOrStdout(), l)
	}
	return p.line(l)
}

func (p *linePrinter) line(l *client.Line) error {
	name := ""
	if p.named {
		name = calledAs(&event.Run{Function: l.Function, Version: l.Version}) + " "
	}
	_, err := fmt.Fprintf(p.cmd.OutOrStdout(), "%s %s%s\n", l.Time.Local().Format("15:04:05.000"), name, lineText(&l.Log))
	return err
}

// lineText is a line with its stream or level, and its run; what could move the
// cursor of a terminal is left out of it.
func lineText(l *event.Log) string {
	text := fmt.Sprintf("%-7s %s", streamOf(l), said(l))
	if l.Run != "" {
		text += "  [" + plain(l.Run) + "]"
	}
	return text
}

// streamOf is a line's level, or where it was written.
func streamOf(l *event.Log) string {
	if l.Level != "" {
		return l.Level
	}
	return l.Stream
}

// said is a line for people, without its level.
func said(l *event.Log) string { return plain(readable(&event.Log{Line: l.Line})) }

// plain is text without control characters, but for tabs.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}

// lastLines prints the last lines of a function below its description.
func lastLines(cmd *cobra.Command, w io.Writer, c *client.Client, function, version string) error {
	lines, err := c.Lines(cmd.Context(), client.Query{Function: function, Version: version, Limit: 10})
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\nLast lines:\n")
	}
	for i := range lines {
		fmt.Fprintf(w, "  %s %s\n", lines[i].Time.Local().Format("2006-01-02 15:04:05.000"), lineText(&lines[i].Log))
	}
	return nil
}
