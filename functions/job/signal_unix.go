//go:build unix

package job

import (
	"os"
	"syscall"
)

// signalled says by which signal a program ended.
func signalled(state *os.ProcessState) ending {
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return ending{code: 128 + int(s.Signal()), reason: "signal " + s.Signal().String()}
	}
	return ending{failed: true, reason: state.String()}
}

// lock takes the lock of a directory; false when another process has it. It is
// given back when f is closed or the process ends.
func lock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
