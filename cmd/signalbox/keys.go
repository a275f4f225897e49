package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Make, list and revoke API keys",
		GroupID: "resources",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysCreate(), newKeysList(), newKeysRevoke())
	return cmd
}

// keyFlags are the options of a new key.
type keyFlags struct {
	spec    resource.KeySpec
	expires string
}

func newKeysCreate() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a key and print its token, which is shown this once",
		Long: "Make a key and print its token, which is shown this once: Signalbox keeps a hash of it.\n\n" +
			"Roles: emitter may emit events; viewer may read; author may read, and change\nand redrive everything but keys; admin may do everything.",
		Example: "  export SIGNALBOX_TOKEN=$(signalbox keys create ci --role emitter --type 'build.*' --expires 2160h)",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return createKey(cmd, args[0], &f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.spec.Roles, "role", nil, "roles: emitter, viewer, author, admin, or names that policies know")
	flags.StringVar(&f.expires, "expires", "", "when the key ends: a time such as 2027-01-02T15:04:05Z, or in how long, such as 2160h (default: never)")
	flags.StringSliceVar(&f.spec.Sources, "source", nil, "sources of the events that it may emit, exact or a prefix ending in * (default: all)")
	flags.StringSliceVar(&f.spec.Types, "type", nil, "types of the events that it may emit, exact or a prefix ending in * (default: all)")
	flags.Float64Var(&f.spec.Rate, "rate", 0, "events per second that each gateway takes from it (default: the gateway's own bound)")
	return printer(remote(cmd))
}

func createKey(cmd *cobra.Command, name string, f *keyFlags) error {
	if len(f.spec.Roles) == 0 {
		return usagef("--role is missing: want emitter, viewer, author, admin, or names that policies know")
	}
	var err error
	if f.spec.Expires, err = expiry(f.expires, time.Now()); err != nil {
		return &usageError{err}
	}
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	key, token, err := c.CreateKey(cmd.Context(), name, f.spec)
	var p *client.Problem
	if errors.As(err, &p) && p.Status == 409 {
		return fmt.Errorf("there is a key %s already: revoke it first, or make one of another name beside it and change over", name)
	}
	if err != nil {
		return err
	}
	if cmd.Flags().Lookup("output").Value.String() != "table" {
		return show(cmd, key, nil)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "key %s made, roles %s; its token is shown this once:\n", name, strings.Join(f.spec.Roles, ", "))
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	return err
}

// expiry reads a time, or in how long it is.
func expiry(s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d).UTC().Format(time.RFC3339), nil
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "", fmt.Errorf("--expires %q: want a time such as 2027-01-02T15:04:05Z, or in how long, such as 2160h", s)
	}
	return s, nil
}

func newKeysList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Args:  cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		k, c, err := kindAndClient(cmd, resource.KindKey)
		if err != nil {
			return err
		}
		objects, err := c.List(cmd.Context(), k, "")
		if err != nil {
			return err
		}
		if objects == nil {
			objects = []resource.Object{}
		}
		return show(cmd, objects, func(w *tabwriter.Writer) { tableOf(w, k, objects, nil) })
	}
	return printer(remote(cmd))
}

func newKeysRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Delete a key: its token is refused from now on",
		Args:  cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, resource.KindKey)
		if err != nil {
			return err
		}
		if err := c.Delete(cmd.Context(), k, args[0]); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s revoked\n", args[0])
		return err
	}
	return remote(cmd)
}

func keyHeads(w *tabwriter.Writer) {
	row(w, "NAME", "ROLES", "STATE", "EXPIRES", "SOURCES", "TYPES", "RATE", "REVISION")
}

func keyCells(o *resource.Object, now time.Time) []any {
	var s resource.KeySpec
	if err := json.Unmarshal(o.Spec, &s); err != nil {
		return []any{o.Metadata.Name, "", "unreadable", "", "", "", "", o.Metadata.Revision}
	}
	state := "in force"
	end, ends := s.ExpiresAt()
	switch {
	case s.Hash == "":
		state = "without a token"
	case s.Disabled:
		state = "disabled"
	case ends && !now.Before(end):
		state = "expired"
	}
	rate := ""
	if s.Rate > 0 {
		rate = fmt.Sprintf("%g/s", s.Rate)
	}
	return []any{o.Metadata.Name, strings.Join(s.Roles, " "), state, s.Expires, strings.Join(s.Sources, " "), strings.Join(s.Types, " "), rate, o.Metadata.Revision}
}
