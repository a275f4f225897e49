package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// emitFlags are the options of emit.
type emitFlags struct {
	source, subject, id, data, contentType string
	extensions                             []string
	wait                                   bool
	timeout                                time.Duration
}

func newEmit() *cobra.Command {
	var f emitFlags
	cmd := &cobra.Command{
		Use:     "emit TYPE",
		Short:   "Send an event",
		Example: `  signalbox emit com.example.hello --data '{"name":"Ada"}' --wait`,
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return emit(cmd, args[0], &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.source, "source", "/signalbox/cli", "source of the event")
	flags.StringVar(&f.subject, "subject", "", "subject of the event")
	flags.StringVar(&f.id, "id", "", "id of the event (default: a new one)")
	flags.StringVar(&f.data, "data", "", "data: JSON or text, @FILE for a file's content, @- for standard input")
	flags.StringVar(&f.contentType, "content-type", "", "content type of the data (default: application/json when it is JSON, text/plain when it is text, else application/octet-stream)")
	flags.StringArrayVar(&f.extensions, "ext", nil, "extension attribute as name=value; may be repeated")
	flags.BoolVar(&f.wait, "wait", false, "follow the chain of functions to its end; exit 1 when a delivery in it fails for good")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long --wait waits")
	return remote(cmd)
}

func emit(cmd *cobra.Command, typ string, f *emitFlags) error {
	e, err := f.event(cmd, typ)
	if err != nil {
		return err
	}
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	if err := c.Emit(cmd.Context(), e); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "accepted %s id %s\n", e.Type, e.ID)
	if !f.wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	return follow(ctx, cmd, c, e)
}

// follow prints the chain as it happens.
func follow(ctx context.Context, cmd *cobra.Command, c *client.Client, e *event.Event) error {
	dead, deliveries := 0, 0
	told := map[string]bool{}
	err := c.FollowChain(ctx, e.Source, e.ID, func(s client.Step) {
		if s.Run.Outcome == event.Dead {
			dead++
		}
		if s.Run.Outcome.Final() {
			deliveries++
		}
		indent := strings.Repeat("  ", s.Depth)
		fmt.Fprintln(cmd.OutOrStdout(), indent+runLine(s.Run))
		if (s.Run.Outcome == event.Retrying || s.Run.Outcome == event.Dead) && s.Run.Status > 0 && !told[s.Run.Function] {
			told[s.Run.Function] = true // the first failure says why
			for _, l := range whyOf(ctx, c, &s.Run) {
				fmt.Fprintln(cmd.OutOrStdout(), indent+"  | "+plain(readable(&event.Log{Line: l})))
			}
		}
	})
	switch {
	case ctx.Err() != nil && cmd.Context().Err() == nil:
		return fmt.Errorf("the chain of %s is not over yet: see `signalbox explain %s`", e.ID, e.ID)
	case err != nil:
		return err
	case dead > 0:
		return fmt.Errorf("%d of %d deliveries failed for good: see `signalbox deadletters list`", dead, deliveries)
	case deliveries == 0:
		fmt.Fprintf(cmd.OutOrStdout(), "no function was chosen: see `signalbox explain %s`\n", e.ID)
	}
	return nil
}

// whyOf is what is known about a failure in words: the last lines of the run, else
// what the function answered, which is kept once no attempt is left.
func whyOf(ctx context.Context, c *client.Client, r *event.Run) []string {
	const most = 3
	if lines := linesOf(ctx, c, client.Query{Function: r.Function, Run: r.ID, Since: time.Now().Add(-time.Hour)}, 0); len(lines) > 0 {
		return lines[max(0, len(lines)-most):]
	}
	if r.Outcome != event.Dead {
		return nil
	}
	letter := strings.TrimSuffix(r.ID, fmt.Sprintf("-%d", r.Attempt)) // of its attempts, a run has the number
	raw, err := c.DeadLetterByID(ctx, letter)
	var d struct{ Attempts []event.Attempt }
	if err != nil || json.Unmarshal(raw, &d) != nil || len(d.Attempts) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(d.Attempts[len(d.Attempts)-1].Body), "\n")
	if lines[0] == "" {
		return nil
	}
	return lines[:min(len(lines), most)]
}

// runLine is a run as one line, as emit --wait and dev print it.
func runLine(r event.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s", r.EventType, r.Function)
	if r.Version != "" {
		b.WriteString("@" + r.Version)
	}
	fmt.Fprintf(&b, " %s", r.Outcome)
	if r.Status > 0 {
		fmt.Fprintf(&b, " %d", r.Status)
	}
	fmt.Fprintf(&b, " in %.1f ms", r.DurationMS)
	if r.Attempt > 1 {
		fmt.Fprintf(&b, " (attempt %d)", r.Attempt)
	}
	if r.Reason != "" {
		b.WriteString(": " + r.Reason)
	}
	for _, reply := range r.Replies {
		b.WriteString(" => " + reply.Type)
	}
	return b.String()
}

// event builds and checks the event.
func (f *emitFlags) event(cmd *cobra.Command, typ string) (*event.Event, error) {
	e := &event.Event{ID: f.id, Source: f.source, Type: typ, Subject: f.subject, Time: time.Now().UTC().Format(time.RFC3339Nano)}
	if e.ID == "" {
		e.ID = rand.Text()
	}
	for _, x := range f.extensions {
		name, value, ok := strings.Cut(x, "=")
		if !ok || value == "" {
			return nil, usagef("--ext %q: want name=value", x)
		}
		e.SetExtension(name, value)
	}
	data, err := f.readData(cmd)
	if err != nil {
		return nil, err
	}
	if data != nil {
		e.Data, e.DataContentType = data, f.contentType
		if e.DataContentType == "" {
			e.DataContentType = guessContentType(data)
			noteNoJSON(cmd.ErrOrStderr(), data)
		}
	}
	if err := e.Validate(); err != nil {
		return nil, &usageError{err}
	}
	return e, nil
}

func (f *emitFlags) readData(cmd *cobra.Command) ([]byte, error) {
	if !cmd.Flags().Changed("data") {
		return nil, nil
	}
	return readArgument(cmd, f.data)
}

// readArgument is an argument itself, or the file or standard input that it names by @.
func readArgument(cmd *cobra.Command, arg string) ([]byte, error) {
	switch {
	case arg == "@-":
		var b bytes.Buffer
		_, err := b.ReadFrom(cmd.InOrStdin())
		return b.Bytes(), err
	case strings.HasPrefix(arg, "@"):
		return os.ReadFile(arg[1:])
	}
	return []byte(arg), nil
}

// noteNoJSON tells who meant JSON why it is none: a function finds a text otherwise,
// and no parameters.
func noteNoJSON(w io.Writer, data []byte) {
	text := bytes.TrimSpace(data)
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		fmt.Fprintf(w, "note: --data is no JSON (%s), and is sent as text\n", oneLine(err))
	}
}

func guessContentType(data []byte) string {
	if json.Valid(data) {
		return "application/json"
	}
	if !utf8.Valid(data) {
		return "application/octet-stream"
	}
	return "text/plain; charset=utf-8"
}
