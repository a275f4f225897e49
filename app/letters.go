package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
)

// maxLetterPlaces bounds the dead letters, and the decisions about some, whose
// places are kept in memory (about 30 bytes each): of older ones the topic is read.
const maxLetterPlaces = 500_000

// letterState is what a dispatcher wants to know of a dead letter.
type letterState int

const (
	// letterNone: there is no such dead letter.
	letterNone letterState = iota
	// letterOpen: nothing was decided about it.
	letterOpen
	// letterResolved: something was.
	letterResolved
)

// letterIndex knows which dead letters there are and what was decided about
// them. It reads the topic of dead letters from its start when it is asked for
// the first time, and follows it from then on. It is safe for concurrent use.
type letterIndex struct {
	log    *eventlog.Log
	logger *slog.Logger
	// resolved, unless nil, is called once for each decision that was made
	// after the index had been read for the first time. It must not block, and
	// must not ask the index.
	resolved func(event.Resolution)

	// asked is closed by the first question.
	asked   chan struct{}
	askOnce sync.Once
	// reading is held by who reads up to the end of the topic.
	reading chan struct{}

	mu   sync.Mutex
	next []int64 // per partition, what is to be read next
	// letters are the dead letters, decisions the first decision about each; its bit is a drop.
	letters, decisions letterPlaces
	// ready is set once the topic was read up to its end.
	ready bool
	// questions counts those asked, answered how many of them were asked before
	// the last reading up to the end began.
	questions, answered uint64
}

func newLetterIndex(log *eventlog.Log, logger *slog.Logger, resolved func(event.Resolution)) *letterIndex {
	return &letterIndex{
		log: log, logger: logger, resolved: resolved,
		asked: make(chan struct{}), reading: make(chan struct{}, 1), next: make([]int64, log.Partitions(eventlog.Dead)),
		letters: newLetterPlaces(maxLetterPlaces), decisions: newLetterPlaces(maxLetterPlaces),
	}
}

// letterRetry is the pause before the topic is followed again.
const letterRetry = time.Second

