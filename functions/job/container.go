package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/resource"
)

// Engine runs containers; *engine.Client is one, and says what each method
// promises. Where a container is named, its name and its id will both do.
type Engine interface {
	Pull(ctx context.Context, image, policy string) error
	Create(ctx context.Context, s *engine.Spec) (id string, err error)
	Start(ctx context.Context, id string) error
	Inspect(ctx context.Context, id string) (engine.Info, error)
	Wait(ctx context.Context, id string) (engine.Exit, error)
	Logs(ctx context.Context, id string, since time.Time, line func(stream, line string)) error
	Stop(ctx context.Context, id string, grace time.Duration) error
	Remove(ctx context.Context, id string) error
	List(ctx context.Context, labels map[string]string) ([]engine.Info, error)
}

// The labels of containers, and of Kubernetes Jobs, beside those of package engine.
const (
	// labelKey has the key of the delivery, labelInstallation who it belongs to.
	labelKey          = "signalbox.dev/job"
	labelInstallation = "signalbox.dev/installation"
	// labelDir is the directory of the run on the machine of its Signalbox.
	labelDir = "signalbox.dev/dir"
	labelRun = "signalbox.dev/run"
)

// inContainer is where a container finds its files.
const inContainer = "/signalbox/"

func containerPaths() paths {
	return paths{event: inContainer + fileEvent, data: inContainer + fileData, replies: inContainer + fileReplies}
}

// containers runs jobs as containers of this machine. They go on when Signalbox
// ends, and are followed by the next process on the same directory, or by whoever
// gets the delivery again.
type containers struct {
	c      *Config
	desk   *desk
	images *images
}

func newContainers(c *Config, d *desk) *containers {
	return &containers{c: c, desk: d, images: newImages(c)}
}

func (p *containers) reconcile(fns []*resource.Function) {
	for _, fn := range fns {
		_ = p.images.ready(fn) // begins to fetch what is not there
	}
}

func (p *containers) ready(fn *resource.Function) error { return p.images.ready(fn) }

func (p *containers) close() { p.images.close() }

func (p *containers) left(context.Context) ([]found, error) { return nil, nil }

func (p *containers) start(ctx context.Context, fn *resource.Function, r *record, in *input) (task, error) {
	t, err := p.running(ctx, r)
	if t != nil || err != nil {
		return t, err
	}
	limits := fn.Spec.Container.WithDefaults()
	args, err := in.arguments(containerPaths())
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		limits.Args = args
	}
	dir, err := p.desk.lay(r, in)
	if err != nil {
		return nil, err
	}
	if t, err = p.launch(ctx, fn, limits, dir, r, in); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

// running finds a container of the delivery that goes on, or has ended at the same attempt.
func (p *containers) running(ctx context.Context, r *record) (task, error) {
	all, err := p.c.Engine.List(ctx, map[string]string{labelKey: r.Key})
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if !info.Running && info.Labels[labelRun] != r.Run {
			continue // of an attempt that is over
		}
		dir := info.Labels[labelDir]
		if kept := readRecord(dir); kept != nil {
			*r = *kept // it is that run
			return p.task(info.ID, dir, r, info.Labels), nil
		}
		if info.Running {
			return nil, fmt.Errorf("container %s of the same delivery runs, and its files are out of reach", info.Name)
		}
		if err := p.c.Engine.Remove(ctx, info.ID); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (p *containers) launch(ctx context.Context, fn *resource.Function, limits resource.Container, dir string, r *record, in *input) (task, error) {
	at := containerPaths()
	spec := &engine.Spec{
		Name: "signalbox-" + r.name(), Image: fn.Spec.Job.Image, Container: limits, Env: append(in.env, at.env()...),
		Files: []engine.Bind{
			{Source: filepath.Join(dir, fileEvent), Target: at.event}, {Source: filepath.Join(dir, fileData), Target: at.data},
			{Source: filepath.Join(dir, fileReplies), Target: at.replies, Writable: true},
		},
		Labels: map[string]string{
			engine.LabelFunction: r.Function, engine.LabelVersion: r.Version, engine.LabelManagedBy: engine.ManagedBy, engine.LabelOwner: "jobs-" + p.c.Instance,
			labelKey: r.Key, labelInstallation: p.c.Installation, labelDir: dir, labelRun: r.Run,
			labelMemory: strconv.Itoa(limits.MemoryMB),
		},
	}
	for i, f := range in.files {
		path := filepath.Join(dir, "mount-"+strconv.Itoa(i))
		// #nosec G306 -- read by the container's user; its directory is the owner's alone
		if err := os.WriteFile(path, f.Data, 0o444); err != nil {
			return nil, err
		}
		spec.Files = append(spec.Files, engine.Bind{Source: path, Target: f.Path})
	}
	id, err := p.c.Engine.Create(ctx, spec)
	if errors.Is(err, engine.ErrNotFound) {
		p.images.gone(fn)
	}
	if err != nil {
		return nil, err
	}
	if err := p.c.Engine.Start(ctx, id); err != nil {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
		defer cancel()
		return nil, errors.Join(err, p.c.Engine.Remove(removing, id))
	}
	return p.task(id, dir, r, spec.Labels), nil
}

// labelMemory is the limit in MiB, for what is said of a container that ran out of it.
const labelMemory = "signalbox.dev/memory-mb"

// adopt finds the container of a run.
func (p *containers) adopt(ctx context.Context, o *orphan) (task, error) {
	all, err := p.c.Engine.List(ctx, map[string]string{labelKey: o.record.Key})
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if info.Labels[labelDir] == o.dir {
			return p.task(info.ID, o.dir, o.record, info.Labels), nil
		}
	}
	return nil, nil
}

