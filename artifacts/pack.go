package artifacts

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Packed says what Pack has packed.
type Packed struct {
	// Digest names the artifact: "sha256:" and the hash of its files.
	Digest string
	// Files is their number, Size their bytes together.
	Files int
	Size  int64
}

// file is one that is packed. size is what it had when it was found: one that
// changes meanwhile is a fault.
type file struct {
	name       string
	size       int64
	executable bool
}

// Pack writes the files of a directory to out, compressed, and says what they are.
// The same files give the same digest on every machine. Left out is what Ignore
// names; skip, unless nil, leaves out further files by their paths. A link inside
// the directory is packed as what it leads to; one that leads out of it, or to a
// directory, is a fault, and so is anything that is no file.
func Pack(dir string, limits Limits, skip func(name string) bool, out io.Writer) (Packed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Packed{}, err
	}
	defer root.Close()
	files, err := findFiles(root, limits, skip)
	if err != nil {
		return Packed{}, fmt.Errorf("%s: %w", dir, err)
	}
	zip := gzip.NewWriter(&bounded{out: out, left: limits.Packed})
	archive := newCanonical(zip)
	packed := Packed{Files: len(files)}
	for _, f := range files {
		if err := packFile(root, archive, f); err != nil {
			return Packed{}, fmt.Errorf("%s: %w", dir, err)
		}
		packed.Size += f.size
	}
	packed.Digest, err = archive.digest()
	return packed, errors.Join(err, zip.Close())
}

func packFile(root *os.Root, archive *canonical, f file) error {
	in, err := root.Open(f.name)
	if err != nil {
		return err
	}
	defer in.Close()
	w, err := archive.add(f.name, f.size, f.executable)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(in, f.size))
	if err == nil && n < f.size {
		err = fmt.Errorf("%s became shorter while it was packed", f.name)
	}
	return err
}

// findFiles lists what is packed, in the order of the paths.
func findFiles(root *os.Root, limits Limits, skip func(name string) bool) ([]file, error) {
	ignored, err := readIgnore(root)
	if err != nil {
		return nil, err
	}
	left := budget{limits: limits}
	files, err := walkFiles(root, func(name string, dir bool) bool {
		return ignored.has(name, dir) || skip != nil && !dir && skip(name)
	}, &left)
	if errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("%w%s; what a function does not need is left out by a file %s", err, largest(files), IgnoreFile)
	}
	return files, err
}

// allFiles lists everything.
func allFiles(root *os.Root) ([]file, error) {
	return walkFiles(root, func(string, bool) bool { return false }, nil)
}

// walkFiles lists the files that skip does not leave out, in the order of their
// paths, as long as left, unless nil, has room.
func walkFiles(root *os.Root, skip func(name string, dir bool) bool, left *budget) ([]file, error) {
	var files []file
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case skip(name, d.IsDir()) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || skip(name, false):
			return nil
		}
		f, err := statFile(root, name)
		if err != nil {
			return err
		}
		files = append(files, f)
		if left == nil {
			return nil
		}
		return left.take(name, f.size)
	})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, err
}

func statFile(root *os.Root, name string) (file, error) {
	info, err := root.Stat(name) // follows links, but not out of the directory
	switch {
	case err != nil:
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return file{}, fmt.Errorf("%s cannot be packed: %w", name, err)
	case info.IsDir():
		return file{}, fmt.Errorf("%s is a link to a directory: want files; leave it out by a file %s", name, IgnoreFile)
	case !info.Mode().IsRegular():
		return file{}, fmt.Errorf("%s is neither a file nor a directory", name)
	}
	return file{name: name, size: info.Size(), executable: info.Mode()&0o111 != 0}, checkName(name)
}

// largest names the top directories that take most.
func largest(files []file) string {
	sizes := map[string]int64{}
	for _, f := range files {
		top, _, below := strings.Cut(f.name, "/")
		if below {
			top += "/"
		}
		sizes[top] += f.size
	}
	names := make([]string, 0, len(sizes))
	for name := range sizes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(max(-1, min(1, sizes[b]-sizes[a]))) })
	var b strings.Builder
	for i, name := range names[:min(3, len(names))] {
		b.WriteString([]string{" (mostly ", ", ", ", "}[i] + path.Clean(name) + " " + Bytes(sizes[name]))
	}
	return b.String() + ")"
}

// bounded refuses more than so many bytes.
type bounded struct {
	out  io.Writer
	left int64
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("%w: the files are too many bytes even when compressed", ErrTooLarge)
	}
	return b.out.Write(p)
}

// Bytes is a size as people read it.
func Bytes(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
