package scripts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/functions/sdk"
	"github.com/signalbox-dev/signalbox/resource"
)

// retryPrepare is how long a failure to prepare is believed.
const retryPrepare = 5 * time.Second

// maxRetryPrepare is the longest pause between two attempts that nobody asked for.
const maxRetryPrepare = 5 * time.Minute

var errPreparing = errors.New("the virtual environment of the function is being made")

// preparing is what is being prepared, for the files of a generation; the outcome is
// there once done is closed.
type preparing struct {
	generation uint64
	done       chan struct{}
	outcome    prepared
}

// prepare finds the interpreter and makes the virtual environment, once; it waits for
// that as long as ctx lives.
func (p *pool) prepare(ctx context.Context) ([]string, error) {
	if p.missing != nil {
		return nil, p.missing
	}
	for {
		ready, under := p.preparation()
		if under == nil {
			return ready.program, ready.err
		}
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.life.Done():
			return nil, errStopped
		}
		if p.isCurrent(under.generation) {
			return under.outcome.program, under.outcome.err
		}
	}
}

// preparation is its outcome, or what is under way; it begins what nobody has begun.
func (p *pool) preparation() (*prepared, *preparing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done := p.prepared; done != nil && (done.err == nil || time.Now().Before(done.until)) {
		return done, nil
	}
	if p.preparing == nil {
		under := &preparing{generation: p.generation, done: make(chan struct{})}
		p.preparing = under
		p.host.work.Go(func() { p.bring(under) })
	}
	return nil, p.preparing
}

func (p *pool) isCurrent(generation uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation == generation
}

// bring prepares what nobody prepares yet.
func (p *pool) bring(under *preparing) {
	dir, err := p.dir()
	fetched := err == nil
	var program []string
	if fetched {
		program, err = p.program(dir)
	}
	under.outcome = prepared{program: program, err: err, until: time.Now().Add(retryPrepare)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation == under.generation && fetched {
		p.prepared = &under.outcome
	}
	p.preparing = nil
	close(under.done)
}

// program is the start of a worker's command line, once all is there that it needs.
func (p *pool) program(dir string) ([]string, error) {
	interpreter, err := p.interpreter(dir)
	if err == nil {
		err = errors.Join(p.filesExist(dir), p.host.unpackOnce())
	}
	if err != nil {
		return nil, err
	}
	return p.command(interpreter, dir), nil
}

// awaitEnvironment waits for the function's virtual environment, at most so long. Then a
// call is answered 503, so that no attempt is spent on waiting.
func (p *pool) awaitEnvironment(ctx context.Context, patience time.Duration) error {
	if p.spec.Requirements == "" {
		return nil
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := p.prepare(patient); errors.Is(err, context.DeadlineExceeded) {
		return errPreparing
	}
	return nil // whatever it is, it is told where a worker is wanted
}

func (p *pool) filesExist(dir string) error {
	for _, f := range p.spec.Files {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			return fmt.Errorf("script %s: %w", f, err)
		}
	}
	return nil
}

// interpreter is the program that runs the scripts.
func (p *pool) interpreter(dir string) (string, error) {
	program := p.host.c.Node
	if p.spec.Runtime == resource.RuntimePython {
		program = p.host.c.Python
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("runtime %s: %w", p.spec.Runtime, err)
	}
	if p.spec.Requirements == "" {
		return found, nil
	}
	return p.environment(found, dir)
}

// environment makes a virtual environment with the function's requirements; one
// that was made from the same ones before is used again.
func (p *pool) environment(python, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(p.life, p.host.c.PrepareTimeout) // not a request's: the next one wants it too
	defer cancel()
	file := filepath.Join(dir, p.spec.Requirements)
	wants, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("requirements: %w", err)
	}
	version, err := exec.CommandContext(ctx, python, "-VV").Output()
	if err != nil {
		return "", fmt.Errorf("runtime python: %w", err)
	}
	sum := sha256.Sum256(append(append([]byte(python+"\x00"), version...), wants...))
	venv := filepath.Join(p.host.c.Dir, "python-"+hex.EncodeToString(sum[:12]))
	interpreter := filepath.Join(venv, "bin", "python")
	turn := p.host.turnOf(venv) // pip is not to be run twice for one environment
	turn.Lock()
	defer turn.Unlock()
	if _, err := os.Stat(filepath.Join(venv, "complete")); err == nil {
		return interpreter, nil
	}
	p.host.c.Log.Info("making a virtual environment", "function", p.name(), "requirements", p.spec.Requirements)
	// #nosec G301 -- programs, not data; below --data, which is the owner's alone
	if err := errors.Join(os.MkdirAll(p.host.c.Dir, 0o755), os.RemoveAll(venv)); err != nil {
		return "", err
	}
	for _, command := range [][]string{
		{python, "-m", "venv", venv},
		{interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", file},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("requirements: %s: %w: %s", strings.Join(command[1:3], " "), err, lastLines(string(out)))
		}
	}
	return interpreter, os.WriteFile(filepath.Join(venv, "complete"), nil, 0o600)
}

// lastLines is the end of what a program said.
func lastLines(s string) string {
	s = strings.TrimSpace(s)
	const most = 600
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// turnOf is held while a virtual environment is made, which functions with the same
// requirements share.
func (h *Host) turnOf(venv string) *sync.Mutex {
	turn, _ := h.environments.LoadOrStore(venv, &sync.Mutex{})
	return turn.(*sync.Mutex)
}

// unpackOnce unpacks the SDKs when they are first needed.
func (h *Host) unpackOnce() error {
	h.unpacking.Lock()
	defer h.unpacking.Unlock()
	if h.sdk.Load() != nil {
		return nil
	}
	root, err := unpack(h.c.Dir)
	if err == nil {
		h.sdk.Store(&root)
	}
	return err
}

// unpack writes the SDKs that this binary brings into a directory named after
// their content.
func unpack(dir string) (string, error) {
	sum := sha256.New()
	contents := map[string][]byte{}
	err := fs.WalkDir(sdk.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := sdk.Files.ReadFile(path)
		contents[path] = b
		fmt.Fprintf(sum, "%s\x00%d\x00", path, len(b))
		sum.Write(b)
		return err
	})
	if err != nil {
		return "", err
	}
	root := filepath.Join(dir, "sdk-"+hex.EncodeToString(sum.Sum(nil)[:12]))
	if _, err := os.Stat(filepath.Join(root, "complete")); err == nil {
		return root, nil
	}
	for path, b := range contents {
		file := filepath.Join(root, filepath.FromSlash(path))
		// #nosec G301 G306 -- the SDKs, which everybody may read
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, b, 0o644)); err != nil {
			return "", fmt.Errorf("unpacking the SDKs: %w", err)
		}
	}
	return root, os.WriteFile(filepath.Join(root, "complete"), nil, 0o600)
}
