package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// processes runs jobs as processes of this machine. They end with Signalbox.
type processes struct {
	c       *Config
	keeper  *child.Keeper
	keeping sync.WaitGroup
	desk    *desk
}

func newProcesses(c *Config, d *desk) *processes {
	p := &processes{c: c, keeper: child.NewKeeper(c.Log), desk: d}
	p.keeping.Go(p.keeper.Run)
	return p
}

func (p *processes) reconcile([]*resource.Function) {}

func (p *processes) ready(*resource.Function) error { return nil }

// workDir is where the program of fn runs, until release is called.
func (p *processes) workDir(ctx context.Context, fn *resource.Function) (dir string, release func(), err error) {
	switch {
	case fn.Spec.Artifact == "":
		return fn.Spec.Dir, func() {}, nil
	case p.c.Artifacts == nil:
		return "", nil, errors.New("artifact: this process has no store of artifacts")
	}
	return p.c.Artifacts.Use(ctx, fn.Spec.Artifact)
}

func (p *processes) left(context.Context) ([]found, error) { return nil, nil }

func (p *processes) adopt(_ context.Context, o *orphan) (task, error) { return ended{o}, nil }

// ended is a run that ended with the process of Signalbox that had started it.
type ended struct{ orphan *orphan }

func (e ended) wait(context.Context) (ending, error) {
	return ending{failed: true, reason: "Signalbox was killed, and the run with it"}, nil
}

func (e ended) stop() {}

func (e ended) follows(context.Context) {}

func (e ended) forget(context.Context) { e.orphan.remove() }

func (p *processes) close() {
	p.keeper.Close()
	p.keeping.Wait()
}

// The names of the files of a run in its directory.
const (
	fileEvent   = "event.json"
	fileData    = "data"
	fileReplies = "replies"
	fileRecord  = "run.json"
)

func (p *processes) start(ctx context.Context, fn *resource.Function, r *record, in *input) (task, error) {
	work, release, err := p.workDir(ctx, fn)
	if err != nil {
		return nil, err
	}
	dir, err := p.desk.lay(r, in)
	if err != nil {
		release()
		return nil, err
	}
	t, err := p.launch(work, dir, release, r, in)
	if err != nil {
		release()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

func (p *processes) launch(work, dir string, release func(), r *record, in *input) (task, error) {
	at := paths{event: filepath.Join(dir, fileEvent), data: filepath.Join(dir, fileData), replies: filepath.Join(dir, fileReplies)}
	args, err := in.arguments(at)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(in.program, args...)
	cmd.Dir = work
	cmd.Env = slices.Concat(inherited(p.c.Environ), in.env, at.env())
	mounts, err := settings.WriteFiles(dir, in.files) // they go with the directory
	if err != nil {
		return nil, err
	}
	if mounts != "" {
		cmd.Env = append(cmd.Env, settings.MountsVar+"="+mounts)
	}
	cmd.WaitDelay = p.c.StopGrace
	t := &process{places: p, dir: dir, replies: at.replies, release: release, done: make(chan struct{})}
	watch := newPrinted(p.c, r, "", r.secretValues(p.c.Secrets))
	cmd.Stdout, cmd.Stderr = watch.out, watch.err
	if t.group, err = p.keeper.Start(cmd); err != nil {
		return nil, err
	}
	go t.attend(cmd, watch)
	return t, nil
}

// inherited is the environment without what configures Signalbox or is about
// another event.
func inherited(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		return settings.Private(v) || strings.HasPrefix(v, "CE_") || strings.HasPrefix(v, "TRACEPARENT=") || strings.HasPrefix(v, "TRACESTATE=")
	})
}

// process is a run by a process, with all that it starts.
type process struct {
	places  *processes
	group   *child.Group
	dir     string
	replies string
	// release lets go of the program's files.
	release func()
	stops   sync.Once
	// done is closed once the group is gone and end says how.
	done chan struct{}
	end  ending
}

func (t *process) attend(cmd *exec.Cmd, watch *printed) {
	defer close(t.done)
	err := cmd.Wait()
	t.group.Gone()
	t.release()
	t.end = endOf(cmd, err)
	t.end.tail = watch.flush()
	if t.end.code == 0 && !t.end.failed {
		t.end.replies, t.end.repliesErr = readReplies(t.replies)
	}
}

// endOf says how a program ended.
func endOf(cmd *exec.Cmd, err error) ending {
	state := cmd.ProcessState
	switch {
	case state == nil:
		return ending{failed: true, reason: fmt.Sprint(err)}
	case state.ExitCode() >= 0:
		return ending{code: state.ExitCode()}
	}
	return signalled(state)
}

func readReplies(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxReplyBytes {
		err = errors.New("the replies have more than " + strconv.Itoa(maxReplyBytes) + " bytes")
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (t *process) wait(ctx context.Context) (ending, error) {
	select {
	case <-t.done:
	case <-ctx.Done():
		select {
		case <-t.done: // it was quicker
		default:
			t.stop()
			<-t.done
			return ending{}, errReturned
		}
	}
	return t.end, nil
}

// stop asks the group to end, and kills it after the grace.
func (t *process) stop() {
	t.stops.Do(func() {
		go func() {
			t.group.Terminate()
			if !waitFor(t.done, t.places.c.StopGrace) {
				t.group.Kill()
			}
		}()
	})
}

func (t *process) follows(context.Context) {}

func (t *process) forget(context.Context) { _ = os.RemoveAll(t.dir) }
