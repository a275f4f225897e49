package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// deployFlags are the options of deploy.
type deployFlags struct {
	imageFlags
	function string
	wait     bool
	timeout  time.Duration
}

func newDeploy() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy [DIR]",
		Short: "Bring the functions of a directory into force, with their files or as an image, and wait until they are ready",
		Long: "Bring the functions of a directory into force and wait until they are ready.\n\n" +
			"The files of scripts and programs are packed and uploaded. With --image, or where the manifest has an image and a\n" +
			"Dockerfile stands beside it, an image is built and pushed, and the function names its digest: by the Dockerfile and a\n" +
			"container engine; of Go without a Dockerfile by the go command alone; of Python and Node by a Dockerfile that is generated.",
		Example: `  signalbox deploy greet
  signalbox deploy greet --image registry.example.com/team/greet:v1 --platform kubernetes`,
		GroupID: "resources",
		Args:    cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	f.imageFlags.add(flags)
	flags.StringVar(&f.function, "function", "", "the function that the image is for, where the directory has several")
	flags.BoolVar(&f.wait, "wait", true, "wait until the functions are ready")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait for that")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		return f.deploy(cmd, dir)
	}
	return printer(remote(cmd))
}

func (f *deployFlags) deploy(cmd *cobra.Command, dir string) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	manifests, err := resource.LoadManifests(dir)
	if err != nil {
		return err
	}
	said := cmd.ErrOrStderr()
	if err := f.buildImages(cmd.Context(), said, manifests); err != nil {
		return err
	}
	p := packer{client: c, said: said, upload: true, programs: true}
	if err := p.pack(cmd.Context(), manifests); err != nil {
		return err
	}
	applied, err := c.ApplyWarned(cmd.Context(), manifests.Objects, false)
	if err != nil {
		return located(manifests, err)
	}
	warn(said, applied.Warnings)
	if f.wait {
		if applied.Items, err = f.awaitReady(cmd.Context(), c, said, applied.Items); err != nil {
			return err
		}
	}
	return show(cmd, applied.Items, func(w *tabwriter.Writer) { deployed(w, applied.Items) })
}

// deployed shows what was written, and how functions are called.
func deployed(w *tabwriter.Writer, objects []resource.Object) {
	for _, o := range objects {
		fmt.Fprintf(w, "%s/%s\trevision %d\n", strings.ToLower(o.Kind), o.Metadata.Name, o.Metadata.Revision)
	}
	for _, o := range objects {
		if o.Kind != resource.KindFunction {
			continue
		}
		how := "--data …"
		if len(functionSpec(&o).On) > 0 {
			how = "--sample"
		}
		fmt.Fprintf(w, "call it:  signalbox invoke %s %s\n", o.Metadata.Name, how)
	}
}

// buildImages builds those that are to be built, and lets their functions name them.
func (f *deployFlags) buildImages(ctx context.Context, said io.Writer, m *resource.Manifests) error {
	var wanted []*resource.Object
	for i := range m.Objects {
		o := &m.Objects[i]
		if o.Kind == resource.KindFunction && (f.function == "" || f.function == o.Metadata.Name) && f.wants(o, dirOf(m, o)) {
			wanted = append(wanted, o)
		}
	}
	switch {
	case f.image == "":
	case len(wanted) == 0:
		return usagef("--image: there is no function with a command or an image%s", named(f.function))
	case len(wanted) > 1:
		return usagef("--image: %d functions could be meant: name one by --function", len(wanted))
	}
	for _, o := range wanted {
		if err := f.buildFor(ctx, said, o, dirOf(m, o)); err != nil {
			return fmt.Errorf("function %s: %w", o.Metadata.Name, err)
		}
	}
	return nil
}

func named(function string) string {
	if function == "" {
		return ""
	}
	return " named " + function
}

// dirOf is where the files of a function are: what dir says, else its manifest's.
func dirOf(m *resource.Manifests, o *resource.Object) string {
	if spec := functionSpec(o); spec.Dir != "" {
		return spec.Dir
	}
	return filepath.Dir(m.File(o.Kind, o.Metadata.Name))
}

// awaitReady waits until every function is ready, and returns the objects as they
// are then.
func (f *deployFlags) awaitReady(ctx context.Context, c *client.Client, said io.Writer, objects []resource.Object) ([]resource.Object, error) {
	k, err := resource.LookupKind(resource.KindFunction)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	for i := range objects {
		if objects[i].Kind != resource.KindFunction || functionSpec(&objects[i]).URL != "" {
			continue
		}
		began := time.Now()
		state, err := awaitFunction(ctx, c, k, &objects[i])
		if err != nil {
			return nil, err
		}
		if state == resource.StateIdle {
			fmt.Fprintf(said, "%s is in force: %s\n", objects[i].Metadata.Name, idleReason(&objects[i]))
			continue
		}
		fmt.Fprintf(said, "%s is %s after %d ms\n", objects[i].Metadata.Name, state, time.Since(began).Milliseconds())
	}
	return objects, nil
}

// awaitFunction looks until a function is ready, or idle: what starts with the
// first event has nothing to be waited for.
func awaitFunction(ctx context.Context, c *client.Client, k resource.Kind, o *resource.Object) (string, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	var status resource.FunctionStatus
	for {
		now, err := c.Get(ctx, k, o.Metadata.Name)
		switch {
		case ctx.Err() != nil: // said below
		case err != nil:
			return "", err
		case len(now.Status) == 0:
			return "in force (this server does not run it, and cannot say whether it is ready)", nil
		default:
			status = resource.FunctionStatus{}
			if err := json.Unmarshal(now.Status, &status); err != nil {
				return "", err
			}
			if *o = now; slices.Contains([]string{resource.StateReady, resource.StateIdle}, status.State) {
				return status.State, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s is in force and not ready yet: %s", o.Metadata.Name, cause(&status, ctx.Err()))
		case <-look.C:
		}
	}
}

// idleReason says why nothing runs.
func idleReason(o *resource.Object) string {
	var status resource.FunctionStatus
	if json.Unmarshal(o.Status, &status) != nil || status.Reason == "" {
		return "it starts with the first event"
	}
	return status.Reason
}

func cause(s *resource.FunctionStatus, err error) string {
	if s.State == "" {
		return err.Error()
	}
	return s.State + ": " + s.Reason
}

// errNoTag is an image that cannot be pushed to.
var errNoTag = errors.New("the image has a digest: want a name with a tag, which is pushed to")
