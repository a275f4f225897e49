package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// invokeFlags are the options of invoke.
type invokeFlags struct {
	emitFlags
	typ, eventFile string
	sample         bool
}

func newInvoke() *cobra.Command {
	f := invokeFlags{emitFlags: emitFlags{source: "/signalbox/cli"}}
	cmd := &cobra.Command{
		Use:   "invoke FUNCTION[@VERSION]",
		Short: "Call a function with one event and show its answer",
		Long: "Call a function with one event and show its answer. The call goes to the function at once, not through the log: it is made\n" +
			"once, no other function gets the event, and what the function answers starts nothing. What a script sends is sent. Exit code 1 unless the answer is 2xx.",
		Example: `  signalbox invoke thumbs --sample
  signalbox invoke thumbs --data '{"width":640}'
  signalbox invoke thumbs@v1 --event @event.json`,
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.sample, "sample", false, "with the last event of a type the function listens to, else with one made by the type's schema")
	flags.StringVar(&f.eventFile, "event", "", "with this CloudEvent: JSON, @FILE for a file's content, @- for standard input")
	flags.StringVar(&f.data, "data", "", "data: JSON or text, @FILE for a file's content, @- for standard input")
	flags.StringVar(&f.contentType, "content-type", "", "content type of the data (default: application/json when it is JSON, text/plain when it is text, else application/octet-stream)")
	flags.StringVar(&f.typ, "type", "", "type of the event (default: the first that the function listens to)")
	flags.StringVar(&f.source, "source", f.source, "source of the event")
	flags.StringVar(&f.subject, "subject", "", "subject of the event")
	flags.StringVar(&f.id, "id", "", "id of the event (default: a new one)")
	flags.StringArrayVar(&f.extensions, "ext", nil, "extension attribute as name=value; may be repeated")
	flags.DurationVar(&f.timeout, "timeout", 65*time.Second, "how long to wait for the answer")
	cmd.MarkFlagsMutuallyExclusive("sample", "event", "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.invoke(cmd, args[0]) }
	return printer(remote(cmd))
}

// invoked is what invoke shows.
type invoked struct {
	Status int `json:"status"`
	// Events are those of the answer; Body is what it is otherwise.
	Events     []json.RawMessage `json:"events,omitempty"`
	Body       string            `json:"body,omitempty"`
	DurationMS float64           `json:"durationMs"`
	EventID    string            `json:"eventId"`
	EventType  string            `json:"eventType"`
	Run        string            `json:"run,omitempty"`
	// Sent are the events that it has sent during the call, other than by its answer.
	Sent []event.ReplyRef `json:"sent,omitempty"`
	// Lines are those that the run has printed, where that is known.
	Lines []string `json:"lines,omitempty"`
}

func (f *invokeFlags) invoke(cmd *cobra.Command, function string) error {
	k, c, err := kindAndClient(cmd, resource.KindFunction)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	o, err := c.Get(ctx, k, function)
	if err != nil {
		return err
	}
	e, err := f.make(ctx, cmd, c, &o)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := c.Invoke(ctx, function, e)
	took := time.Since(began)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s gave no answer within %s (--timeout)", function, f.timeout)
	case err != nil:
		return fmt.Errorf("%s was not called, or gave no answer: %w", function, err)
	}
	out := invoked{Status: answer.Status, DurationMS: float64(took.Microseconds()) / 1000, EventID: e.ID, EventType: e.Type}
	if out.Events, out.Body, err = shown(&answer); err != nil {
		return fmt.Errorf("the answer (%d) begins as an event and is none: %w", answer.Status, err)
	}
	name, _, _ := resource.CutVersion(o.Metadata.Name)
	answered := time.Now()
	if run := runOf(ctx, c, name, e, began); run != nil {
		out.Run, out.Sent = run.ID, run.Replies
		out.Lines = linesOf(ctx, c, client.Query{Function: name, Run: run.ID, Since: began.Add(-time.Minute)}, time.Since(answered))
	}
	if err := f.print(cmd, function, &out); err != nil {
		return err
	}
	if answer.Status >= 300 {
		return fmt.Errorf("%s answered %d", function, answer.Status)
	}
	return nil
}

