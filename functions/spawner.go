package functions

import (
	"os/exec"
	"runtime"
)

// spawner starts every program on one operating system thread that lives as
// long as they do: on Linux a program's parent death signal is sent when the
// thread that started it ends, not the process.
type spawner struct {
	requests chan spawn
}

type spawn struct {
	cmd    *exec.Cmd
	result chan error
}

func newSpawner() *spawner { return &spawner{requests: make(chan spawn)} }

// run serves start until close. The thread ends with it.
func (s *spawner) run() {
	runtime.LockOSThread()
	for q := range s.requests {
		q.result <- q.cmd.Start()
	}
}

// start is cmd.Start on the spawner's thread; it is not called after close.
func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.requests <- spawn{cmd, result}
	return <-result
}

func (s *spawner) close() { close(s.requests) }
