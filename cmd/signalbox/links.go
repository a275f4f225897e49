package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// typedLink is a Link with its spec read.
type typedLink struct {
	object resource.Object
	spec   resource.LinkSpec
}

func linkKind() resource.Kind {
	k, err := resource.LookupKind(resource.KindLink)
	if err != nil {
		panic(err) // the kind is one of the table's
	}
	return k
}

// linksOf lists the Link resources that lead to a function (name or name@version).
func linksOf(cmd *cobra.Command, c *client.Client, function string) ([]typedLink, error) {
	objects, err := c.List(cmd.Context(), linkKind(), "")
	if err != nil {
		return nil, err
	}
	var links []typedLink
	for _, o := range objects {
		l := typedLink{object: o}
		if err := json.Unmarshal(o.Spec, &l.spec); err != nil {
			return nil, fmt.Errorf("link %s: %w", o.Metadata.Name, err)
		}
		if name, _ := l.spec.FunctionName(); l.spec.Function == function || name == function {
			links = append(links, l)
		}
	}
	return links, nil
}

func newLink() *cobra.Command {
	var name, startFrom string
	cmd := &cobra.Command{
		Use:     "link FUNCTION TYPE…",
		Short:   "Send events of these types to a function, from now on or from a time that is past",
		Long:    "Send events of these types to a function. A link of that name which there is already leads to the\nfunction from now on, with everything else it says as before, and what waits for it goes there, too.\nFUNCTION may name a version: name@version.",
		Example: "  signalbox link thumbs com.example.uploaded com.example.image.*\n  signalbox link thumbs com.example.uploaded --start-from 2026-01-02T15:04:05Z",
		GroupID: "resources",
		Args:    cobra.MinimumNArgs(2),
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the link (default: the function's and the type's)")
	cmd.Flags().StringVar(&startFrom, "start-from", "", "where a new link begins in the log: latest (default), earliest, or a time such as 2026-01-02T15:04:05Z")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		if name == "" {
			name = linkName(args[0], args[1])
		}
		o, err := relinked(cmd, c, name, func(spec *resource.LinkSpec) {
			spec.Function, spec.Types = args[0], args[1:]
			if startFrom != "" {
				spec.StartFrom = startFrom
			}
		})
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(cmd.OutOrStdout(), "link/%s: %s -> %s (revision %d)\n", o.Metadata.Name, strings.Join(args[1:], " "), args[0], o.Metadata.Revision); err != nil {
			return err
		}
		if known, err := isFunctionThere(cmd, c, args[0]); err == nil && !known {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: there is no function %s: the link is off until there is\n", args[0])
		}
		return nil
	}
	return remote(cmd)
}

// isFunctionThere asks whether there is a function, or a version of one (name@version).
func isFunctionThere(cmd *cobra.Command, c *client.Client, name string) (bool, error) {
	k, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		return false, err
	}
	_, err = c.Get(cmd.Context(), k, name)
	if client.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// relinked writes a link: the one there is, changed, or a new one.
func relinked(cmd *cobra.Command, c *client.Client, name string, change func(*resource.LinkSpec)) (resource.Object, error) {
	o, err := c.Get(cmd.Context(), linkKind(), name)
	if client.IsNotFound(err) {
		o = resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindLink, Metadata: resource.Metadata{Name: name}, Spec: []byte("{}")}
	} else if err != nil {
		return o, err
	}
	var spec resource.LinkSpec
	if err := json.Unmarshal(o.Spec, &spec); err != nil {
		return o, fmt.Errorf("link %s: %w", name, err)
	}
	change(&spec)
	if o.Spec, err = json.Marshal(spec); err != nil {
		return o, err
	}
	o.Status = nil // the server's
	return c.Put(cmd.Context(), linkKind(), o)
}

func newUnlink() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "unlink FUNCTION [TYPE…]",
		Short:   "Stop sending events of these types (default: all) to a function",
		GroupID: "resources",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		links, err := linksOf(cmd, c, args[0])
		if err != nil {
			return err
		}
		changed := 0
		for _, l := range links {
			did, err := unlink(cmd, c, l, args[1:])
			if err != nil {
				return err
			}
			changed += did
		}
		if changed == 0 {
			return fmt.Errorf("no Link leads %s to function %s (what its manifest says in `on` is changed there)", typesOrAll(args[1:]), args[0])
		}
		return nil
	}
	return remote(cmd)
}

// unlink takes types out of one link (none named: all) and deletes a link that has none left.
func unlink(cmd *cobra.Command, c *client.Client, l typedLink, types []string) (int, error) {
	left := slices.DeleteFunc(slices.Clone(l.spec.Types), func(t string) bool { return len(types) == 0 || slices.Contains(types, t) })
	if len(left) == len(l.spec.Types) {
		return 0, nil
	}
	name := l.object.Metadata.Name
	if len(left) == 0 {
		if err := c.Delete(cmd.Context(), linkKind(), name); err != nil {
			return 0, err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "link/%s deleted\n", name)
		return 1, err
	}
	l.spec.Types = left
	spec, err := json.Marshal(l.spec)
	if err != nil {
		return 0, err
	}
	l.object.Spec = spec
	if _, err := c.Put(cmd.Context(), linkKind(), l.object); err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "link/%s now: %s\n", name, strings.Join(left, " "))
	return 1, err
}

func typesOrAll(types []string) string {
	if len(types) == 0 {
		return "any type"
	}
	return strings.Join(types, " ")
}

// linkName makes a resource name of a function and a type.
func linkName(function, typ string) string {
	slug := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == '*':
			return -1
		}
		return '-'
	}, function+"-"+typ)
	return strings.Trim(slug, "-")
}
