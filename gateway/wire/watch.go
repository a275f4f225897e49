package wire

import "bytes"

// Bounds of what one request may bring, beside those of the server.
const (
	// maxFields is how many header fields it may have.
	maxFields = 256
	// maxBlank is how many empty lines may stand before it.
	maxBlank = 2
	// maxChunkLine bounds the line of a chunk's size, in bytes, and
	// maxExtensions the chunk extensions of one body together.
	maxChunkLine  = 256
	maxExtensions = 4096
	// keptCarry is what a connection keeps for lines in pieces, in bytes.
	keptCarry = 128
)

// Fault is what is wrong with a stream of requests; its text is for the client
// and holds nothing of what came in.
type Fault struct{ Detail string }

// Error implements error.
func (f *Fault) Error() string { return f.Detail }

func fault(detail string) *Fault { return &Fault{detail} }

// phase is the part of a request that comes next.
type phase uint8

const (
	requestLine phase = iota
	fieldLine
	sizedBody
	chunkLine
	chunkBody
	chunkEnd
	lastLine
)

// Watch follows the requests that come in on one connection, one after the
// other. The zero value is a new connection. It allocates only for lines that
// come in pieces. It is for one goroutine.
type Watch struct {
	phase  phase
	http11 bool
	// ended: a request's last byte was seen.
	ended bool
	// seen counts the fields that may stand once only.
	seen seen
	// fields counts header fields, blank the empty lines before the request.
	fields, blank int
	// left is how much of a body or chunk is to come, extensions what chunk
	// extensions have taken.
	left       int64
	extensions int
	// carry is the beginning of a line whose end has not come yet; nothing is kept
	// of a line longer than maxCarry, which the server refuses by itself.
	carry []byte
	// maxCarry bounds carry, in bytes; 0 is 1 MiB.
	maxCarry int
	// authority is that of a target in absolute form, which Host must repeat.
	authority string
}

// Limit bounds what is kept of a line that comes in pieces, in bytes.
func (w *Watch) Limit(bytes int) { w.maxCarry = bytes }

// Idle reports whether the connection is between two requests.
func (w *Watch) Idle() bool { return w.phase == requestLine && len(w.carry) == 0 }

// See looks at the bytes that came next, as far as the end of a request. The
// first n of them may be passed on; with a fault, nothing after them may, and
// without one, what is left of them belongs to the next request.
func (w *Watch) See(b []byte) (n int, f *Fault) {
	w.ended = false
	for n < len(b) && !w.ended {
		if w.phase == sizedBody || w.phase == chunkBody {
			n += w.body(len(b) - n)
			continue
		}
		rest := b[n:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			first := w.Idle()
			if f := w.part(rest); f != nil {
				return n + passed(first, 0), f
			}
			return len(b), nil
		}
		line, first := rest[:end], w.Idle()
		if len(w.carry) > 0 {
			w.carry = append(w.carry, line...)
			line = w.carry
		}
		if f := w.line(line); f != nil {
			return n + passed(first, end), f
		}
		w.carry = w.carry[:0]
		n += end + 1
	}
	if cap(w.carry) > keptCarry && len(w.carry) == 0 {
		w.carry = nil
	}
	return n, nil
}

// passed is how much of a refused line is passed on. Of what begins no request it is a
// byte, which makes none by itself: a server that has read nothing answers nothing.
func passed(first bool, end int) int {
	if first {
		return max(end, 1)
	}
	return end
}

// body takes of a body what is there of it.
func (w *Watch) body(available int) int {
	took := min(w.left, int64(available))
	w.left -= took
	if w.left > 0 {
		return int(took)
	}
	if w.phase == chunkBody {
		w.phase = chunkEnd
	} else {
		w.next()
	}
	return int(took)
}

// part keeps the beginning of a line.
func (w *Watch) part(b []byte) *Fault {
	total := len(w.carry) + len(b)
	switch w.phase {
	case requestLine:
		if c := b[0]; len(w.carry) == 0 && c != '\r' && !tokenChar[c] { // such as a TLS handshake
			return fault("a request line without a method")
		}
		w.keep(b, total)
		return nil
	case chunkEnd, lastLine:
		if total > 1 || b[0] != '\r' {
			return w.line(append(w.carry, b...))
		}
	case chunkLine:
		if total > maxChunkLine+1 { // with its carriage return
			return fault("a chunk size that is too long")
		}
	}
	w.keep(b, total)
	return nil
}

// keep adds to the beginning of a line, unless that makes it too long.
func (w *Watch) keep(b []byte, total int) {
	limit := w.maxCarry
	if limit == 0 {
		limit = 1 << 20
	}
	if total <= limit {
		w.carry = append(w.carry, b...)
	}
}

// line judges a whole line, which comes without its line feed.
func (w *Watch) line(line []byte) *Fault {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return fault("a line that does not end in CR LF")
	}
	line = line[:len(line)-1]
	switch w.phase {
	case requestLine:
		return w.request(line)
	case fieldLine:
		if len(line) == 0 {
			return w.endOfFields()
		}
		return w.field(line)
	case chunkLine:
		return w.chunk(line)
	case chunkEnd:
		if len(line) > 0 {
			return fault("a chunk that is longer than it says")
		}
		w.phase = chunkLine
	case lastLine:
		if len(line) > 0 {
			return fault("trailer fields, which are not taken")
		}
		w.next()
	}
	return nil
}

// next makes ready for another request.
func (w *Watch) next() { *w = Watch{carry: w.carry, maxCarry: w.maxCarry, ended: true} }

// chunk reads the line of a chunk's size.
func (w *Watch) chunk(line []byte) *Fault {
	if len(line) > maxChunkLine {
		return fault("a chunk size that is too long")
	}
	digits := 0
	w.left = 0
	for digits < len(line) {
		d, ok := hexDigit(line[digits])
		if !ok {
			break
		}
		if digits == 15 {
			return fault("a chunk size that is too long")
		}
		w.left = w.left<<4 | int64(d)
		digits++
	}
	rest := line[digits:]
	w.extensions += len(rest)
	switch {
	case digits == 0 || len(rest) > 0 && rest[0] != ';':
		return fault("a chunk without a size")
	case !fieldValue(rest):
		return fault("control characters in a chunk extension")
	case w.extensions > maxExtensions:
		return fault("too many chunk extensions")
	}
	w.phase = chunkBody
	if w.left == 0 {
		w.phase = lastLine
	}
	return nil
}
