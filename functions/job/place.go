package job

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// place is where runs happen. Its methods are safe for concurrent use.
type place interface {
	// reconcile hears which functions there are; it does not block.
	reconcile(fns []*resource.Function)
	// ready says why fn cannot be run now; nil: it can. It does not block.
	ready(fn *resource.Function) error
	// start starts a run, or finds the one of the same name. An error that wraps
	// errRefused is one that comes again each time.
	start(ctx context.Context, fn *resource.Function, r *record, in *input) (task, error)
	// adopt finds the run of which there is a directory of a process that is gone. No
	// task and no error: there is no such run any more. With an error it is asked again.
	adopt(ctx context.Context, o *orphan) (task, error)
	// left finds other runs that nobody follows any more. It is asked again and again.
	left(ctx context.Context) ([]found, error)
	// close ends what the place does besides runs, once all of these are over.
	close()
}

// found is a run that an earlier process has started.
type found struct {
	record *record
	task   task
}

// task is a run that has been started.
type task interface {
	// wait returns once the run has ended. When ctx ends before: errReturned, if
	// the run was ended with it, or errDetached, if it goes on and will be found.
	wait(ctx context.Context) (ending, error)
	// stop ends the run soon.
	stop()
	// follows says that the run is followed, at least as often as its lease is extended.
	follows(ctx context.Context)
	// forget removes what is left of a run that has ended and was reported.
	forget(ctx context.Context)
}

// Errors of places.
var (
	errRefused  = errors.New("refused")
	errReturned = errors.New("ended with Signalbox; to be repeated")
	errDetached = errors.New("goes on without Signalbox")
)

// ending is how a run ended.
type ending struct {
	// code is the exit code; 128 and the signal's number for what a signal ended.
	code int
	// reason is what else is known, such as that memory ran out, or why there is
	// no exit code; then failed is set.
	reason string
	failed bool
	// late: its time was up, and the place has ended it.
	late bool
	// replies is what the job wrote for that; repliesErr why it could not be read.
	replies    []byte
	repliesErr error
	// tail is the end of what it wrote to stderr.
	tail string
	// at is when it ended; zero is now.
	at time.Time
}
