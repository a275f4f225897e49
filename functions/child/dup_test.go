//go:build unix

package child

import (
	"os"
	"syscall"
)

// dup is another descriptor of a file, as a program that was started has.
func dup(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	return os.NewFile(uintptr(fd), "dup"), err
}
