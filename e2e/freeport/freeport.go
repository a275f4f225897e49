// Package freeport finds ports for servers that tests and benchmarks start.
package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports of servers lie above those of the parts and below those that clients get.
const first, last = 20000, 31999

var errNone = errors.New("no port is free")

// Addr is an address of 127.0.0.1 that nobody listens at, also while a server that
// had it is started again: all who ask on the machine draw ports in turn.
func Addr() (string, error) {
	// #nosec G302 G304 -- a file of this user's alone
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("signalbox-e2e-port-%d", os.Getuid())), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	var port int
	_, _ = fmt.Fscan(f, &port) // nobody has drawn yet: 0
	for range last - first {
		if port++; port < first || port > last {
			port = first
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		_ = ln.Close()
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", port), 0)
		return addr, err
	}
	return "", errNone
}
