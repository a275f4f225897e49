package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/app"
	"github.com/signalbox-dev/signalbox/client"
)

const defaultServer = "http://127.0.0.1:8080"

// remote adds --server to a command that talks to a running Signalbox.
func remote(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("server", defaultServer, "the Signalbox to talk to (environment: "+app.EnvName("server")+")")
	return cmd
}

// dial makes the client of the server that the flag or the environment names.
func dial(cmd *cobra.Command) (*client.Client, error) {
	c, err := client.New(serverURL(cmd))
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

func serverURL(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("server")
	if env, ok := os.LookupEnv(app.EnvName("server")); ok && !f.Changed {
		return env
	}
	return f.Value.String()
}
