package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/app"
)

func newServe() *cobra.Command {
	opts := app.DefaultOptions()
	var config string
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run a server: the production process",
		Long:    "Run a server. Every option is a flag, an environment variable (SIGNALBOX_ and the\nflag in upper case, dashes as underscores) and a key of the file --config names.",
		GroupID: "run",
		Args:    cobra.NoArgs,
	}
	opts.Flags(cmd.Flags())
	configFlag(cmd, &config)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := resolve(cmd, &opts, config); err != nil {
			return err
		}
		a, err := app.New(opts, app.Hooks{Log: cmd.ErrOrStderr()})
		if err != nil {
			return err
		}
		return a.Run(cmd.Context())
	}
	return cmd
}

func configFlag(cmd *cobra.Command, config *string) {
	cmd.Flags().StringVar(config, "config", os.Getenv(app.EnvName("config")), "YAML file with options")
}

// resolve completes the options from environment and file, and checks them.
func resolve(cmd *cobra.Command, opts *app.Options, config string) error {
	if err := app.Resolve(cmd.Flags(), os.LookupEnv, config); err != nil {
		return &usageError{err}
	}
	if err := opts.Validate(); err != nil {
		return &usageError{err}
	}
	return nil
}
