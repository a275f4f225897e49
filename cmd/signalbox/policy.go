package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/policies/policytest"
	"github.com/signalbox-dev/signalbox/resource"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Check and test links and policies, and see what a change of them would do",
		GroupID: "resources",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyCheck(), newPolicyTest(), newPolicyWhatIf(), newPolicyGraph())
	return cmd
}

func newPolicyTest() *cobra.Command {
	var run, export string
	var verbose bool
	var opts policytest.Options
	cmd := &cobra.Command{
		Use:   "test FILE|DIR",
		Short: "Run Rego unit tests, and cases decided by the real engine; needs no server",
		Long: `Run the rules named test_… of the policies and of *_test.rego by OPA's own tester, and the cases
of *.cases.yaml by the engine that decides in production.

Policies in shadow mode are left out, as they are where decisions count.`,
		Example: `  signalbox policy test policies/
  signalbox policy test policies/ --run 'night' -v
  signalbox policy test policies/ --export /tmp/cases && opa test /tmp/cases`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&run, "run", "", "only tests and cases whose names match a regular expression")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every test, not only those that fail, and for each case why")
	cmd.Flags().BoolVar(&opts.Shadow, "shadow", false, "test policies in shadow mode as if they were in force")
	cmd.Flags().StringVar(&export, "export", "", "write policies and cases to a new directory that `opa test` takes, and run nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if run != "" {
			var err error
			if opts.Run, err = regexp.Compile(run); err != nil {
				return usagef("--run: %w", err)
			}
		}
		suite, err := policytest.Load(args[0], opts)
		if err != nil {
			return err
		}
		if export != "" {
			return suite.Export(export)
		}
		report, err := suite.Run(cmd.Context())
		if err != nil {
			return err
		}
		if err := show(cmd, report, func(w *tabwriter.Writer) { testTable(w, report, verbose) }); err != nil {
			return err
		}
		if !report.Good() {
			return fmt.Errorf("%d of %d tests failed", report.Failed+report.Errors, len(report.Tests))
		}
		return nil
	}
	return printer(cmd)
}

// testTable shows what failed, or everything, and the sum.
func testTable(w io.Writer, report policytest.Report, verbose bool) {
	for _, r := range report.Tests {
		bad := r.Outcome == policytest.Fail || r.Outcome == policytest.Error
		if !bad && !verbose {
			continue
		}
		fmt.Fprintf(w, "%s  %s:%d: %s\n", strings.ToUpper(string(r.Outcome)), r.File, r.Line, r.Name)
		for _, p := range r.Problems {
			fmt.Fprintf(w, "      %s\n", p)
		}
		for _, y := range r.Why {
			fmt.Fprintf(w, "      %s %s: %s\n", mark(y.Chosen), y.Link, y.Why)
		}
		for line := range strings.Lines(r.Output) {
			fmt.Fprintf(w, "      | %s", line)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed", report.Passed, report.Failed+report.Errors)
	if report.Skipped > 0 {
		fmt.Fprintf(w, ", %d skipped", report.Skipped)
	}
	fmt.Fprintln(w)
}

// mark tells chosen links from others.
func mark(chosen bool) string {
	if chosen {
		return "+"
	}
	return "-"
}

func newPolicyCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE|DIR",
		Short: "Compile manifests and .rego files together, and say of every policy what it reads; needs no server",
		Args:  cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report, err := policytest.Check(args[0])
		var faults resource.Faults
		switch {
		case errors.As(err, &faults):
			for _, f := range faults {
				fmt.Fprintln(cmd.OutOrStdout(), policytest.Line(f))
			}
			return fmt.Errorf("%s: %s", args[0], count(len(faults), "fault"))
		case err != nil:
			return err
		}
		return show(cmd, report, func(w *tabwriter.Writer) { checkTable(w, report) })
	}
	return printer(cmd)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func checkTable(w io.Writer, report policytest.CheckReport) {
	row(w, "POLICY", "KIND", "PRIORITY", "MODE", "READS", "REMEMBERED")
	for i := range report.Policies {
		p := &report.Policies[i]
		row(w, p.Policy, p.Kind, p.Priority, p.Mode, strings.Join(p.Inputs(), " "), remembered(p))
	}
	for i := range report.Policies {
		for _, o := range report.Policies[i].NotRemembered {
			fmt.Fprintf(w, "%s is not remembered: %s\n", report.Policies[i].Policy, o)
		}
	}
	fmt.Fprintf(w, "%s, %s, %s: no faults\n", count(report.Functions, "function"), count(report.Links, "link"), countPolicies(len(report.Policies)))
}

// remembered is about trigger policies only: the others are always asked.
func remembered(p *policytest.PolicyReport) string {
	if p.Kind != policies.StageTrigger {
		return ""
	}
	return yesNo(p.Remembered)
}

func countPolicies(n int) string {
	if n == 1 {
		return "1 policy"
	}
	return fmt.Sprintf("%d policies", n)
}
