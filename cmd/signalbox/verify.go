package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/verify"
)

// verifyFlags are the options of verify that are not the run's own.
type verifyFlags struct {
	cfg           verify.Config
	faults        []string
	maxDuplicates int
	cleanup       bool
	quiet         bool
	callLog       string
}

func newVerify() *cobra.Command {
	f := verifyFlags{cfg: verify.DefaultConfig(), faults: faultNames(verify.Faults())}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove delivery: send events, receive them with functions that fail on a plan, and compare",
		Long: "Send events to a running Signalbox, receive them with functions of this command that\nfail on a plan, and report what was accepted, delivered, lost, duplicated and out of\n" +
			"order. Exit code 0 only if nothing was lost (and, with --order key, nothing\nreordered). The functions and links it makes are removed at the end.",
		Example: "  signalbox verify --events 10000 --rate 500 --order key --seed 7\n" +
			"  signalbox verify --for 10m --kill-command 'systemctl restart signalbox' --kill-every 30s",
		GroupID: "try",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVerify(cmd, &f) },
	}
	f.shared(cmd)
	f.load(cmd)
	f.trouble(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.cfg.Name, "name", "", "name of the run, in the names of its functions and links (default: a random one)")
	flags.DurationVar(&f.cfg.Grace, "grace", f.cfg.Grace, "after an interruption (Ctrl-C): how long to wait for what is outstanding")
	flags.DurationVar(&f.cfg.Linger, "linger", f.cfg.Linger, "how long to wait for duplicates when all is delivered")
	flags.DurationVar(&f.cfg.ReadyTimeout, "ready-timeout", f.cfg.ReadyTimeout, "how long to wait until the functions are called at all")
	flags.IntVar(&f.maxDuplicates, "max-duplicates", -1, "fail when more deliveries than this came again after a success; -1: report them only")
	flags.StringVar(&f.callLog, "call-log", "", "file that gets a line of JSON for every call of a function")
	flags.BoolVar(&f.cleanup, "cleanup", false, "remove what dead runs have left behind, and do nothing else")
	return printer(remote(cmd))
}

// shared adds the flags that every load has: how much of it, and where it is received.
func (f *verifyFlags) shared(cmd *cobra.Command) {
	c, flags := &f.cfg, cmd.Flags()
	flags.Float64Var(&c.Rate, "rate", c.Rate, "events per second")
	flags.IntVar(&c.Size, "size", c.Size, "bytes of an event's data")
	flags.IntVar(&c.Functions, "functions", c.Functions, "how many functions receive them")
	flags.IntVar(&c.Fanout, "fanout", c.Fanout, "to how many of the functions each event goes")
	flags.IntVar(&c.Keys, "keys", c.Keys, "how many different keys the events have; 0: none")
	flags.StringVar(&c.Order, "order", c.Order, "order of the links: none or key")
	flags.StringVar(&c.Listen, "listen", c.Listen, "address the functions of this command listen on")
	flags.StringVar(&c.CallbackURL, "callback-url", "", "URL at which the deployment reaches --listen (default: that address)")
	flags.DurationVar(&c.Drain, "drain", c.Drain, "when the sending is over: how long nothing may arrive before what is missing counts as lost")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress on stderr")
}

// load adds the other flags that say what is sent, and answered.
func (f *verifyFlags) load(cmd *cobra.Command) {
	c, flags := &f.cfg, cmd.Flags()
	flags.IntVar(&c.Events, "events", c.Events, "how many events are sent; 0: as many as fit into --for (the default when only that is given)")
	flags.DurationVar(&c.For, "for", 0, "how long events are sent at most; 0: until --events are")
	flags.Var((*share)(&c.Replies), "replies", "share of deliveries that are answered with an event, which another function must get once")
	flags.DurationVar(&c.CallTimeout, "call-timeout", c.CallTimeout, "the links' timeout of one call")
}

// trouble adds the flags that say what goes wrong on purpose.
func (f *verifyFlags) trouble(cmd *cobra.Command) {
	c, flags := &f.cfg, cmd.Flags()
	flags.Var((*share)(&c.Fail), "fail", "share of calls that meet a fault")
	flags.StringSliceVar(&f.faults, "faults", f.faults, "kinds of faults")
	flags.Var((*share)(&c.Poison), "poison", "share of deliveries that are refused for good, and must become dead letters")
	flags.Uint64Var(&c.Seed, "seed", 0, "decides which calls fail and how (default: a random one, which is printed)")
	flags.StringVar(&c.KillCommand, "kill-command", "", "command of yours that the shell runs every --kill-every while events are sent: kill or restart what you like")
	flags.DurationVar(&c.KillEvery, "kill-every", c.KillEvery, "time between two runs of --kill-command")
}

func runVerify(cmd *cobra.Command, f *verifyFlags) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	if f.cleanup {
		return cleanUp(cmd, c)
	}
	if err := f.credentials(cmd); err != nil {
		return err
	}
	rep, err := f.run(cmd)
	if err != nil {
		return err
	}
	if err := show(cmd, rep, func(w *tabwriter.Writer) { verifyTable(w, rep) }); err != nil {
		return err
	}
	if err := rep.Err(); err != nil {
		return err
	}
	if n := rep.Deliveries.Duplicated() + rep.Replies.Duplicated(); f.maxDuplicates >= 0 && n > f.maxDuplicates {
		return fmt.Errorf("%d deliveries came again after a success: --max-duplicates allows %d", n, f.maxDuplicates)
	}
	return nil
}

