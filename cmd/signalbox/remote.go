package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/app"
	"github.com/signalbox-dev/signalbox/client"
)

const defaultServer = "http://127.0.0.1:8080"

// remote adds --server, and how to get in there, to a command that talks to a
// running Signalbox. Each flag has an environment variable.
func remote(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.String("server", defaultServer, "the Signalbox to talk to (environment: "+app.EnvName("server")+")")
	for _, f := range []struct{ name, usage string }{
		{"token", "token to present; better given by " + app.EnvName("token") + ", since everybody on the machine sees the command line"},
		{"token-file", "file with the token"},
		{"ca", "file with the CA certificates that the server's is checked against (PEM)"},
		{"client-cert", "file with the certificate to present (PEM)"},
		{"client-key", "file with that certificate's key (PEM)"},
	} {
		flags.String(f.name, "", f.usage)
	}
	return cmd
}

// dial makes the client of the server that the flag or the environment names.
func dial(cmd *cobra.Command) (*client.Client, error) {
	options, err := credentials(cmd)
	if err != nil {
		return nil, &usageError{err}
	}
	c, err := client.New(serverURL(cmd), options...)
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

func serverURL(cmd *cobra.Command) string { return setting(cmd, "server") }

// setting is a flag of remote, else its environment variable, else its default.
func setting(cmd *cobra.Command, name string) string {
	f := cmd.Flags().Lookup(name)
	if env, ok := os.LookupEnv(app.EnvName(name)); ok && !f.Changed {
		return env
	}
	return f.Value.String()
}

// credentials are what the client presents and what it trusts.
func credentials(cmd *cobra.Command) ([]client.Option, error) {
	var options []client.Option
	token, err := tokenOf(cmd)
	if err != nil {
		return nil, err
	}
	if token != "" {
		options = append(options, client.WithToken(token))
	}
	config, err := tlsOf(cmd)
	if config != nil {
		options = append(options, client.WithTLS(config))
	}
	return options, err
}

// tokenOf: a flag wins over both variables, the token itself over its file.
func tokenOf(cmd *cobra.Command) (string, error) {
	token, file := setting(cmd, "token"), setting(cmd, "token-file")
	if fromFile := cmd.Flags().Changed("token-file"); fromFile && cmd.Flags().Changed("token") {
		return "", errors.New("--token and --token-file: want one of them")
	} else if fromFile {
		token = ""
	}
	if token == "" && file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", errors.New("--token: holds what cannot stand in a header: want the token and nothing else") // not shown
	}
	return token, nil
}

// tlsOf is nil where the flags say nothing.
func tlsOf(cmd *cobra.Command) (*tls.Config, error) {
	ca, cert, key := setting(cmd, "ca"), setting(cmd, "client-cert"), setting(cmd, "client-key")
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("--ca %s: holds no certificate (PEM)", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("--client-cert and --client-key: want both or none")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--client-cert and --client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
