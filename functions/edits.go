package functions

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/functions/sources"
)

// Change is a file that an author has saved, and what came of it.
type Change struct {
	// Function is the name of the function, with its version if that has a name.
	Function string
	// File is below the function's directory.
	File string
	// Runs says that events get to what was saved from now on. A Change without it
	// and without Err comes first, when a program has to be started for that.
	Runs bool
	// Err is why it does not run. What ran before goes on until the next change.
	Err error
	// Took is the time since the file was seen to have changed; 0 in the first Change.
	Took time.Duration
}

// watch looks at the files of the program from now on, unless they never change.
func (s *supervisor) watch(ctx context.Context) {
	s.unwatch()
	s.unwatch = func() {}
	if s.r.c.Changed == nil || s.program.artifact != "" || s.program.dir == "" {
		return
	}
	p := s.program
	w, err := sources.New(sources.Config{
		Dir:     p.dir,
		Is:      func(path string) bool { return sources.IsCode(path) || p.names(path) },
		Settled: s.offerEdit,
	})
	if err != nil {
		s.r.c.Log.Warn("changes of a function's files are not seen", "function", p.id.String(), "error", err)
		return
	}
	own, cancel := context.WithCancel(ctx)
	s.unwatch = cancel
	s.stops.Go(func() { w.Run(own) })
}

// names reports whether the command says a file: it is the program itself, or what that reads.
func (p program) names(path string) bool {
	return slices.ContainsFunc(p.command, func(arg string) bool {
		if !filepath.IsAbs(arg) {
			arg = filepath.Join(p.dir, arg)
		}
		return filepath.Clean(arg) == path
	})
}

// offerEdit hands over a file that was saved. One that was not taken yet does as
// well: what is started next is all that was saved.
func (s *supervisor) offerEdit(path string) {
	select {
	case s.edits <- path:
	default:
	}
}

// edited starts the program as it was saved; the one before goes on until that is ready.
func (s *supervisor) edited(path string) {
	file, err := filepath.Rel(s.program.dir, path)
	if err != nil {
		file = path
	}
	s.stop(s.starting)
	s.starting, s.failures = nil, 0
	s.edit, s.editedAt = &Change{Function: s.id.String(), File: file}, s.r.c.Now()
	s.r.c.Changed(*s.edit)
	s.start()
}

// runsEdit tells that what was saved has taken over.
func (s *supervisor) runsEdit() { s.tellEdit(func(c *Change) { c.Runs = true }) }

// refused leaves the program that serves alone: what was saved does not run, and
// would not for being started again.
func (s *supervisor) refused(err error) { s.tellEdit(func(c *Change) { c.Err = err }) }

func (s *supervisor) tellEdit(what func(*Change)) {
	if s.edit == nil {
		return
	}
	c := *s.edit
	s.edit = nil
	c.Took = s.r.c.Now().Sub(s.editedAt)
	what(&c)
	s.r.c.Changed(c)
}
