//go:build unix

package child

import "syscall"

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
)

func (g *Group) signal(s syscall.Signal) { _ = syscall.Kill(-g.cmd.Process.Pid, s) }

// sessionAttr starts a program in a session of its own.
func sessionAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
