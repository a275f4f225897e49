package child

import "syscall"

// groupAttr starts a program in a group of its own, which dies with us.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
