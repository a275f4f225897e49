//go:build !unix

package functions

import "syscall"

// signal is what can be sent here: both kill the program.
type signal int

const (
	sigTerm signal = iota
	sigKill
)

func (p *process) signal(signal) { _ = p.cmd.Process.Kill() }

func groupAttr() *syscall.SysProcAttr { return nil }

func sessionAttr() *syscall.SysProcAttr { return nil }
