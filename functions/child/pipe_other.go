//go:build !unix

package child

import "io"

func (p *Pipe) read() { _, _ = io.Copy(p.lines, p.r) }

// Drain emits a last line without an end; what the system still holds comes later.
func (p *Pipe) Drain() { p.lines.Flush() }