// credentials are those that the run presents, and what it trusts.
func (f *verifyFlags) credentials(cmd *cobra.Command) (err error) {
	if f.cfg.Token, err = tokenOf(cmd); err != nil {
		return &usageError{err}
	}
	if f.cfg.TLS, err = tlsOf(cmd); err != nil {
		return &usageError{err}
	}
	return nil
}

// run makes the run, with the log of calls around it.
func (f *verifyFlags) run(cmd *cobra.Command) (rep *verify.Report, err error) {
	cfg := f.config(cmd)
	if f.callLog != "" {
		var file *os.File
		if file, err = os.Create(f.callLog); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out := bufio.NewWriter(file)
		defer func() { err = errors.Join(err, out.Flush()) }()
		cfg.CallLog = out
	}
	run, err := verify.New(cfg)
	if errors.Is(err, verify.ErrConfig) {
		return nil, &usageError{err}
	}
	if err != nil {
		return nil, err
	}
	return run.Run(cmd.Context())
}

// config completes what the flags say.
func (f *verifyFlags) config(cmd *cobra.Command) verify.Config {
	c := f.cfg
	c.Server = serverURL(cmd)
	c.Faults = nil
	for _, name := range f.faults {
		c.Faults = append(c.Faults, verify.Fault(name))
	}
	if cmd.Flags().Changed("for") && !cmd.Flags().Changed("events") {
		c.Events = 0
	}
	if !cmd.Flags().Changed("seed") {
		c.Seed = rand.Uint64N(1_000_000) // #nosec G404 -- a seed that is printed
	}
	c.KillOutput = cmd.ErrOrStderr()
	if !f.quiet {
		c.Progress = func(p verify.Progress) { fmt.Fprintln(cmd.ErrOrStderr(), p) }
	}
	return c
}

func cleanUp(cmd *cobra.Command, c *client.Client) error {
	removed, err := verify.Cleanup(cmd.Context(), c)
	if err != nil {
		return err
	}
	return show(cmd, removed, func(w *tabwriter.Writer) {
		for _, name := range removed.Resources {
			fmt.Fprintf(w, "%s removed\n", name)
		}
		for _, run := range removed.Alive {
			fmt.Fprintf(w, "run %s is alive, left alone\n", run)
		}
		if len(removed.Resources)+len(removed.Alive) == 0 {
			fmt.Fprintln(w, "nothing to remove")
		}
	})
}

// verifyTable is the report for people.
func verifyTable(w *tabwriter.Writer, r *verify.Report) {
	e := r.Events
	fmt.Fprintf(w, "run %s against %s, seed %d, order %s\n", r.Run, r.Server, r.Seed, r.Order)
	fmt.Fprintf(w, "%d events sent in %s: %d accepted, %d unknown (%d of them delivered), %d not taken; %d sent again, %d answered 429\n",
		e.Sent, r.Sending, e.Accepted, e.Unknown, e.UnknownDelivered, e.Unsent, e.Resent, e.Throttled)
	fmt.Fprintf(w, "%d calls, faults: %s\n", r.Calls, faultCounts(r))
	fmt.Fprintf(w, "first success after %s ms (p50), %s ms (p99), %s ms (max); drained %s after the last event\n\n", millis(r.Latency.P50), millis(r.Latency.P99), millis(r.Latency.Max), r.Drained)
	missing := "LOST"
	if r.Interrupted {
		missing = "OUTSTANDING"
	}
	row(w, "DELIVERIES", "EXPECTED", "DELIVERED", "DEAD", missing, "REDELIVERED", "COPIED", "REORDERED")
	for _, t := range []struct {
		name string
		verify.Tally
	}{{"of events", r.Deliveries}, {"of replies", r.Replies}} {
		row(w, t.name, t.Expected, t.Delivered, t.Dead, t.Lost, t.Redelivered, t.Copied, t.Reordered)
	}
	fmt.Fprintln(w)
	remarks(w, r)
}

// remarks are what the table cannot say.
func remarks(w *tabwriter.Writer, r *verify.Report) {
	say := func(n int, format string) {
		if n > 0 {
			fmt.Fprintf(w, format+"\n", n)
		}
	}
	say(r.DeadPlanned, "%d of the dead letters were planned (--poison)")
	say(r.Kills, "the kill command ran %d times")
	say(r.KillsFailed, "the kill command failed %d times")
	say(r.Changed, "%d calls had an event that is not as it was sent")
	say(r.Unexpected, "%d calls had an event that was not for that function")
	say(r.Foreign, "%d calls had an event of another run")
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	for _, x := range r.Findings {
		fmt.Fprintln(w, x)
	}
	if r.Interrupted {
		fmt.Fprintln(w, "interrupted: no more events were sent, and what was outstanding was waited for a short time only")
	}
	if r.Err() == nil {
		fmt.Fprintln(w, "nothing was lost")
	}
}

func faultCounts(r *verify.Report) string {
	var parts []string
	for _, f := range verify.Faults() {
		if n := r.Faults[f]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", f, n))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func millis(m verify.Millis) string { return strconv.FormatFloat(m.Float(), 'f', 1, 64) }

func faultNames(faults []verify.Fault) []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = string(f)
	}
	return slices.Clip(names)
}

// share is a flag for a part of a whole: 2% or 0.02.
type share float64

func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'f', -1, 64) + "%" }
func (s *share) Type() string   { return "percent" }

func (s *share) Set(v string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(v), "%")
	x, err := strconv.ParseFloat(number, 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x >= 0 && x <= 1) {
		return errors.New("want a share such as 2% or 0.02")
	}
	*s = share(x)
	return nil
}