// container is a run by a container.
type container struct {
	places *containers
	id     string
	dir    string
	record *record
	memory int
	// since is up to when what it printed was passed on; zero is not at all yet.
	since time.Time
	stops sync.Once
}

func (p *containers) task(id, dir string, r *record, labels map[string]string) *container {
	t := &container{places: p, id: id, dir: dir, record: r}
	t.memory, _ = strconv.Atoi(labels[labelMemory])
	// It is looked at before this run is marked as followed, or what a run prints at once were lost.
	if info, err := os.Stat(filepath.Join(dir, fileSeen)); err == nil {
		t.since = info.ModTime()
	}
	return t
}

// The pause before an engine that is away is asked again.
const enginePause = time.Second

func (t *container) wait(ctx context.Context) (ending, error) {
	watch := newPrinted(t.places.c, t.record, t.id[:min(len(t.id), 12)], t.record.secretValues(t.places.c.Secrets))
	reading, enough := context.WithCancel(context.WithoutCancel(ctx))
	read := make(chan struct{})
	go func() {
		defer close(read)
		t.read(reading, watch)
	}()
	exit, err := t.exit(ctx)
	if err != nil || !waitFor(read, t.places.c.StopGrace) {
		enough()
	}
	<-read
	enough()
	tail := watch.flush()
	switch {
	case ctx.Err() != nil && err != nil:
		return ending{}, errDetached
	case err != nil:
		return ending{failed: true, reason: "the container is gone", tail: tail}, nil
	}
	return t.ending(exit, tail), nil
}

// exit waits for the container's end, also while the engine is away.
func (t *container) exit(ctx context.Context) (engine.Exit, error) {
	for {
		exit, err := t.places.c.Engine.Wait(ctx, t.id)
		if err == nil || errors.Is(err, engine.ErrNotFound) || ctx.Err() != nil {
			return exit, err
		}
		t.places.c.Log.Warn("a container cannot be watched", "function", t.record.Function, "run", t.record.Run, "error", err)
		rest(ctx, enginePause)
	}
}

// read passes on what the container prints, from when it was followed last.
func (t *container) read(ctx context.Context, watch *printed) {
	for since := t.since; ; {
		began := t.places.c.Now()
		err := t.places.c.Engine.Logs(ctx, t.id, since, watch.line)
		if err == nil || ctx.Err() != nil || errors.Is(err, engine.ErrNotFound) {
			return
		}
		since = began
		rest(ctx, enginePause)
	}
}

func (t *container) ending(exit engine.Exit, tail string) ending {
	end := ending{code: exit.Code, reason: exit.Error, tail: tail}
	if exit.OOM || exit.Code == engine.Killed {
		end.reason = exit.Reason(t.memory)
	}
	if exit.Code == 0 {
		end.replies, end.repliesErr = readReplies(filepath.Join(t.dir, fileReplies))
	}
	return end
}

func (t *container) stop() {
	t.stops.Do(func() {
		go func() {
			c := t.places.c
			ctx, cancel := context.WithTimeout(context.Background(), c.StopGrace+startTimeout)
			defer cancel()
			if err := c.Engine.Stop(ctx, t.id, c.StopGrace); err != nil && !errors.Is(err, engine.ErrNotFound) {
				c.Log.Warn("a container cannot be stopped", "function", t.record.Function, "run", t.record.Run, "error", err)
			}
		}()
	})
}

// fileSeen is touched while a run is followed.
const fileSeen = "seen"

// follows keeps the time up to which what the container printed was passed on.
func (t *container) follows(context.Context) {
	_ = os.WriteFile(filepath.Join(t.dir, fileSeen), nil, 0o600) // without it some lines come twice
	now := time.Now()
	_ = os.Chtimes(filepath.Join(t.dir, fileSeen), now, now)
}

func (t *container) forget(ctx context.Context) {
	if err := t.places.c.Engine.Remove(ctx, t.id); err != nil {
		t.places.c.Log.Warn("a container that has ended cannot be removed", "function", t.record.Function, "run", t.record.Run, "error", err)
		return // it is found again by its directory
	}
	(&orphan{dir: t.dir}).remove()
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
