package container

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
)

// state is how far a container is. Draining ones take no calls any more, and end
// when the last one has ended.
type state uint8

const (
	stateStarting state = iota
	stateReady
	// stateDoubtful: a call found no answer, so it is looked at before there are more.
	stateDoubtful
	stateDraining
)

// replica is one container. Its state, phase, calls and readyAt are guarded by the group.
type replica struct {
	g *group
	v *revision
	// name is the container's, made here so that it is known before the container is there.
	name string

	state   state
	phase   string
	calls   int
	readyAt time.Time
	// cancel stops a start; gone is closed when nobody needs the container any more.
	cancel context.CancelFunc
	gone   chan struct{}
	left   bool
	// doubt asks for a look; cleared is closed once it went well, and nil while there is no doubt.
	doubt   chan struct{}
	cleared chan struct{}
	// made: there may be a container.
	made bool

	// ended is closed when the container has ended; why says how.
	ended chan struct{}
	once  sync.Once
	why   error
	// id and up are there before it is ready.
	id string
	up *upstream
}

func newReplica(g *group, v *revision) *replica {
	return &replica{
		g: g, v: v, name: "signalbox-" + v.name[:min(len(v.name), 40)] + "-" + strings.ToLower(rand.Text()[:12]), phase: "the container is made",
		cancel: func() {}, gone: make(chan struct{}), doubt: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// drain lets p take no further calls; the group is held.
func (p *replica) drain() {
	if p.state == stateStarting {
		p.cancel()
	}
	p.state = stateDraining
	if p.calls == 0 {
		p.leave()
	}
}

// leave says that nobody needs p; the group is held.
func (p *replica) leave() {
	if !p.left {
		p.left = true
		close(p.gone)
	}
}

// end notes how the container ended.
func (p *replica) end(why error) {
	p.once.Do(func() {
		p.why = why
		close(p.ended)
	})
}

func (p *replica) enters(phase string) {
	p.g.mu.Lock()
	p.phase = phase
	p.g.mu.Unlock()
}

// run makes the container, looks after it until it ends or nobody needs it, and removes it.
func (p *replica) run(ctx context.Context) {
	defer p.g.forget(p)
	begin := p.g.r.c.Now()
	p.g.mu.Lock()
	starts, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	if p.state == stateDraining {
		cancel()
	}
	p.g.mu.Unlock()
	defer cancel()
	p.g.r.setLive(p.name, true)
	defer p.remove()
	if err := p.launch(starts); err != nil {
		p.fail(ctx, err)
		return
	}
	watched, stop := context.WithCancel(context.Background())
	defer stop()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { p.watch(watched) })
	watching.Go(func() { p.listen(watched) })
	defer p.halt(stop)
	if err := p.await(starts); err != nil {
		p.fail(ctx, err)
		return
	}
	took := p.g.r.c.Now().Sub(begin)
	p.g.r.c.Log.Info("container is ready", "function", p.g.key, "container", p.id[:min(12, len(p.id))], "took", took.Round(time.Millisecond))
	p.g.started(p)
	if ready := p.g.r.c.Observe.Ready; ready != nil {
		ready(p.v.name, took)
	}
	p.serve(ctx, starts)
}

// serve returns when the container has ended, or nobody needs it.
func (p *replica) serve(ctx, starts context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.gone:
			return
		case <-p.ended:
			p.fail(ctx, p.why)
			return
		case <-p.doubt:
			if err := p.await(starts); err != nil {
				p.fail(ctx, err)
				return
			}
			p.g.started(p)
		}
	}
}

// fail tells the group, unless everything stops.
func (p *replica) fail(ctx context.Context, why error) {
	if ctx.Err() == nil {
		p.g.failed(p, why)
	}
}

// launch makes and starts the container.
func (p *replica) launch(ctx context.Context) error {
	c := &p.g.r.c
	owner, err := p.g.r.owner.take()
	if err != nil {
		return fmt.Errorf("the directory for containers: %w", err)
	}
	p.enters("the image is looked for, and fetched")
	pulling, cancel := context.WithTimeout(ctx, c.PullTimeout)
	defer cancel()
	if err := c.Engine.Pull(pulling, p.v.image, p.v.spec.Pull); err != nil {
		return failure{CauseImage, err}
	}
	p.enters("the container is made")
	files, err := p.writeFiles()
	if err != nil {
		return err
	}
	making, cancel := context.WithTimeout(ctx, c.ReadyTimeout)
	defer cancel()
	p.made = true
	p.id, err = c.Engine.Create(making, &engine.Spec{
		Name: p.name, Image: p.v.image, Container: p.v.spec, Env: p.v.environ(), Files: files, Publish: true,
		Labels: map[string]string{
			engine.LabelManagedBy: engine.ManagedBy, engine.LabelOwner: owner,
			engine.LabelFunction: p.v.name, engine.LabelVersion: p.v.version,
		},
	})
	if err != nil {
		return err
	}
	if err := c.Engine.Start(making, p.name); err != nil {
		return err
	}
	info, err := c.Engine.Inspect(making, p.name)
	switch {
	case err != nil:
		return err
	case !info.Running:
		return ended(info.Exit, p.v.spec.MemoryMB)
	case info.Port == 0:
		return errors.New("the engine published no port of the container")
	}
	p.up = newUpstream(net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Port)))
	return nil
}

// dir is where the container's files are.
func (p *replica) dir() (string, error) {
	owner, err := p.g.r.owner.take()
	return filepath.Join(p.g.r.owner.files(owner), p.name), err
}

