package main

import (
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

func newWebhook() *cobra.Command {
	cmd := &cobra.Command{Use: "webhook", Short: "Try what a webhook makes of a payload", GroupID: "events"}
	cmd.AddCommand(newWebhookTest())
	return cmd
}

func newWebhookTest() *cobra.Command {
	var file, query string
	var headers []string
	cmd := &cobra.Command{
		Use:   "test NAME --file FILE|-",
		Short: "Show the event that a payload would become; nothing is verified for it, or sent on",
		Example: `  signalbox webhook test github --file push.json --header X-GitHub-Event=push
  curl -s https://example.com/payload | signalbox webhook test orders --file -`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with the body; - is standard input")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the request as Name=value, or 'Name: value'; may be repeated")
	cmd.Flags().StringVar(&query, "query", "", "query of the URL, such as a=1&b=2")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "" {
			return usagef("--file is missing: want a file with the body of a delivery, or -")
		}
		header, err := parseHeaders(headers)
		if err != nil {
			return err
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return usagef("--query %q: %w", query, err)
		}
		body, err := readPayload(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		p, err := c.PreviewWebhook(cmd.Context(), args[0], header, values, body)
		if err != nil {
			return err
		}
		return show(cmd, p, func(w *tabwriter.Writer) { webhookTable(w, &p) })
	}
	return printer(remote(cmd))
}

// parseHeaders reads Name=value and "Name: value"; the body is JSON unless said otherwise.
func parseHeaders(pairs []string) (http.Header, error) {
	h := http.Header{"Content-Type": {"application/json"}}
	for _, pair := range pairs {
		i := strings.IndexAny(pair, "=:")
		if i < 1 {
			return nil, usagef("--header %q: want Name=value", pair)
		}
		h[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(pair[:i]))] = []string{strings.TrimSpace(pair[i+1:])}
	}
	return h, nil
}

func readPayload(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

func webhookTable(w *tabwriter.Writer, p *client.WebhookPreview) {
	e, err := event.ParseJSON(p.Event)
	if err != nil {
		fmt.Fprintf(w, "no event: it is answered with\t%s\n", p.Answer)
	} else {
		for _, name := range []string{"id", "type", "source", "subject", "time", "datacontenttype"} {
			if v, ok := e.Attribute(name); ok {
				fmt.Fprintf(w, "%s\t%s\n", name, v)
			}
		}
		for _, x := range e.Extensions {
			fmt.Fprintf(w, "%s\t%s\n", x.Name, x.Value)
		}
		data := string(e.Data)
		if len(data) > 200 {
			data = data[:200] + fmt.Sprintf("… (%d bytes)", len(e.Data))
		}
		if data != "" {
			fmt.Fprintf(w, "data\t%s\n", data)
		}
	}
	if p.Verified {
		fmt.Fprintln(w, "\nit would be taken")
		return
	}
	fmt.Fprintf(w, "\nit would be refused: %s\n", p.Why)
}
