package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

func newRun() *cobra.Command {
	f := emitFlags{source: "/signalbox/cli"}
	detach := false
	cmd := &cobra.Command{
		Use:   "run FUNCTION[@VERSION]",
		Short: "Run a function by hand, through an event " + event.TypeManual + " that only it gets",
		Example: `  signalbox run report --data '{"month":"2026-11"}'
  signalbox run report@v1 --data @order.json`,
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "data: JSON or text, @FILE for a file's content, @- for standard input")
	flags.StringVar(&f.id, "id", "", "id of the event (default: a new one); the same id runs once")
	flags.StringVar(&f.contentType, "content-type", "", "content type of the data (default: application/json when it is JSON, text/plain when it is text, else application/octet-stream)")
	flags.BoolVarP(&detach, "detach", "d", false, "do not wait for the end")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for the end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, resource.KindFunction)
		if err != nil {
			return err
		}
		if _, err := c.Get(cmd.Context(), k, args[0]); err != nil {
			return err
		}
		f.subject, f.wait = args[0], !detach
		return emit(cmd, event.TypeManual, &f)
	}
	return remote(cmd)
}
