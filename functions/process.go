package functions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/child"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// id names one version of a function; version "" is an unnamed one.
type id struct{ name, version string }

func idOf(fn *resource.Function) id { return id{fn.Metadata.Name, fn.Spec.Version} }

// String is name@version, or the name of what has none.
func (i id) String() string {
	if i.version == "" {
		return i.name
	}
	return resource.VersionName(i.name, i.version)
}

// program is what a function with a command says shall run.
type program struct {
	id
	command []string
	// dir is where it runs, unless it has an artifact.
	dir, artifact string
	// settings are its variables and files; missing says why there are none.
	settings settings.Settings
	missing  error
}

func (r *Registry) newProgram(fn *resource.Function) program {
	p := program{id: idOf(fn), command: fn.Spec.Command, dir: fn.Spec.Dir, artifact: fn.Spec.Artifact}
	p.settings, p.missing = settings.Resolve(fn, r.c.Secrets)
	return p
}

func (p program) same(o program) bool {
	if p.missing != nil || o.missing != nil {
		return p.missing != nil && o.missing != nil && p.missing.Error() == o.missing.Error()
	}
	return slices.Equal(p.command, o.command) && p.dir == o.dir && p.artifact == o.artifact && p.settings.Digest == o.settings.Digest
}

// isOf reports whether fn says that this runs, whatever its settings are.
func (p program) isOf(fn *resource.Function) bool {
	return slices.Equal(p.command, fn.Spec.Command) && p.artifact == fn.Spec.Artifact && p.dir == fn.Spec.Dir
}

// process is one running program with all it started: a process group.
type process struct {
	cmd   *exec.Cmd
	group *child.Group
	port  int
	url   string
	// program is what it was started as.
	program program
	// mounts is the directory of its files, "" for none.
	mounts string
	// files are let go when it is gone.
	files files
	// ready is closed when the program accepts connections.
	ready chan struct{}
	// done is closed when the group is gone and err says why.
	done chan struct{}
	err  error
	// readyAt belongs to the supervisor.
	readyAt time.Time
}

// accepting is closed once p accepts connections; never for nil.
func (p *process) accepting() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.ready
}

// ended is closed once p is gone; never for nil.
func (p *process) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// launch starts a program on a free port, among files that are its own to release
// unless this fails. What follows its end is done by a
// goroutine that closes done.
func (r *Registry) launch(pr program, f files) (*process, error) {
	port, err := r.takePort()
	if err != nil {
		return nil, err
	}
	mounts, err := settings.WriteFiles(r.mounts, pr.settings.Files)
	if err != nil {
		r.freePort(port)
		return nil, err
	}
	cmd := exec.Command(pr.command[0], pr.command[1:]...)
	cmd.Dir = f.dir
	cmd.Env = environment(r.c.Environ, pr, port, mounts)
	cmd.WaitDelay = r.c.StopGrace
	mask := settings.NewMask(pr.settings.Secrets)
	out, errs := r.lines(pr.id, event.StreamStdout, mask), r.lines(pr.id, event.StreamStderr, mask)
	cmd.Stdout, cmd.Stderr = out, errs
	group, err := r.keeper.Start(cmd)
	if err != nil {
		r.freePort(port)
		r.removeMounts(mounts)
		return nil, err
	}
	p := &process{
		cmd: cmd, group: group, port: port, url: "http://127.0.0.1:" + strconv.Itoa(port) + "/", program: pr, mounts: mounts, files: f,
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	go p.attend(r, out, errs)
	return p, nil
}

// removeMounts removes the files of a program that is gone.
func (r *Registry) removeMounts(dir string) {
	if err := settings.RemoveFiles(dir); err != nil {
		r.c.Log.Warn("files of a function were not removed", "error", err)
	}
}

// lines returns a writer for one stream of a function's program, without its secrets.
func (r *Registry) lines(which id, stream string, mask *settings.Mask) *child.Lines {
	return child.NewLines(func(line string) {
		if r.c.Output != nil {
			r.c.Output(event.Log{Time: r.c.Now(), Function: which.name, Version: which.version, Stream: stream, Line: mask.String(line)})
		}
	})
}

// environment is what the program finds. It is called on loopback, and so has no
// need to listen anywhere else.
func environment(inherited []string, pr program, port int, mounts string) []string {
	env := slices.DeleteFunc(slices.Clone(inherited), func(v string) bool {
		return settings.Private(v) || strings.HasPrefix(v, "PORT=")
	})
	env = append(env, "PORT="+strconv.Itoa(port), "SIGNALBOX_HOST=127.0.0.1")
	if mounts != "" {
		env = append(env, settings.MountsVar+"="+mounts)
	}
	return append(env, pr.settings.Env...)
}

// attend waits for the program's end, with a probe beside it until it is
// ready. The group is killed when its leader has ended and the others have let
// go of the output, or StopGrace later: `go run` ends before what it ran.
func (p *process) attend(r *Registry, outputs ...*child.Lines) {
	defer close(p.done)
	probing, cancel := context.WithTimeout(context.Background(), r.c.ReadyTimeout)
	defer cancel()
	var probe sync.WaitGroup
	var slow error
	probe.Go(func() {
		if slow = p.probe(probing); slow != nil {
			p.group.Kill()
		}
	})
	err := p.cmd.Wait()
	cancel()
	probe.Wait()
	p.group.Gone()
	r.freePort(p.port)
	r.removeMounts(p.mounts)
	p.files.release()
	for _, l := range outputs {
		l.Flush()
	}
	p.err = endOf(err, slow)
}

// endOf says why a program ended.
func endOf(err, slow error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(slow, context.DeadlineExceeded):
		return fmt.Errorf("the program %w: does it listen on 127.0.0.1:$PORT?", errSlowStart)
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return errors.New("the program ended by itself")
	case errors.As(err, &exit):
		return fmt.Errorf("the program ended: %w", err)
	}
	return err
}

// The pause between two probes grows between these.
const (
	probeFirst = 5 * time.Millisecond
	probeLast  = 100 * time.Millisecond
)

// probe closes ready once a connection is accepted; it fails when ctx ends.
func (p *process) probe(ctx context.Context) error {
	var d net.Dialer
	pause := time.NewTimer(probeFirst)
	defer pause.Stop()
	for wait := probeFirst; ; wait = min(2*wait, probeLast) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
		if err == nil {
			_ = c.Close()
			close(p.ready)
			return nil
		}
		pause.Reset(wait)
	}
}

// stop asks the group to end, kills it after grace, and returns when it is gone.
func (p *process) stop(grace time.Duration) {
	select {
	case <-p.done:
		return // its number may be another's by now
	default:
	}
	p.group.Terminate()
	after := time.NewTimer(grace)
	defer after.Stop()
	select {
	case <-p.done:
	case <-after.C:
		p.group.Kill()
		<-p.done
	}
}

// takePort finds a free port of loopback that no other program was given; a
// program has not bound its own yet while it starts.
func (r *Registry) takePort() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		if !r.ports[port] {
			r.ports[port] = true
			return port, nil
		}
	}
}

func (r *Registry) freePort(port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ports, port)
}
