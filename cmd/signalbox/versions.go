package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

func newRollback() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rollback FUNCTION [VERSION]",
		Short:   "Bring an earlier version of a function into force again, with all the traffic",
		Long:    "Bring an earlier version of a function into force again: the one named, else the one that was in force before.\nIt gets all the traffic. The version that it replaces is kept; rolling back twice leads there again.",
		Example: "  signalbox rollback thumbs\n  signalbox rollback thumbs v1",
		GroupID: "resources",
		Args:    cobra.RangeArgs(1, 2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		version := ""
		if len(args) == 2 {
			version = args[1]
		}
		o, err := c.Rollback(cmd.Context(), args[0], version)
		if err != nil {
			return err
		}
		return show(cmd, o, func(w *tabwriter.Writer) {
			fmt.Fprintf(w, "function/%s is at %s again, with all the traffic (revision %d)\n", o.Metadata.Name, functionSpec(&o).Version, o.Metadata.Revision)
		})
	}
	return printer(remote(cmd))
}

func functionSpec(o *resource.Object) resource.FunctionSpec {
	return specOf[resource.FunctionSpec](o)
}

// traffic is the part of its function's events that each version gets by the
// traffic, by the resource's name.
type traffic map[string]float64

// trafficOf asks for what objects do not say: which part a version gets stands
// in the one that is in force.
func trafficOf(cmd *cobra.Command, c *client.Client, k resource.Kind, objects []resource.Object) (traffic, error) {
	if k.Name != resource.KindFunction {
		return nil, nil
	}
	all := objects
	for i := range objects {
		if _, _, kept := resource.CutVersion(objects[i].Metadata.Name); kept {
			var err error
			if all, err = c.List(cmd.Context(), k, ""); err != nil {
				return nil, err
			}
			break
		}
	}
	parts := traffic{}
	for i := range all {
		if _, _, kept := resource.CutVersion(all[i].Metadata.Name); !kept {
			parts.add(&all[i])
		}
	}
	return parts, nil
}

// add notes what the version in force says.
func (p traffic) add(o *resource.Object) {
	spec, total := functionSpec(o), 0
	for _, t := range spec.Traffic {
		total += t.Weight
	}
	if total == 0 {
		p[o.Metadata.Name] = 1
	}
	for _, t := range spec.Traffic {
		name := resource.VersionName(o.Metadata.Name, t.Version)
		if t.Version == spec.Version {
			name = o.Metadata.Name
		}
		p[name] = float64(t.Weight) / float64(total)
	}
}

// of is a part as people read it.
func (p traffic) of(name string) string {
	switch percent := math.Round(p[name] * 100); {
	case percent == 0 && p[name] > 0:
		return "<1 %"
	default:
		return fmt.Sprintf("%.0f %%", percent)
	}
}

// describeVersions adds the versions of a function, when there is more than one.
func describeVersions(cmd *cobra.Command, c *client.Client, k resource.Kind, name string, links []typedLink) error {
	all, err := c.List(cmd.Context(), k, "")
	if err != nil {
		return err
	}
	var versions []resource.Object
	for i := range all {
		if function, _, _ := resource.CutVersion(all[i].Metadata.Name); function == name {
			versions = append(versions, all[i])
		}
	}
	if len(versions) < 2 {
		return nil
	}
	parts, err := trafficOf(cmd, c, k, versions)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nVersions:\n")
	for i := range versions {
		o := &versions[i]
		version := functionSpec(o).Version
		row(w, "  "+version, parts.of(o.Metadata.Name), stateOf(o, namedBy(links, resource.VersionName(name, version))))
	}
	return w.Flush()
}

func stateOf(o *resource.Object, links []string) string {
	var state []string
	if _, _, kept := resource.CutVersion(o.Metadata.Name); !kept {
		state = append(state, "in force")
	}
	if len(links) > 0 {
		state = append(state, "named by "+strings.Join(links, " "))
	}
	return strings.Join(state, ", ")
}

func namedBy(links []typedLink, ref string) (names []string) {
	for _, l := range links {
		if l.spec.Function == ref {
			names = append(names, l.object.Metadata.Name)
		}
	}
	return names
}
