//go:build unix

package functions

import "syscall"

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
)

// signal sends s to the whole group, which may be gone.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.pid(), s) }

// sessionAttr starts a program in a session of its own.
func sessionAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
