package app

import (
	"context"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/schedule"
)

func (a *App) openSchedules(context.Context) error {
	if !a.opts.has(RoleDispatcher) {
		return nil
	}
	cfg := schedule.DefaultConfig()
	cfg.Logger = a.log
	if a.redis != nil {
		cfg.Spread = 0 // there is one process only
	}
	var err error
	a.schedules, err = schedule.New(cfg, scheduleLog{a.replies()}, &scheduleMarks{ledger: a.ledger, log: a.events, forgets: a.redis != nil})
	return err
}

// scheduleLog appends the events of schedules.
type scheduleLog struct{ log *dispatcherLog }

// Append implements schedule.Log.
func (l scheduleLog) Append(ctx context.Context, e *event.Event) error {
	return l.log.AppendEvents(ctx, []dispatcher.Outgoing{{Event: e}})
}

// scheduleMarks keep the last times in the ledger. The embedded Redis forgets
// them at a restart; what ran is then read from the log's end.
type scheduleMarks struct {
	ledger  *ledger.Ledger
	log     *eventlog.Log
	forgets bool

	once sync.Once
	tail map[string]time.Time
	err  error
}

// Last implements schedule.Marks.
func (m *scheduleMarks) Last(ctx context.Context, name string) (time.Time, error) {
	t, err := m.ledger.Marked(ctx, name)
	if err != nil || !t.IsZero() || !m.forgets {
		return t, err
	}
	m.once.Do(func() { m.tail, m.err = lastFirings(ctx, m.log) })
	return m.tail[name], m.err
}

// Fired implements schedule.Marks.
func (m *scheduleMarks) Fired(ctx context.Context, name string, t time.Time) error {
	return m.ledger.Mark(ctx, name, t)
}

// lastFirings are the last events of schedules at the end of the log.
func lastFirings(ctx context.Context, log *eventlog.Log) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	err := log.Read(ctx, eventlog.Events, eventlog.Last(tailRecords), eventlog.ReadOptions{}, func(r event.Record) error {
		if name, at, ok := schedule.Firing(r.Event); ok && at.After(last[name]) {
			last[name] = at
		}
		return nil
	})
	return last, err
}

// runSchedules begins when it is known what is to be run.
func (a *App) runSchedules(ctx context.Context) error {
	if err := a.reloads.first(ctx); err != nil {
		return nil // stopped before anything was loaded
	}
	return a.schedules.Run(ctx)
}
