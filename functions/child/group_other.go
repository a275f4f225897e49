//go:build !unix

package child

import "syscall"

// signal is what can be sent here: both kill the program.
type signal int

const (
	sigTerm signal = iota
	sigKill
)

func (g *Group) signal(signal) { _ = g.cmd.Process.Kill() }

func groupAttr() *syscall.SysProcAttr { return nil }

func sessionAttr() *syscall.SysProcAttr { return nil }
