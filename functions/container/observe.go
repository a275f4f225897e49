package container

import (
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/functions/container/engine"
)

// Observer is told how containers fare. Either may be nil; they are called from
// several goroutines, and must not block.
type Observer struct {
	// Ready: a container takes calls, so long after its start was decided.
	Ready func(function string, took time.Duration)
	// Failed: one that was wanted did not get ready, or has ended.
	Failed func(function string, cause Cause)
}

// Cause is why a container that was wanted does not run.
type Cause string

const (
	// CauseImage: the image could not be had.
	CauseImage Cause = "image"
	// CauseStart: the engine could not make or start it.
	CauseStart Cause = "start"
	// CauseUnready: it ran, and did not answer in time.
	CauseUnready Cause = "unready"
	// CauseExit: the program ended by itself.
	CauseExit Cause = "exit"
	// CauseMemory: it was killed since it ran out of memory.
	CauseMemory Cause = "memory"
	// CauseKilled: it was killed, and the engine does not say that it was for want of memory.
	CauseKilled Cause = "killed"
	// CauseRemoved: somebody else removed it.
	CauseRemoved Cause = "removed"
	// CauseEngine: no engine answers.
	CauseEngine Cause = "engine"
)

// failure is an error whose cause is known.
type failure struct {
	cause Cause
	error
}

// Unwrap gives what else the error is.
func (f failure) Unwrap() error { return f.error }

func causeOf(err error) Cause {
	var known failure
	switch {
	case errors.Is(err, engine.ErrUnavailable):
		return CauseEngine
	case errors.As(err, &known):
		return known.cause
	}
	return CauseStart
}

// ended is how a container with so much memory ended.
func ended(exit engine.Exit, memoryMB int) error {
	cause := CauseExit
	switch {
	case exit.OOM:
		cause = CauseMemory
	case exit.Code == engine.Killed:
		cause = CauseKilled
	}
	return failure{cause, errors.New(exit.Reason(memoryMB))}
}

// Load is what runs for a function, over its versions.
type Load struct {
	Function string
	// Starting ones take no calls yet, or none at the moment; Stopping ones none any more.
	Starting, Ready, Stopping int
	// Waiting are the calls that wait for a container.
	Waiting int
}

// Loads are those of the functions there are.
func (r *Runtime) Loads() []Load {
	byName := map[string]*Load{}
	for _, g := range *r.groups.Load() {
		g.mu.Lock()
		l := byName[g.want.name]
		if l == nil {
			l = &Load{Function: g.want.name}
			byName[g.want.name] = l
		}
		l.Waiting += len(g.waiting)
		for _, p := range g.replicas {
			switch p.state {
			case stateReady:
				l.Ready++
			case stateDraining:
				l.Stopping++
			default:
				l.Starting++
			}
		}
		g.mu.Unlock()
	}
	all := make([]Load, 0, len(byName))
	for _, l := range byName {
		all = append(all, *l)
	}
	return all
}
