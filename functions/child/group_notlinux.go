//go:build unix && !linux

package child

import "syscall"

// groupAttr starts a program in a group of its own; the guard ends it with us.
func groupAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