// writeFiles puts the mounts where the engine finds them: below a directory that is
// closed to others, readable for whoever the container runs as.
func (p *replica) writeFiles() ([]engine.Bind, error) {
	if len(p.v.settings.Files) == 0 {
		return nil, nil
	}
	dir, err := p.dir()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	var binds []engine.Bind
	for i, f := range p.v.settings.Files {
		source := filepath.Join(dir, strconv.Itoa(i))
		if err == nil {
			err = os.WriteFile(source, f.Data, 0o444) // #nosec G306 -- read by the container's user; its directory is the owner's alone
		}
		if err == nil {
			err = os.Chmod(source, 0o444) // #nosec G302 -- read by the container's user; its directory is the owner's alone; whatever the umask
		}
		binds = append(binds, engine.Bind{Source: source, Target: f.Path})
	}
	return binds, err
}

// probePause is the time between two looks at a container that starts; looks grow rarer.
const (
	probeFirst = 3 * time.Millisecond
	probeLast  = 100 * time.Millisecond
)

// await waits until the container answers.
func (p *replica) await(ctx context.Context) error {
	p.enters("the container has started, and does not answer " + p.asked() + " yet")
	ctx, cancel := context.WithTimeout(ctx, p.g.r.c.ReadyTimeout)
	defer cancel()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var last error
	for wait := probeFirst; ; wait = min(wait*3/2, probeLast) {
		select {
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return failure{CauseUnready, fmt.Errorf("the container did not answer %s within %s: %w", p.asked(), p.g.r.c.ReadyTimeout, last)}
		case <-p.ended:
			return p.why
		case <-p.gone:
			return errGone
		case <-pause.C:
		}
		err := p.probe(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // else it was cut short, which says less than the one before
			last = err
		}
		pause.Reset(wait)
	}
}

// asked is what a container answers once it is ready, in the words of its manifest.
func (p *replica) asked() string {
	if p.v.spec.Health != "" {
		return fmt.Sprintf("GET %s at its port %d", p.v.spec.Health, p.v.spec.Port)
	}
	return fmt.Sprintf("at its port %d", p.v.spec.Port)
}

// settled is how long a connection must stay open to count: what forwards ports
// may accept it before the function listens, and closes it again then.
const settled = 20 * time.Millisecond

// probe looks once whether the container answers.
func (p *replica) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if p.v.spec.Health != "" {
		return p.healthy(ctx)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.up.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(settled)); err != nil {
		return err
	}
	var b [1]byte
	if _, err = c.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (p *replica) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.up.addr+p.v.spec.Health, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("GET %s answers %d", p.v.spec.Health, resp.StatusCode)
	}
	return nil
}

// watchAgain is the wait before an engine that went away is asked again for a container.
const watchAgain = time.Second

// watch waits for the container's end. An engine that goes away may leave it
// running: then calls go on, and it is looked after again once the engine is back.
func (p *replica) watch(ctx context.Context) {
	for {
		exit, err := p.g.r.c.Engine.Wait(ctx, p.name)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			p.end(ended(exit, p.v.spec.MemoryMB))
			return
		case errors.Is(err, engine.ErrNotFound):
			p.end(failure{CauseRemoved, errors.New("the container was removed by somebody else")})
			return
		}
		dialling, cancel := context.WithTimeout(ctx, watchAgain)
		_, refused := p.up.dial(dialling)
		cancel()
		if refused != nil && ctx.Err() == nil {
			p.end(failure{CauseEngine, fmt.Errorf("the container engine went away, and the container with it: %w", err)})
			return
		}
		again := time.NewTimer(watchAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

// listen passes the container's output on, until the container has ended and all
// was read.
func (p *replica) listen(ctx context.Context) {
	var since time.Time
	for {
		err := p.g.r.c.Engine.Logs(ctx, p.name, since, p.line)
		since = p.g.r.c.Now()
		if err == nil || ctx.Err() != nil || errors.Is(err, engine.ErrNotFound) {
			return
		}
		again := time.NewTimer(watchAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

func (p *replica) line(stream, line string) {
	if output := p.g.r.c.Output; output != nil {
		output(event.Log{
			Time: p.g.r.c.Now(), Function: p.v.name, Version: p.v.version, Stream: stream, Line: p.v.mask.String(line), Instance: p.id[:min(12, len(p.id))],
		})
	}
}

// halt stops the container and, with it, those who look after it; they get a
// moment for its last lines.
func (p *replica) halt(stop context.CancelFunc) {
	p.up.close()
	grace := p.g.r.c.StopGrace
	ctx, cancel := context.WithTimeout(context.Background(), grace+10*time.Second)
	defer cancel()
	select {
	case <-p.ended:
	default:
		if err := p.g.r.c.Engine.Stop(ctx, p.name, grace); err != nil {
			p.g.r.c.Log.Debug("stopping a container", "function", p.g.key, "error", err) // it is removed by force
		}
	}
	time.AfterFunc(lastLines, stop)
}

// lastLines bounds how long the end of a container's output is waited for.
const lastLines = 2 * time.Second

// remove removes the container, which may not be there, and its files.
func (p *replica) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	if p.made {
		err = p.g.r.c.Engine.Remove(ctx, p.name)
	}
	if dir, unknown := p.dir(); unknown == nil && len(p.v.settings.Files) > 0 {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	p.g.r.setLive(p.name, false)
	if err != nil {
		p.g.r.soil()
		p.g.r.c.Log.Warn("a container is not removed yet", "function", p.g.key, "container", p.name, "error", err)
	}
}
