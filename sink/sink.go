package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Source is where records come from.
type Source interface {
	// Poll waits for records and returns at most so many. An error that is not
	// ctx's passes: it is called again after a pause.
	Poll(ctx context.Context, most int) ([]Record, error)
	// Commit keeps that everything polled is in the index; what was not committed
	// is polled again after a restart.
	Commit(ctx context.Context) error
}

// Sink moves records from a source to an index. Make it with New, then Run it once.
type Sink struct {
	c      Config
	index  *index
	source Source
	stats  Stats
}

// Stats count what was done; they may be read at any time.
type Stats struct {
	// Written counts documents, Rejected those of them that were kept as text only,
	// Lost records that the index takes in no form.
	Written, Rejected, Lost, Retries atomic.Int64
}

// New checks the configuration; nothing is sent before Run.
func New(c Config, source Source) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{c: c, source: source}
	s.index = newIndex(&s.c)
	return s, nil
}

// Stats are those of the sink.
func (s *Sink) Stats() *Stats { return &s.stats }

// Run moves records until ctx ends. A batch that was being written is finished,
// or read again by the next one.
func (s *Sink) Run(ctx context.Context) error {
	if err := s.try(ctx, "the index cannot be prepared", s.index.prepare); err != nil {
		return nil // stopped before
	}
	for ctx.Err() == nil {
		var records []Record
		err := s.try(ctx, "the log cannot be read", func(ctx context.Context) (err error) {
			records, err = s.source.Poll(ctx, s.c.BatchRecords)
			return err
		})
		if err != nil {
			return nil
		}
		if len(records) == 0 {
			continue
		}
		if err := s.keep(ctx, records); err != nil {
			return nil
		}
		if err := s.try(ctx, "progress cannot be committed", s.source.Commit); err != nil {
			return nil
		}
	}
	return nil
}

// keep writes records, in requests of the size bounded, until the index has them.
func (s *Sink) keep(ctx context.Context, records []Record) error {
	var docs []document
	size := 0
	for i := range records {
		if records[i].Topic == "events" && records[i].Event == nil {
			continue // it is a dead letter, and kept as such
		}
		d := documentOf(s.c.Prefix, &records[i])
		if len(docs) > 0 && size+len(d.source) > s.c.BatchBytes {
			if err := s.write(ctx, docs); err != nil {
				return err
			}
			docs, size = nil, 0
		}
		docs, size = append(docs, d), size+len(d.source)
	}
	return s.write(ctx, docs)
}

// write returns when the index has every document, in some form.
func (s *Sink) write(ctx context.Context, docs []document) error {
	for len(docs) > 0 {
		var again []document
		err := s.try(ctx, "the index takes nothing", func(ctx context.Context) error {
			left, bad, why, err := s.index.write(ctx, docs)
			if err != nil {
				return err
			}
			s.stats.Written.Add(int64(len(docs) - len(left) - len(bad)))
			again = append(left, s.asText(bad, why)...)
			docs = again
			if len(left) > 0 {
				return errBusy
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errBusy = errors.New("documents were put off")

// asText are documents that the index refused, as text with the reason. What it
// refuses even so is given up.
func (s *Sink) asText(bad []document, why []string) (docs []document) {
	for i, d := range bad {
		if s.c.Log.Warn("the index refuses a document", "id", d.id, "reason", why[i]); d.record == nil {
			s.stats.Lost.Add(1)
			continue
		}
		s.stats.Rejected.Add(1)
		docs = append(docs, document{index: d.index, id: d.id, source: rejected(d.record, why[i])})
	}
	return docs
}

// try repeats f until it succeeds, with a growing pause; its error is ctx's.
func (s *Sink) try(ctx context.Context, what string, f func(context.Context) error) error {
	wait := s.c.RetryInitial
	for {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		s.stats.Retries.Add(1)
		if !errors.Is(err, errBusy) {
			s.c.Log.Warn(what, "error", err, "again_in", wait)
		}
		var no *refusal
		if errors.As(err, &no) && (no.status == http.StatusUnauthorized || no.status == http.StatusForbidden) {
			s.c.Log.Error("the index wants other credentials", "error", err)
		}
		s.pause(ctx, wait)
		wait = min(2*wait, s.c.RetryMax)
	}
}

func (s *Sink) pause(ctx context.Context, d time.Duration) {
	if s.c.Pause != nil {
		s.c.Pause(ctx.Done(), d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// String says what was done.
func (s *Stats) String() string {
	return fmt.Sprintf("%d documents written, %d as text only, %d lost, %d retries", s.Written.Load(), s.Rejected.Load(), s.Lost.Load(), s.Retries.Load())
}
