package child

import (
	"log/slog"
	"os/exec"
	"runtime"
)

// Keeper starts programs. It starts every one on one operating system thread
// that lives as long as they do: on Linux a program's parent death signal is
// sent when the thread that started it ends, not the process. A guard beside it
// ends what the programs have started, should this process be killed.
type Keeper struct {
	requests chan start
	guard    guard
}

type start struct {
	cmd    *exec.Cmd
	result chan error
}

// NewKeeper makes a keeper. Start waits for Run.
func NewKeeper(log *slog.Logger) *Keeper {
	return &Keeper{requests: make(chan start), guard: guard{log: log}}
}

// Run serves Start until Close; its thread ends with it. Every program must be
// gone by then.
func (k *Keeper) Run() {
	runtime.LockOSThread()
	for q := range k.requests {
		q.result <- q.cmd.Start()
	}
}

// Close ends Run. Start is not called after it.
func (k *Keeper) Close() {
	close(k.requests)
	k.guard.close()
}

// RemoveAtEnd has a directory removed when this process is gone, however it ended.
// Its path must be absolute and have no line end in it. It is called before Start.
func (k *Keeper) RemoveAtEnd(dir string) { k.guard.dirs = append(k.guard.dirs, dir) }

// Start starts cmd in a process group of its own; its SysProcAttr is set here.
// Whoever starts a program calls Wait of cmd and then Gone.
func (k *Keeper) Start(cmd *exec.Cmd) (*Group, error) {
	cmd.SysProcAttr = groupAttr()
	k.guard.open()
	result := make(chan error)
	k.requests <- start{cmd, result}
	if err := <-result; err != nil {
		return nil, err
	}
	k.guard.add(cmd.Process.Pid)
	return &Group{cmd: cmd, keeper: k}, nil
}

// Group is a program with all it started. Its methods are safe for concurrent use.
type Group struct {
	cmd    *exec.Cmd
	keeper *Keeper
}

// Terminate asks all of the group to end; it may be gone.
func (g *Group) Terminate() { g.signal(sigTerm) }

// Kill ends all of the group; it may be gone.
func (g *Group) Kill() { g.signal(sigKill) }

// Gone kills what is left of the group after its first program has ended, and
// takes it from the guard.
func (g *Group) Gone() {
	g.Kill()
	g.keeper.guard.remove(g.cmd.Process.Pid)
}
