package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

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

func newDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe KIND NAME",
		Short:   "Show all about one resource",
		Long:    "Show all about one resource; of a function also its versions, what leads to it, its last runs and what it printed. " + kindsText(),
		Example: "  signalbox describe function thumbs\n  signalbox describe link thumbs-on-upload",
		GroupID: "resources",
		Args:    cobra.ExactArgs(2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, c, err := kindAndClient(cmd, args[0])
		if err != nil {
			return err
		}
		o, err := c.Get(cmd.Context(), k, args[1])
		if err != nil {
			return err
		}
		if cmd.Flags().Lookup("output").Value.String() == "json" {
			return showJSON(cmd.OutOrStdout(), o)
		}
		if err := showYAML(cmd.OutOrStdout(), o); err != nil {
			return err
		}
		if k.Name != resource.KindFunction || cmd.Flags().Lookup("output").Value.String() != "table" {
			return nil
		}
		return describeFunction(cmd, c, k, o.Metadata.Name)
	}
	return printer(remote(cmd))
}

// describeFunction adds the links that lead to a function and its last runs; of
// a version that is not in force (name@version) those of that version.
func describeFunction(cmd *cobra.Command, c *client.Client, k resource.Kind, name string) error {
	links, err := linksOf(cmd, c, name)
	if err != nil {
		return err
	}
	function, version, kept := resource.CutVersion(name)
	runs, err := lastRuns(cmd, c, function, version)
	if err != nil {
		return err
	}
	if !kept {
		if err := describeVersions(cmd, c, k, name, links); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nLinks:\n")
	for _, l := range links {
		row(w, "  "+l.object.Metadata.Name, strings.Join(l.spec.Types, " "))
	}
	fmt.Fprintf(w, "\nRuns of the last hour: %s\n", runSummary(runs))
	runTable(w, runs[max(0, len(runs)-10):])
	if err := w.Flush(); err != nil {
		return err
	}
	return lastLines(cmd, out, c, function, version)
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

// tableOf draws resources of one kind with the columns that matter for it.
func tableOf(w *tabwriter.Writer, k resource.Kind, objects []resource.Object, parts traffic) {
	switch k.Name {
	case resource.KindFunction:
		row(w, "NAME", "VERSION", "TRAFFIC", "STATE", "RUNS AT", "ON", "EMITS", "REVISION")
	case resource.KindLink:
		row(w, "NAME", "FUNCTION", "TYPES", "FILTERS", "PAUSED", "REVISION")
	case resource.KindReplay:
		replayHeads(w)
	case resource.KindKey:
		keyHeads(w)
	default:
		row(w, "NAME", "LABELS", "REVISION")
	}
	for _, o := range objects {
		row(w, cellsOf(o, parts)...)
	}
}

func cellsOf(o resource.Object, parts traffic) []any {
	m := o.Metadata
	switch o.Kind {
	case resource.KindReplay:
		return replayCells(&o)
	case resource.KindKey:
		return keyCells(&o, time.Now())
	case resource.KindFunction:
		var s resource.FunctionSpec
		if json.Unmarshal(o.Spec, &s) == nil {
			return []any{m.Name, s.Version, parts.of(m.Name), runningState(&o), runsAt(&s), strings.Join(s.On, " "), strings.Join(s.Emits, " "), m.Revision}
		}
	case resource.KindLink:
		var s resource.LinkSpec
		if json.Unmarshal(o.Spec, &s) == nil {
			return []any{m.Name, s.Function, strings.Join(s.Types, " "), len(s.Filters), s.Paused, m.Revision}
		}
	}
	return []any{m.Name, labels(m.Labels), m.Revision}
}

func labels(m map[string]string) string {
	b, err := json.Marshal(m)
	if err != nil || len(m) == 0 {
		return ""
	}
	return string(b)
}
