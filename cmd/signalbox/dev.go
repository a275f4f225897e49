package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/app"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func newDev() *cobra.Command {
	opts := app.DefaultOptions()
	opts.TraceSample = 1
	opts.LogLevel = "warn"
	opts.DrainTimeout = 5 * time.Second
	opts.InstanceID = "dev"
	var config string
	cmd := &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Run everything in one process on this machine; DIR's manifests are applied and watched",
		Long: "Run everything in one process on loopback, with Kafka and Redis embedded. The\nmanifests of DIR are applied, and again whenever one of them changes; functions run\n" +
			"what is saved of their files. One line is printed for every delivery, and what\nfunctions print.",
		Example: "  signalbox dev functions/examples/hello",
		GroupID: "run",
		Args:    cobra.MaximumNArgs(1),
	}
	opts.Flags(cmd.Flags())
	configFlag(cmd, &config)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := resolve(cmd, &opts, config); err != nil {
			return err
		}
		dir := ""
		if len(args) == 1 {
			dir = args[0]
		}
		return runDev(cmd, opts, dir)
	}
	return cmd
}

func runDev(cmd *cobra.Command, opts app.Options, dir string) error {
	out := &lines{out: cmd.OutOrStdout(), started: time.Now()}
	a, err := app.New(opts, app.Hooks{
		Log:            cmd.ErrOrStderr(),
		Ready:          out.ready,
		Delivered:      out.delivered,
		FunctionOutput: out.output,
		Manifests:      dir,
		Applied:        out.applied,
		Warned:         out.warned,
		Edited:         out.edited,
	})
	if err != nil {
		return err
	}
	return a.Run(cmd.Context())
}

// lines prints what dev shows; it is safe for concurrent use.
type lines struct {
	mu      sync.Mutex
	out     io.Writer
	started time.Time
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}

func (l *lines) ready(a app.Addresses) {
	l.printf(`Signalbox is ready after %d ms. Stop it with Ctrl-C.
  events    POST http://%s/events
  API       http://%s/api/v1   metrics /metrics   health /readyz
  Kafka     %s
  Redis     %s
  data      %s`, time.Since(l.started).Milliseconds(), a.HTTP, a.HTTP, a.Kafka, a.Redis, a.Data)
}

func (l *lines) delivered(r *event.Run) {
	l.printf("%s %s", r.Time.Local().Format("15:04:05.000"), runLine(*r))
}

func (l *lines) output(o event.Log) {
	name := o.Function
	if o.Version != "" {
		name = resource.VersionName(o.Function, o.Version)
	}
	l.printf("%s %-12s | %s", o.Time.Local().Format("15:04:05.000"), name, readable(&o))
}

func (l *lines) edited(text string) { l.printf("%s", text) }

func (l *lines) warned(text string) { l.printf("warning: %s", text) }

func (l *lines) applied(summary string, err error) {
	if err != nil {
		l.printf("not applied, what was in force stays so: %s", oneLine(err))
		return
	}
	l.printf("applied %s", summary)
}
