// Command signalbox is the whole program: the server, and the commands that
// talk to a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/resource"
)

// The exit codes.
const (
	exitFailed   = 1
	exitWrongUse = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, onTerminal(os.Stdout), onTerminal(os.Stderr)))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errOut, "signalbox: "+oneLine(err))
	var use *usageError
	if errors.As(err, &use) || strings.HasPrefix(err.Error(), "unknown command") {
		return exitWrongUse
	}
	return exitFailed
}

// usageError is a command line that makes no sense: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// oneLine is an error as it is printed: without the credentials of the URLs that
// options may hold.
func oneLine(err error) string {
	return resource.Redact(strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " "))
}

// newRoot builds the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "signalbox",
		Short:         "A serverless function gateway: CloudEvents in, functions called, their answers events again",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (see `%s --help`)", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a server:"},
		&cobra.Group{ID: "try", Title: "Put one to the test:"},
		&cobra.Group{ID: "resources", Title: "Manage resources:"},
		&cobra.Group{ID: "events", Title: "Send and watch events:"},
	)
	root.AddCommand(
		newDev(), newServe(), newSink(), newVerify(), newBench(),
		newApply(), newDeploy(), newNew(), newGet(), newDescribe(), newDelete(), newRollback(), newLink(), newUnlink(), newKeys(), newPolicy(),
		newEmit(), newRun(), newInvoke(), newTail(), newRuns(), newLogs(), newTrace(), newTypes(), newExplain(), newDecisions(), newDeadLetters(), newReplay(), newWebhook(),
		newVersion(),
	)
	wrapArgs(root)
	return root
}

// unknownCommand says what was meant, for all that is likely.
func unknownCommand(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	meant := ""
	if near := c.SuggestionsFor(name); len(near) > 0 {
		meant = fmt.Sprintf(": did you mean %s?", strings.Join(near, " or "))
	}
	return usagef("unknown command %q for %q%s (see `%s --help`)", name, c.CommandPath(), meant, c.CommandPath())
}

// wrapArgs makes every fault of the arguments wrong use (exit code 2).
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			switch {
			case err == nil:
				return nil
			case !strings.HasPrefix(err.Error(), "unknown command"):
			case c.HasAvailableSubCommands():
				return unknownCommand(c, args[0])
			default: // so says cobra.NoArgs of any argument
				err = fmt.Errorf("takes no arguments, and got %q", args[0])
			}
			return usagef("%w (usage: %s)", err, c.UseLine())
		}
	}
	for _, c := range cmd.Commands() {
		wrapArgs(c)
	}
}
