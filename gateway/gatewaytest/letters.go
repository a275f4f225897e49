package gatewaytest

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// DeadLetters implements gateway.Reader.
func (l *Log) DeadLetters(_ context.Context, q history.Query) (history.Page[history.Letter], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return scan(q, l.dead, q.MatchDeadLetter)
}

// DeadLetter implements gateway.Reader.
func (l *Log) DeadLetter(_ context.Context, id string) (history.Letter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, err := l.letter(id)
	if err != nil {
		return history.Letter{}, err
	}
	return *d, nil
}

func (l *Log) letter(id string) (*history.Letter, error) {
	for i := range l.dead {
		if l.dead[i].ID == id {
			return &l.dead[i], nil
		}
	}
	return nil, fmt.Errorf("dead letter %s: %w", id, problem.ErrNotFound)
}

// Decide implements gateway.Letters. A record that was no event can only be
// redriven with an event.
func (l *Log) Decide(_ context.Context, id string, d history.Decision) (history.Decided, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := history.Decided{ID: id, State: history.StateAfter(d.Action), DryRun: d.DryRun}
	letter, err := l.letter(id)
	if err != nil {
		return out, err
	}
	out.Already, err = decide(letter, d)
	return out, err
}

// DecideAll implements gateway.Letters.
func (l *Log) DecideAll(_ context.Context, q history.Query, d history.Decision) (history.Tally, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := history.Tally{DryRun: d.DryRun}
	p, err := scan(q, l.dead, q.MatchDeadLetter)
	for i := range p.Items {
		letter, _ := l.letter(p.Items[i].ID)
		already := letter.State != history.LetterOpen
		if !already {
			_, err := decide(letter, d)
			t.Count(letter.ID, history.StateAfter(d.Action), false, err)
			continue
		}
		t.Count(letter.ID, letter.State, true, nil)
	}
	t.Next = p.Next
	return t, err
}

func decide(letter *history.Letter, d history.Decision) (already bool, err error) {
	after := history.StateAfter(d.Action)
	switch {
	case letter.State == after:
		return true, nil
	case letter.State != history.LetterOpen:
		return false, &history.DecidedError{ID: letter.ID, State: letter.State}
	case d.Action == event.Redrive && letter.Event == nil && d.Event == nil:
		return false, fmt.Errorf("%w: it was no event", problem.ErrNotRedrivable)
	case d.DryRun:
		return false, nil
	}
	letter.State = after
	letter.Resolution = &event.Resolution{Letter: letter.ID, Action: d.Action, Version: d.Version, Event: d.Event, Time: time.Now()}
	return false, nil
}
