package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/app"
)

func newSink() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sink",
		Short:   "Keep what the topics hold in an index for searching",
		GroupID: "run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	opts := app.DefaultSinkOptions()
	var config string
	to := &cobra.Command{
		Use:   "opensearch",
		Short: "Keep runs, lines, events, dead letters and decisions in OpenSearch or Elasticsearch",
		Long: "Read topics as a consumer group of its own and keep each record as a document. Several\n" +
			"processes share the work. While the index is away nothing is lost: the log keeps it.",
		Example: "  signalbox sink opensearch --index-url http://127.0.0.1:9200 --kafka kafka-1:9092 --topics runs,logs,events",
		Args:    cobra.NoArgs,
	}
	opts.Flags(to.Flags())
	configFlag(to, &config)
	to.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := app.Resolve(cmd.Flags(), os.LookupEnv, config); err != nil {
			return &usageError{err}
		}
		if err := opts.Validate(); err != nil {
			return &usageError{err}
		}
		return app.RunSink(cmd.Context(), opts, cmd.ErrOrStderr())
	}
	cmd.AddCommand(to)
	return cmd
}
