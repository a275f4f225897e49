//go:build unix && !linux

package functions

import "syscall"

// groupAttr starts a program in a group of its own; the guard ends it with us.
func groupAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