// run follows the topic from the first question on, until ctx ends.
func (x *letterIndex) run(ctx context.Context) error {
	select {
	case <-x.asked:
	case <-ctx.Done():
		return nil
	}
	for {
		err := x.refresh(ctx)
		if err == nil {
			err = x.log.Read(ctx, eventlog.Dead, x.from(), eventlog.ReadOptions{Follow: true}, x.read)
		}
		if ctx.Err() != nil {
			return nil
		}
		x.logger.Warn("dead letters are not followed", "error", err)
		pause := time.NewTimer(letterRetry)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}

func (x *letterIndex) from() eventlog.From {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := make([]event.Position, len(x.next))
	for p, offset := range x.next {
		at[p] = event.Position{Partition: int32(p), Offset: offset}
	}
	return eventlog.FromPositions(at...)
}

// refresh reads what was written before the call. Callers share a reading that
// began after they asked. What was read stays so when ctx ends in between.
func (x *letterIndex) refresh(ctx context.Context) error {
	x.askOnce.Do(func() { close(x.asked) })
	x.mu.Lock()
	x.questions++
	mine := x.questions
	x.mu.Unlock()
	select {
	case x.reading <- struct{}{}:
		defer func() { <-x.reading }()
	case <-ctx.Done():
		return fmt.Errorf("%w: reading the dead letters: %w", gateway.ErrUnavailable, context.Cause(ctx))
	}
	x.mu.Lock()
	asked, done := x.questions, x.answered >= mine
	x.mu.Unlock()
	if done {
		return nil
	}
	if err := x.log.Read(ctx, eventlog.Dead, x.from(), eventlog.ReadOptions{}, x.read); err != nil {
		return gatewayError(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answered, x.ready = asked, true
	return nil
}

// read takes one record in, once: two may read the same part at a time.
func (x *letterIndex) read(rec event.Record) error {
	if r := x.take(rec); r != nil && x.resolved != nil {
		x.resolved(*r)
	}
	return nil
}

// take returns the decision that a record is, if it is the first one about its
// dead letter and is news.
func (x *letterIndex) take(rec event.Record) *event.Resolution {
	x.mu.Lock()
	defer x.mu.Unlock()
	if rec.Offset < x.next[rec.Partition] {
		return nil
	}
	x.next[rec.Partition] = rec.Offset + 1
	if id := letterID(&rec.Message); id != "" {
		x.letters.add(id, packPlace(rec.Position, false))
		return nil
	}
	r, ok, err := event.ParseResolution(rec.Message)
	if err != nil {
		x.logger.Warn("a record of the dead letters is passed over", "position", rec.Position.String(), "error", err)
	}
	if !ok || err != nil || !x.decisions.add(r.Letter, packPlace(rec.Position, r.Action == event.Drop)) || !x.ready {
		return nil
	}
	return &r
}

// letterID is the id of the dead letter that a record is; "" for another one.
// The id stands first in its header, so a long list of attempts is not parsed.
func letterID(m *event.Message) string {
	head, ok := m.Header(event.DeadLetterHeader)
	if !ok {
		return ""
	}
	if rest, ok := bytes.CutPrefix(head, []byte(`{"id":"`)); ok {
		if end := bytes.IndexAny(rest, `"\`); end > 0 && rest[end] == '"' {
			return string(rest[:end])
		}
	}
	var d struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(head, &d) != nil {
		return ""
	}
	return d.ID
}

// State says what is known of a dead letter, and what was decided about it. It
// tries until it knows, and fails only when ctx ends. A decision made later is
// told to resolved: who asks after having made ready for that misses none.
func (x *letterIndex) State(ctx context.Context, id string) (event.Resolution, letterState, error) {
	for {
		r, state, err := x.state(ctx, id)
		if err == nil || ctx.Err() != nil {
			return r, state, err
		}
		x.logger.Warn("a dead letter is not known yet", "letter", id, "error", err)
		pause := time.NewTimer(letterRetry)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return event.Resolution{}, letterNone, context.Cause(ctx)
		}
	}
}

func (x *letterIndex) state(ctx context.Context, id string) (event.Resolution, letterState, error) {
	x.mu.Lock()
	ready := x.ready
	x.mu.Unlock()
	if !ready {
		if err := x.refresh(ctx); err != nil {
			return event.Resolution{}, letterNone, err
		}
	}
	found, err := x.find(ctx, id)
	if err != nil {
		return event.Resolution{}, letterNone, err
	}
	switch f := found[id]; {
	case f.resolution != nil:
		return *f.resolution, letterResolved, nil
	case f.letter != nil:
		return event.Resolution{}, letterOpen, nil
	}
	return event.Resolution{}, letterNone, nil
}

// standing is what the topic holds about one dead letter; nil is nothing.
type standing struct {
	letter     *event.DeadLetter
	resolution *event.Resolution
}

// find reads dead letters and the decisions about them.
func (x *letterIndex) find(ctx context.Context, ids ...string) (map[string]standing, error) {
	found := make(map[string]standing, len(ids))
	var missed []string
	for _, id := range ids {
		s, sure, err := x.lookUp(ctx, id)
		if err != nil {
			return nil, err
		}
		found[id] = s
		if !sure {
			missed = append(missed, id)
		}
	}
	if len(missed) == 0 {
		return found, nil
	}
	return found, x.search(ctx, found, missed)
}

// lookUp follows what is remembered; sure is false when the topic has to be
// read to know more.
func (x *letterIndex) lookUp(ctx context.Context, id string) (s standing, sure bool, err error) {
	x.mu.Lock()
	at, there := x.letters.get(id)
	decided, resolved := x.decisions.get(id)
	sure = (there || !x.letters.forgot) && (resolved || !x.decisions.forgot)
	x.mu.Unlock()
	if there {
		ok, err := x.readAt(ctx, at, func(m event.Message) bool { return s.takeLetter(m, id) })
		if err != nil && !errors.Is(err, gateway.ErrNotFound) {
			return s, false, err
		}
		sure = sure && ok
	}
	if !resolved {
		return s, sure, nil
	}
	ok, err := x.readAt(ctx, decided, func(m event.Message) bool { return s.takeResolution(m, id) })
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		// Removed from the log since, before the dead letter itself.
		s.resolution = &event.Resolution{Letter: id, Action: event.Redrive}
		if decided.bit() {
			s.resolution.Action = event.Drop
		}
	case err != nil:
		return s, false, err
	}
	return s, sure && ok, nil
}

// readAt gives what stands at a place to take; ok is false when that is
// something else, and true beside gateway.ErrNotFound: the log has removed it.
func (x *letterIndex) readAt(ctx context.Context, at letterPlace, take func(event.Message) bool) (ok bool, err error) {
	rec, err := x.log.At(ctx, eventlog.Dead, at.position())
	if err != nil {
		err = gatewayError(err)
		return errors.Is(err, gateway.ErrNotFound), err
	}
	return take(rec.Message), nil
}

// search reads the whole topic for what is missed.
func (x *letterIndex) search(ctx context.Context, found map[string]standing, missed []string) error {
	wanted := make(map[string]bool, len(missed))
	for _, id := range missed {
		wanted[id] = true
	}
	err := x.log.Read(ctx, eventlog.Dead, eventlog.Earliest(), eventlog.ReadOptions{}, func(rec event.Record) error {
		id := letterID(&rec.Message)
		r, decision, err := event.ParseResolution(rec.Message)
		if decision && err == nil {
			id = r.Letter
		}
		if !wanted[id] {
			return nil
		}
		s := found[id]
		if decision {
			s.takeResolution(rec.Message, id)
		} else {
			s.takeLetter(rec.Message, id)
		}
		found[id] = s
		return nil
	})
	return gatewayError(err)
}

func (s *standing) takeLetter(m event.Message, id string) bool {
	d, err := event.ParseDeadLetter(m)
	if err != nil || d.ID != id {
		return false
	}
	if s.letter == nil {
		s.letter = &d
	}
	return true
}

func (s *standing) takeResolution(m event.Message, id string) bool {
	r, ok, err := event.ParseResolution(m)
	if err != nil || !ok || r.Letter != id {
		return false
	}
	if s.resolution == nil {
		s.resolution = &r
	}
	return true
}

// known is a dead letter's state as far as it is remembered: a decision made
// so many decisions ago that its place was forgotten is not.
func (x *letterIndex) known(id string) gateway.LetterState {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch p, ok := x.decisions.get(id); {
	case !ok:
		return gateway.LetterOpen
	case p.bit():
		return gateway.LetterDropped
	}
	return gateway.LetterRedriven
}

// states are those of known, with what was forgotten read from the log.
func (x *letterIndex) states(ctx context.Context, ids []string) (map[string]gateway.LetterState, error) {
	states := make(map[string]gateway.LetterState, len(ids))
	found := map[string]standing{}
	var unsure []string
	x.mu.Lock()
	forgot := x.decisions.forgot
	x.mu.Unlock()
	for _, id := range ids {
		if states[id] = x.known(id); forgot && states[id] == gateway.LetterOpen {
			unsure = append(unsure, id)
		}
	}
	if len(unsure) == 0 {
		return states, nil
	}
	if err := x.search(ctx, found, unsure); err != nil {
		return nil, err
	}
	for id, s := range found {
		if s.resolution != nil {
			states[id] = gateway.StateAfter(s.resolution.Action)
		}
	}
	return states, nil
}
