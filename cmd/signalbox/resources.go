package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

func newApply() *cobra.Command {
	var files []string
	var dryRun, inPlace bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Write resources from manifests: all of them, or none",
		Long: "Write resources from manifests: all of them, or none.\n\nThe files of functions are packed and uploaded, so that every server has them: those of scripts, and those\nof a command where the manifest says dir. What " +
			artifacts.IgnoreFile + " names is left out, and what begins with a dot.",
		Example: "  signalbox apply -f thumbs.yaml\n  signalbox apply -f functions/ -f links.yaml --dry-run\n  signalbox get function thumbs -o yaml | signalbox apply -f -",
		GroupID: "resources",
		Args:    noFileArgs,
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest, directory of manifests, or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check only, write nothing")
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "pack nothing: the server runs the files where they are, which is on its own machine")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(files) == 0 || slices.Contains(files, "") {
			return usagef("-f is missing: want a manifest, a directory, or -")
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		manifests, err := readManifests(cmd.InOrStdin(), files...)
		if err != nil {
			return err
		}
		if !inPlace {
			p := packer{client: c, said: cmd.ErrOrStderr(), upload: !dryRun}
			if err := p.pack(cmd.Context(), manifests); err != nil {
				return err
			}
		}
		applied, err := c.ApplyWarned(cmd.Context(), manifests.Objects, dryRun)
		if err != nil {
			return located(manifests, err)
		}
		warn(cmd.ErrOrStderr(), applied.Warnings)
		if dryRun {
			return show(cmd, applied, func(w *tabwriter.Writer) { dryRunTable(w, applied) })
		}
		return show(cmd, applied.Items, func(w *tabwriter.Writer) {
			for _, o := range applied.Items {
				fmt.Fprintf(w, "%s/%s\trevision %d\n", strings.ToLower(o.Kind), o.Metadata.Name, o.Metadata.Revision)
			}
		})
	}
	return printer(remote(cmd))
}

// dryRunTable shows what a change would do.
func dryRunTable(w *tabwriter.Writer, applied client.Applied) {
	for i, o := range applied.Items {
		what := ""
		if applied.Radius != nil {
			what = ": " + applied.Radius.Changes[i].Action
		}
		fmt.Fprintf(w, "%s/%s\tvalid, not written%s\n", strings.ToLower(o.Kind), o.Metadata.Name, what)
	}
	if applied.Radius != nil {
		radiusTable(w, applied.Radius)
	}
}

// located gives the server's faults the files and lines they stand in.
func located(m *resource.Manifests, err error) error {
	var p *client.Problem
	if errors.As(err, &p) && len(p.Faults) > 0 {
		return m.Locate(p.Faults)
	}
	return err
}

// readManifests reads what -f names.
func readManifests(in io.Reader, files ...string) (*resource.Manifests, error) {
	if !slices.Contains(files, "-") {
		return resource.LoadManifests(files...)
	}
	if len(files) > 1 {
		return nil, usagef("-f -: standard input stands alone")
	}
	return resource.ReadManifests("standard input", in)
}

// noFileArgs says how a file is given to who gives it as an argument.
func noFileArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("takes no arguments, and got %q: files are given by -f", args[0])
	}
	return nil
}

// kindsText lists the kinds for the help of commands.
func kindsText() string {
	var names []string
	for _, k := range resource.Kinds() {
		names = append(names, k.Plural)
	}
	return "KIND is one of " + strings.Join(names, ", ") + "."
}

func newGet() *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use:     "get KIND [NAME]",
		Short:   "List the resources of a kind, or show one",
		Long:    "List the resources of a kind, or show one. " + kindsText(),
		Example: "  signalbox get functions\n  signalbox get function thumbs -o yaml\n  signalbox get links -l team=media",
		GroupID: "resources",
		Args:    cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "labels to select by: key=value,…")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 {
			o, err := c.Get(cmd.Context(), k, args[1])
			if err != nil {
				return err
			}
			parts, err := trafficOf(cmd, c, k, []resource.Object{o})
			if err != nil {
				return err
			}
			return show(cmd, o, func(w *tabwriter.Writer) { tableOf(w, k, []resource.Object{o}, parts) })
		}
		objects, err := c.List(cmd.Context(), k, selector)
		if err != nil {
			return err
		}
		if objects == nil {
			objects = []resource.Object{}
		}
		parts, err := trafficOf(cmd, c, k, objects)
		if err != nil {
			return err
		}
		return show(cmd, objects, func(w *tabwriter.Writer) { tableOf(w, k, objects, parts) })
	}
	return printer(remote(cmd))
}

func newDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete KIND NAME",
		Short:   "Remove a resource",
		Long:    "Remove a resource; a function with all its versions. " + kindsText(),
		Example: "  signalbox delete function thumbs",
		GroupID: "resources",
		Args:    cobra.ExactArgs(2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, args[0])
		if err != nil {
			return err
		}
		if err := c.Delete(cmd.Context(), k, args[1]); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s/%s deleted\n", strings.ToLower(k.Name), args[1])
		return err
	}
	return remote(cmd)
}

func kindAndClient(cmd *cobra.Command, kind string) (resource.Kind, *client.Client, error) {
	k, err := resource.LookupKind(kind)
	if err != nil {
		return k, nil, &usageError{err}
	}
	c, err := dial(cmd)
	return k, c, err
}
