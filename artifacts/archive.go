package artifacts

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName bounds a file's path, in bytes, maxDepth its directories.
	maxName  = 1024
	maxDepth = 64
)

// canonical writes the archive that a digest is the hash of: a tar of regular
// files in the order of their paths, with nothing about them but path, content
// and whether they can be executed.
type canonical struct {
	sum  hash.Hash
	tar  *tar.Writer
	last string
}

// newCanonical writes to out too, unless that is nil.
func newCanonical(out io.Writer) *canonical {
	c := &canonical{sum: sha256.New()}
	to := io.Writer(c.sum)
	if out != nil {
		to = io.MultiWriter(c.sum, out)
	}
	c.tar = tar.NewWriter(to)
	return c
}

// add begins a file; its content is written to the writer returned.
func (c *canonical) add(name string, size int64, executable bool) (io.Writer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if name <= c.last {
		return nil, fmt.Errorf("%w: %q after %q: want every file once, in the order of their paths", ErrMalformed, name, c.last)
	}
	c.last = name
	mode := int64(0o644)
	if executable {
		mode = 0o755
	}
	return c.tar, c.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: mode, ModTime: time.Unix(0, 0), Format: formatFor(name, size)})
}

// formatFor keeps to the plain old format wherever that can say it.
func formatFor(name string, size int64) tar.Format {
	if len(name) <= 100 && isASCII(name) && size < 8<<30 {
		return tar.FormatUSTAR
	}
	return tar.FormatPAX
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// digest ends the archive.
func (c *canonical) digest() (string, error) {
	if err := c.tar.Close(); err != nil {
		return "", err
	}
	return Prefix + hex.EncodeToString(c.sum.Sum(nil)), nil
}

// checkName wants a path below the function's directory, written in one way only.
func checkName(name string) error {
	switch {
	case name == "", len(name) > maxName, strings.Count(name, "/") > maxDepth:
		return fmt.Errorf("%w: a path of %d bytes: want 1 to %d, and at most %d directories", ErrMalformed, len(name), maxName, maxDepth)
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl), strings.ContainsAny(name, `\:`):
		return fmt.Errorf("%w: %q: want a path without control characters, '\\' and ':'", ErrMalformed, name)
	case path.Clean(name) != name, !filepath.IsLocal(filepath.FromSlash(name)), name == ".":
		return fmt.Errorf("%w: %q: want a path below the function's directory", ErrMalformed, name)
	}
	return nil
}

// sink takes the files of an archive; nil takes none.
type sink interface {
	// create makes a file; it is closed before the next one.
	create(name string, executable bool) (io.WriteCloser, error)
}

// readArchive goes through a tar and hands each file to to. It returns the digest
// of what it has read, which follows from the files alone: how the archive that
// was sent wrote them down is of no account. Everything but regular files is refused.
func readArchive(r io.Reader, limits Limits, to sink) (digest string, left budget, err error) {
	left.limits = limits
	in, out := tar.NewReader(r), newCanonical(nil)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", left, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if h.Typeflag != tar.TypeReg {
			return "", left, fmt.Errorf("%w: %q is no regular file", ErrMalformed, h.Name)
		}
		if err := left.take(h.Name, h.Size); err != nil {
			return "", left, err
		}
		if err := copyFile(out, in, h, to); err != nil {
			return "", left, err
		}
	}
	digest, err = out.digest()
	return digest, left, err
}

func copyFile(out *canonical, in *tar.Reader, h *tar.Header, to sink) (err error) {
	executable := h.Mode&0o111 != 0
	w, err := out.add(h.Name, h.Size, executable)
	if err != nil {
		return err
	}
	if to != nil {
		f, err := to.create(h.Name, executable)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = io.MultiWriter(w, f)
	}
	if _, err := io.Copy(w, in); err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	return nil
}
