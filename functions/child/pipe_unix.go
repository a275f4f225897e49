//go:build unix

package child

import (
	"errors"
	"syscall"
)

// chunk is how much is read at a time.
const chunk = 32 << 10

// maxDrain bounds what Drain reads: more than a pipe holds was written since.
const maxDrain = 1 << 20

// read emits until the stream ends. The lock is not held while it waits.
func (p *Pipe) read() {
	conn, err := p.r.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, chunk)
	for ended := false; !ended; {
		err = conn.Read(func(fd uintptr) bool {
			var n int
			n, err = p.take(int(fd), buf)
			ended = n == 0 && !errors.Is(err, syscall.EAGAIN)
			return n > 0 || ended
		})
		ended = ended || err != nil
	}
}

// take reads once and emits; n is 0 when there is nothing, by err at the moment.
func (p *Pipe) take(fd int, buf []byte) (n int, err error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	for {
		if n, err = syscall.Read(fd, buf); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if n <= 0 {
		return 0, err
	}
	_, _ = p.lines.Write(buf[:n])
	return n, nil
}

// Catch returns once every line is emitted that was written before it was called.
// It does not wait for more.
func (p *Pipe) Catch() {
	conn, err := p.r.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		buf := make([]byte, chunk)
		for left := maxDrain; left > 0; {
			n, err := p.take(int(fd), buf)
			if err != nil || n == 0 {
				break
			}
			left -= n
		}
	})
}
