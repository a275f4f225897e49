package artifacts

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// tree writes files below a directory and nowhere else.
type tree struct {
	root *os.Root
	// made are the directories that are there.
	made map[string]bool
}

// create implements sink. A file that is there already is a fault.
func (t *tree) create(name string, executable bool) (io.WriteCloser, error) {
	if dir := path.Dir(name); !t.made[dir] {
		if err := t.root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
			return nil, err
		}
		t.made[dir] = true
	}
	mode := fs.FileMode(0o444)
	if executable {
		mode = 0o555
	}
	return t.root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// Unpack writes the files of a compressed archive, which must have that digest,
// into an empty directory; they can be read only. On an error what was written so
// far is left there, and is nothing to be used.
func Unpack(r io.Reader, digest, dir string, limits Limits) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = check(r, digest, limits, &tree{root: root, made: map[string]bool{".": true}})
	return err
}

// check reads a compressed archive to its end, and says what is wrong with it.
func check(r io.Reader, digest string, limits Limits, to sink) (budget, error) {
	packed := &source{in: r, left: limits.Packed}
	zip, err := gzip.NewReader(packed)
	if err != nil {
		return budget{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	got, left, err := readArchive(zip, limits, to)
	if err == nil {
		err = drained(zip, packed)
	}
	if err == nil && got != digest {
		err = fmt.Errorf("%w: %s", ErrDigest, got)
	}
	return left, err
}

// maxTrailer bounds what may stand behind the last file: tar fills up with zeros.
const maxTrailer = 64 << 10

// drained reads what stands behind the archive, so that the checksum of the
// compression is checked and nothing can hide there.
func drained(zip io.Reader, packed io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(zip, maxTrailer+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	more, err := io.Copy(io.Discard, io.LimitReader(packed, 1))
	if err == nil && (n > maxTrailer || more > 0) {
		err = fmt.Errorf("%w: something stands behind the last file", ErrMalformed)
	}
	return err
}

// source bounds what is read; more is a fault, not the end.
type source struct {
	in   io.Reader
	left int64
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if s.left -= int64(n); s.left < 0 {
		return n, fmt.Errorf("%w: more bytes than an artifact may have", ErrTooLarge)
	}
	return n, err
}

// digestOf computes the digest of a directory that was unpacked, with all that
// stands in it.
func digestOf(dir string) (string, int64, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", 0, err
	}
	defer root.Close()
	archive, size := newCanonical(nil), int64(0)
	files, err := allFiles(root)
	if err != nil {
		return "", 0, err
	}
	for _, f := range files {
		if err := packFile(root, archive, f); err != nil {
			return "", 0, err
		}
		size += f.size
	}
	digest, err := archive.digest()
	return digest, size, err
}

// removeAll removes a directory of files that can be read only.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	open := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o755) // #nosec G302 -- directories that functions run as other users read
		}
		return nil
	})
	return errors.Join(open, os.RemoveAll(dir))
}

// seal lets nothing be written into the directories: what runs there shares them.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == dir { // dir itself is still to be renamed
			return err
		}
		return os.Chmod(path, 0o555) // #nosec G302 -- programs that functions run
	})
}