// make builds the event that the flags ask for.
func (f *invokeFlags) make(ctx context.Context, cmd *cobra.Command, c *client.Client, o *resource.Object) (*event.Event, error) {
	switch {
	case f.eventFile != "":
		b, err := readArgument(cmd, f.eventFile)
		if err != nil {
			return nil, err
		}
		e, err := event.ParseJSON(b)
		if err != nil {
			return nil, usagef("--event: %w", err)
		}
		return e, nil
	case f.sample:
		return sampleFor(ctx, c, o, f)
	}
	typ := f.typ
	if typ == "" {
		typ = "signalbox.invoke"
		if types := exactTypes(functionSpec(o).On); len(types) > 0 {
			typ = types[0]
		}
	}
	return f.event(cmd, typ)
}

// shown is an answer as people read it: events, or the body.
func shown(a *client.Called) (events []json.RawMessage, body string, err error) {
	all, err := a.Events()
	if err != nil {
		return nil, "", err
	}
	for _, e := range all {
		events = append(events, e.AppendJSON(nil))
	}
	if len(all) > 0 {
		return events, "", nil
	}
	if !utf8.Valid(a.Body) {
		return nil, fmt.Sprintf("(%d bytes of %s)", len(a.Body), a.Header.Get("Content-Type")), nil
	}
	return nil, string(a.Body), nil
}

// runOf waits a little for the record of the call.
func runOf(ctx context.Context, c *client.Client, function string, e *event.Event, since time.Time) *event.Run {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		runs, err := c.Runs(ctx, client.Query{Function: function, ID: e.ID, Source: e.Source, Since: since.Add(-time.Minute)})
		if err == nil && len(runs) > 0 {
			return &runs[len(runs)-1]
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// linesOf waits a moment for what the run has printed: longer where its record took
// long, too, and for the answer to a question that it has asked in that time. Not every
// function says which run a line belongs to.
func linesOf(ctx context.Context, c *client.Client, of client.Query, record time.Duration) (lines []string) {
	enough := time.Now().Add(max(300*time.Millisecond, min(2*record, 2*time.Second)))
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	look := time.NewTicker(30 * time.Millisecond)
	defer look.Stop()
	for {
		got, err := c.Lines(ctx, of)
		if err == nil && len(got) > 0 && len(got) == len(lines) { // no more are coming
			return lines
		}
		if err == nil {
			lines = lines[:0]
			for i := range got {
				lines = append(lines, got[i].Line)
			}
		}
		if !time.Now().Before(enough) {
			return lines
		}
		select {
		case <-ctx.Done():
			return lines
		case <-look.C:
		}
	}
}

func (f *invokeFlags) print(cmd *cobra.Command, function string, a *invoked) error {
	out := cmd.OutOrStdout()
	switch cmd.Flags().Lookup("output").Value.String() {
	case "json":
		return showJSON(out, a)
	case "yaml":
		return showYAML(out, a)
	}
	fmt.Fprintf(out, "%s answered %d in %.1f ms (event %s, type %s)\n", function, a.Status, a.DurationMS, a.EventID, a.EventType)
	for _, e := range a.Events {
		if err := printEvent(out, e); err != nil {
			return err
		}
	}
	if body := strings.TrimRight(a.Body, "\n"); body != "" && !strings.Contains(strings.Join(a.Lines, "\n"), body) { // an error is both, of scripts
		fmt.Fprintln(out, body)
	}
	for _, s := range a.Sent {
		fmt.Fprintf(out, "sent %s id %s\n", s.Type, s.ID)
	}
	for _, l := range a.Lines {
		fmt.Fprintln(out, "|", plain(readable(&event.Log{Line: l})))
	}
	if a.Run != "" {
		fmt.Fprintf(out, "run %s\n", a.Run)
	}
	return nil
}

func printEvent(out io.Writer, e json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, e, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s\n", b.Bytes())
	return err
}

// fresh gives a copied event an id of its own, and what the flags say.
func (f *invokeFlags) fresh(e *event.Event) *event.Event {
	if e.ID = f.id; e.ID == "" {
		e.ID = rand.Text()
	}
	e.Time = time.Now().UTC().Format(time.RFC3339Nano)
	if f.subject != "" {
		e.Subject = f.subject
	}
	return e
}
