package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/replay"
	"github.com/signalbox-dev/signalbox/resource"
)

func (a *App) openReplay(context.Context) error {
	if !a.opts.has(RoleDispatcher) {
		return nil
	}
	cfg := replay.DefaultConfig()
	cfg.MaxHops = a.opts.MaxHops
	cfg.HoldWithoutDedup = dispatcher.DedupMode(a.opts.DedupAway) == dispatcher.DedupHold
	past := pastLog{a.events}
	var err error
	a.player, err = replay.New(cfg, replay.Parts{
		Log: past, Stream: a.events, Cursors: past, Chooser: linkChooser{a.engine}, Parker: backlogParker{parkedTopics{a.events}},
		Dedup: copies{a.dedup}, Finisher: replayRecords{a.ledger}, Filter: compileFilter, Rates: counts{a.ledger}, Logger: a.log,
	})
	return err
}

// owner is what the consumer delivers to: the dispatcher, and beside it who
// sends what lies behind the live stream.
type owner struct {
	*dispatcher.Dispatcher
	player *replay.Player
	// ready waits until nothing of a partition is chosen by older resources than before.
	ready func(ctx context.Context, partition int32)
}

// Own implements eventlog.Handler.
func (o owner) Own(ctx context.Context, partition int32) {
	o.ready(ctx, partition)
	o.player.Own(ctx, partition)
	o.Dispatcher.Own(ctx, partition)
}

// Release implements eventlog.Handler. Both end side by side: a delivery of the
// live stream may wait for what is being sent.
func (o owner) Release(ctx context.Context, partition int32) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.player.Release(ctx, partition)
	}()
	o.Dispatcher.Release(ctx, partition)
	<-done
}

// pastLog is the log of events as it is read back, and where cursors are kept.
type pastLog struct{ log *eventlog.Log }

// questionTimeout bounds one question to the brokers, so that one that does not
// answer is asked anew.
const questionTimeout = 10 * time.Second

// Extents implements replay.Log.
func (l pastLog) Extents(ctx context.Context) (map[int32]replay.Extent, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	m, err := l.log.Extents(ctx, eventlog.Events)
	out := make(map[int32]replay.Extent, len(m))
	for p, e := range m {
		out[p] = replay.Extent(e)
	}
	return out, err
}

// Since implements replay.Log.
func (l pastLog) Since(ctx context.Context, t time.Time) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	return l.log.OffsetsSince(ctx, eventlog.Events, t)
}

// Read implements replay.Log.
func (l pastLog) Read(ctx context.Context, partition int32, from int64, fn func(event.Record) bool) error {
	at := eventlog.FromPositions(event.Position{Partition: partition, Offset: from})
	return l.log.Read(ctx, eventlog.Events, at, eventlog.ReadOptions{Partition: &partition}, func(r event.Record) error {
		if !fn(r) {
			return eventlog.ErrStop
		}
		return nil
	})
}

// Names implements replay.Cursors.
func (l pastLog) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	return l.log.CursorNames(ctx)
}

// Load implements replay.Cursors.
func (l pastLog) Load(ctx context.Context, name string) (map[int32]replay.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	m, err := l.log.Cursors(ctx, name)
	out := make(map[int32]replay.Cursor, len(m))
	for p, c := range m {
		out[p] = replay.Cursor(c)
	}
	return out, err
}

// Commit implements replay.Cursors.
func (l pastLog) Commit(ctx context.Context, name string, at map[int32]replay.Cursor) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	m := make(map[int32]eventlog.Cursor, len(at))
	for p, c := range at {
		m[p] = eventlog.Cursor(c)
	}
	return l.log.CommitCursor(ctx, name, m)
}

// Drop implements replay.Cursors.
func (l pastLog) Drop(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	return l.log.DropCursor(ctx, name)
}

// linkChooser asks the policies about one link.
type linkChooser struct{ engine *policies.Engine }

// Choose implements replay.Chooser.
func (c linkChooser) Choose(ctx context.Context, link string, rec *event.Record) (replay.Choice, bool, error) {
	choice, err := c.engine.Choose(ctx, rec.Event, rec.Key(), nil)
	for err != nil {
		if err = c.untilAsked(ctx, err); err != nil {
			return replay.Choice{}, false, err
		}
		choice, err = c.engine.Choose(ctx, rec.Event, rec.Key(), nil)
	}
	for _, t := range choice.Targets {
		if t.Link.Metadata.Name == link {
			return replay.Choice{Target: t, Revision: choice.Revision}, true, nil
		}
	}
	return replay.Choice{}, false, nil
}

// untilAsked waits while a policy is not asked because it kept failing: that is
// no reason to leave out an event that it may be able to decide about. Any
// other error is returned.
func (c linkChooser) untilAsked(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*policies.PolicyError](err)
	if !ok || failed.Class != policies.ClassBreaker {
		return err
	}
	t := time.NewTimer(max(failed.RetryAfter, time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backlogParker puts deliveries from the past on the parked topics.
type backlogParker struct{ topics parkedTopics }

// Park implements replay.Parker.
func (p backlogParker) Park(one *event.Parked, partition int32, traceparent, tracestate string, done func(error)) {
	p.topics.Park(one.Function, partition, one, traceparent, tracestate, func(err error) {
		if errors.Is(err, eventlog.ErrTooLarge) {
			err = fmt.Errorf("%w: %w", replay.ErrTooLarge, err)
		}
		done(err)
	})
}

// Behind implements replay.Parker.
func (p backlogParker) Behind(function string, partition int32) bool {
	return p.topics.Behind(function, partition)
}

// Lag implements replay.Parker.
func (p backlogParker) Lag(ctx context.Context, function string) (int64, error) {
	lag, err := p.topics.log.ParkedLag(ctx)
	return lag[function], err
}

// copies tells which copy of an event was the first.
type copies struct{ dedup deduper }

// lookups is how many ids are looked up at a time.
const lookups = 16

// Duplicates implements replay.Dedup.
func (c copies) Duplicates(ctx context.Context, recs []event.Record, dup []bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i := range recs {
		g.Go(func() error {
			first, claimed, err := c.dedup.Lookup(ctx, recs[i].Event.Source, recs[i].Event.ID)
			dup[i] = claimed && first != recs[i].Position
			return err
		})
	}
	return g.Wait()
}

// replayRecords writes how replays ended into their resources.
type replayRecords struct{ ledger *ledger.Ledger }

// Finish implements replay.Finisher.
func (r replayRecords) Finish(ctx context.Context, one *resource.Replay, s resource.ReplayStatus) error {
	o, err := r.ledger.Get(ctx, resource.KindReplay, one.Metadata.Name)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && o.Metadata.UID != one.Metadata.UID {
		return nil
	}
	if err != nil {
		return err
	}
	if o.Status, err = json.Marshal(s); err != nil {
		return err
	}
	_, err = r.ledger.Put(ctx, o, ledger.IfRevision(o.Metadata.Revision))
	return err
}
