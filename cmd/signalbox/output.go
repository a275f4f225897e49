package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// printer adds -o to a command that prints resources or records.
func printer(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringP("output", "o", "table", "table, json or yaml")
	check := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		switch o := c.Flags().Lookup("output").Value.String(); o {
		case "table", "json", "yaml":
		default:
			return usagef("-o %q: want table, json or yaml", o)
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
	return cmd
}

// show prints v as -o says; table draws the table form.
func show(cmd *cobra.Command, v any, table func(*tabwriter.Writer)) error {
	out := cmd.OutOrStdout()
	switch cmd.Flags().Lookup("output").Value.String() {
	case "json":
		return showJSON(out, v)
	case "yaml":
		return showYAML(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func showJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// showYAML goes through JSON, so that names and order are those of the API.
func showYAML(out io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yaml.Node // JSON is YAML: decoding into a node keeps the order of the fields
	if err := yaml.Unmarshal(b, &n); err != nil {
		return err
	}
	blockStyle(&n)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return err
	}
	return enc.Close()
}

// blockStyle undoes the flow style and the quotes that came with JSON.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	parts := make([]string, len(cells))
	for i, c := range cells {
		if parts[i] = strings.ReplaceAll(fmt.Sprint(c), "\n", " "); parts[i] == "" {
			parts[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(parts, "\t"))
}
