package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// directory keeps objects as files.
type directory struct{ root string }

// NewDirectory keeps objects below a directory, which is made when it is first
// written to. Several processes may share it.
func NewDirectory(root string) Objects { return directory{root} }

func (d directory) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// fault says an error of the file system in the terms of Objects.
func (d directory) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (%s)", ErrNotFound, d.root)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Put implements Objects.
func (d directory) Put(ctx context.Context, name string, r io.Reader, _ int64) (err error) {
	path := d.path(name)
	// #nosec G301 -- a store is shared by processes of other users
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return d.fault(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return d.fault(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, reader{ctx, r})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return d.fault(err)
	}
	return d.fault(os.Rename(f.Name(), path))
}

// Get implements Objects.
func (d directory) Get(_ context.Context, name string) (io.ReadCloser, Object, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, Object{}, d.fault(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, Object{}, errors.Join(d.fault(err), f.Close())
	}
	return f, Object{Name: name, Size: info.Size(), Changed: info.ModTime()}, nil
}

// Stat implements Objects.
func (d directory) Stat(_ context.Context, name string) (Object, error) {
	info, err := os.Stat(d.path(name))
	if err != nil {
		return Object{}, d.fault(err)
	}
	return Object{Name: name, Size: info.Size(), Changed: info.ModTime()}, nil
}

// Delete implements Objects.
func (d directory) Delete(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return d.fault(err)
	}
	return nil
}

// List implements Objects. Directories that are empty go, as far as they can.
func (d directory) List(ctx context.Context, prefix string, fn func(Object) error) error {
	top := d.path(prefix)
	return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return d.fault(err)
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir():
			if path != top {
				_ = os.Remove(path) // fails where something is in it
			}
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && strings.HasPrefix(e.Name(), ".") {
			return nil
		}
		rel, relErr := filepath.Rel(d.root, path)
		if err = errors.Join(err, relErr); err != nil {
			return d.fault(err)
		}
		return fn(Object{Name: filepath.ToSlash(rel), Size: info.Size(), Changed: info.ModTime()})
	})
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}
