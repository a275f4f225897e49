package functions

import (
	"context"
	"errors"

	"github.com/signalbox-dev/signalbox/functions/scripts"
)

// Artifacts are the files of functions that name an artifact instead of a directory.
type Artifacts = scripts.Artifacts

var errNoArtifacts = errors.New("this process has no store of artifacts")

// files are those that a process runs among; release is called once it is gone.
type files struct {
	dir     string
	release func()
	err     error
}

// filesOf are those of a program without an artifact.
func filesOf(p program) files { return files{dir: p.dir, release: func() {}} }

// fetch is one that is under way.
type fetch struct {
	done   chan files
	cancel context.CancelFunc
}

// fetched gets the files; never for nil.
func (f *fetch) fetched() <-chan files {
	if f == nil {
		return nil
	}
	return f.done
}

// fetchFiles begins to fetch the files of the program.
func (s *supervisor) fetchFiles() *fetch {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fetch{done: make(chan files, 1), cancel: cancel}
	digest := s.program.artifact
	s.stops.Go(func() {
		if s.r.c.Artifacts == nil {
			f.done <- files{err: errNoArtifacts}
			return
		}
		var got files
		got.dir, got.release, got.err = s.r.c.Artifacts.Use(ctx, digest)
		f.done <- got
	})
	return f
}

// abandon ends a fetch whose files nobody wants any more.
func (s *supervisor) abandon() {
	f := s.fetching
	if s.fetching = nil; f == nil {
		return
	}
	f.cancel()
	s.stops.Go(func() {
		if got := <-f.done; got.err == nil {
			got.release()
		}
	})
}
