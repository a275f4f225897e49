package main

import (
	"fmt"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/verify"
)

// benchReport is what a load showed: how fast events were accepted and delivered,
// and how long each took.
type benchReport struct {
	Server string `json:"server"`
	// Rate is what was asked for, in events per second; Size is bytes of data.
	Rate      float64           `json:"rate"`
	Size      int               `json:"size"`
	Functions int               `json:"functions"`
	Fanout    int               `json:"fanout"`
	Sending   resource.Duration `json:"sending"`
	Drained   resource.Duration `json:"drained"`
	Accepted  benchRow          `json:"accepted"`
	Delivered benchRow          `json:"delivered"`
	// Throttled are answers 429, Resent the requests that were made again after them and after failures.
	Throttled   int      `json:"throttled"`
	Resent      int      `json:"resent"`
	Interrupted bool     `json:"interrupted"`
	Notes       []string `json:"notes"`
}

// benchRow is one kind of thing that was counted and timed.
type benchRow struct {
	Count     int     `json:"count"`
	PerSecond float64 `json:"perSecond"`
	verify.Latency
}

func newBench() *cobra.Command {
	f := verifyFlags{cfg: verify.DefaultConfig()}
	c := &f.cfg
	c.Fail, c.Replies, c.Linger, c.Keys = 0, 0, 0, 0
	c.Size, c.Functions, c.Fanout, c.CallTimeout = 1024, 1, 1, 30*time.Second
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put a load on: send events at a rate to functions that answer at once, and time them",
		Long: "Send events to a running Signalbox at a rate, receive them with functions of this\ncommand that answer at once, and report how long it took until they were accepted and\n" +
			"delivered. Times count from when an event was to be sent by the rate, so a server that\ncannot keep up shows it. Exit code 1 if events were lost. The functions and links it\nmakes are removed at the end.",
		Example: "  signalbox bench --rate 1000 --for 30s\n  signalbox bench --rate 500 --functions 20 --fanout 5 --size 10000",
		GroupID: "try",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, &f) },
	}
	f.shared(cmd)
	cmd.Flags().DurationVar(&c.For, "for", 10*time.Second, "how long events are sent")
	return printer(remote(cmd))
}

func runBench(cmd *cobra.Command, f *verifyFlags) error {
	f.cfg.Events = 0 // as many as fit
	if err := f.credentials(cmd); err != nil {
		return err
	}
	rep, err := f.run(cmd)
	if err != nil {
		return err
	}
	b := newBenchReport(&f.cfg, rep)
	if err := show(cmd, b, func(w *tabwriter.Writer) { benchTable(w, b) }); err != nil {
		return err
	}
	return rep.Err()
}

func newBenchReport(c *verify.Config, r *verify.Report) *benchReport {
	b := &benchReport{
		Server: r.Server, Rate: c.Rate, Size: c.Size, Functions: c.Functions, Fanout: c.Fanout, Sending: r.Sending, Drained: r.Drained,
		Throttled: r.Events.Throttled, Resent: r.Events.Resent, Interrupted: r.Interrupted, Notes: r.Notes,
	}
	b.Accepted = benchRow{r.Events.Accepted, perSecond(r.Events.Accepted, r.Sending.D()), r.Admission}
	b.Delivered = benchRow{r.Deliveries.Delivered, perSecond(r.Deliveries.Delivered, r.Sending.D()+r.Drained.D()), r.Latency}
	if b.Accepted.PerSecond < 0.95*c.Rate && !r.Interrupted {
		b.Notes = append(b.Notes, fmt.Sprintf("%s events/s were asked for, and %s accepted: the server, or this command, is at its limit, and the times are those of the queue before it",
			number(c.Rate), number(b.Accepted.PerSecond)))
	}
	if n := r.Deliveries.Dead; n > 0 {
		b.Notes = append(b.Notes, fmt.Sprintf("%d deliveries became dead letters", n))
	}
	return b
}

func benchTable(w *tabwriter.Writer, b *benchReport) {
	fmt.Fprintf(w, "%s events/s of %d bytes for %s, each to %d of %d functions, against %s\n\n", number(b.Rate), b.Size, b.Sending, b.Fanout, b.Functions, b.Server)
	row(w, "EVENTS", "COUNT", "PER SECOND", "P50 MS", "P90 MS", "P99 MS", "P99.9 MS", "MAX MS")
	for _, r := range []struct {
		name string
		benchRow
	}{{"accepted", b.Accepted}, {"delivered", b.Delivered}} {
		row(w, r.name, r.Count, number(r.PerSecond), millis(r.P50), millis(r.P90), millis(r.P99), millis(r.P999), millis(r.Max))
	}
	fmt.Fprintln(w)
	if b.Resent > 0 {
		fmt.Fprintf(w, "%d requests were made again, %d answered 429\n", b.Resent, b.Throttled)
	}
	for _, n := range b.Notes {
		fmt.Fprintln(w, n)
	}
	if b.Interrupted {
		fmt.Fprintln(w, "interrupted")
	}
}

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// number has one decimal at most.
func number(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }
