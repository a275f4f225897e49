package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// job is one replay, in all partitions owned.
type job struct {
	player *Player
	replay *resource.Replay
	cursor string
	gone   atomic.Bool
	// parts are the partitions begun; player.mu guards them.
	parts map[int32]*part
}

// part is one replay in one owned partition.
type part struct {
	job     *job
	session *session

	saving  turn // as place.saving
	savedAt time.Time
	mu      sync.Mutex
	known   bool
	progress
}

// progress is what is durable of a part; the cursor's offset is at.
type progress struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	at   int64
	counts
}

func (g *progress) cursor() Cursor {
	b, err := json.Marshal(g)
	if err != nil {
		panic(err) // numbers only
	}
	return Cursor{Offset: g.at, Metadata: string(b)}
}

func parseProgress(c Cursor) (progress, error) {
	g := progress{at: c.Offset}
	if err := json.Unmarshal([]byte(c.Metadata), &g); err != nil {
		return g, fmt.Errorf("cursor at %d: notes %q: %w", c.Offset, c.Metadata, err)
	}
	return g, nil
}

// updateJobs makes the jobs of new replays and ends those of replays that are
// gone or over. mu is held.
func (p *Player) updateJobs() {
	for name, j := range p.jobs {
		r := p.replays[name]
		if r == nil || r.Metadata.UID != j.replay.Metadata.UID || r.Status.Ended() {
			j.gone.Store(true)
			p.dropped[j.cursor] = p.parts.Now()
			delete(p.jobs, name)
		}
	}
	for name, r := range p.replays {
		if p.jobs[name] == nil && !r.Status.Ended() {
			p.jobs[name] = &job{player: p, replay: r, cursor: replayCursor(name, r.Metadata.UID), parts: map[int32]*part{}}
		}
	}
}

// startJobs begins every replay in a partition. mu is held.
func (p *Player) startJobs(s *session) {
	for _, j := range p.jobs {
		if pt := j.parts[s.partition]; pt != nil && pt.session == s {
			continue
		}
		pt := &part{job: j, session: s, saving: newTurn()}
		j.parts[s.partition] = pt
		s.feeders.Go(pt.run)
	}
}

// partsToKeep are those whose cursor is old. mu is held.
func (p *Player) partsToKeep() (list []*part) {
	for _, j := range p.jobs {
		for _, pt := range j.parts {
			if !pt.saving.tryTake() {
				continue
			}
			if p.parts.Now().Sub(pt.savedAt) > p.cfg.Refresh {
				list = append(list, pt)
			}
			pt.saving.give()
		}
	}
	return list
}

// run sends the part's range and, in partition 0, records when all are done.
func (pt *part) run() {
	ctx := pt.session.feed
	err := pt.send(ctx)
	if err == nil && pt.session.partition == 0 {
		err = pt.job.finish(ctx)
	}
	if err != nil && ctx.Err() == nil && !pt.job.gone.Load() {
		pt.job.player.log.Error("a replay ended early", "replay", pt.job.replay.Metadata.Name, "partition", pt.session.partition, "error", err)
	}
}

func (pt *part) send(ctx context.Context) error {
	where, err := pt.job.where()
	if err != nil {
		return err
	}
	partitions, err := pt.begin(ctx)
	if err != nil {
		return err
	}
	p, r := pt.job.player, pt.job.replay
	f := &feed{
		p: p, session: pt.session, link: r.Spec.Link, reason: event.ParkReplay, replay: r.Metadata.Name, where: where,
		pace:    &pacer{rates: p.parts.Rates, name: pt.job.cursor, rate: r.Spec.Rate, partitions: partitions, now: p.parts.Now},
		stopped: pt.job.stopped, counts: pt.progress.counts,
	}
	f.save = func(_ context.Context, offset int64) error { return pt.advance(offset, f.counts) }
	for pt.at < pt.To {
		if pt.job.gone.Load() {
			return errStopped
		}
		if pt.job.stopped() {
			p.waitChange(ctx, time.Minute)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		next, err := f.send(ctx, pt.at, pt.To)
		if errors.Is(err, errStopped) {
			f.counts = pt.counts // what was not committed is sent again
			continue
		}
		if err != nil {
			return err
		}
		if next == pt.at { // the log ends before the range does: it was made anew
			next = pt.To
		}
		if err := pt.advance(next, f.counts); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) where() (func(*event.Event) bool, error) {
	if j.replay.Spec.Where == "" {
		return nil, nil
	}
	return j.player.parts.Filter(j.replay.Spec.Where)
}

// stopped is true while the link is paused or not there, and when the replay is cancelled.
func (j *job) stopped() bool {
	p := j.player
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[j.replay.Spec.Link]
	return j.gone.Load() || l == nil || l.Spec.Paused
}

// begin reads how far the part is, or fixes its range, durably. It returns how
// many partitions there are.
func (pt *part) begin(ctx context.Context) (partitions int, err error) {
	p := pt.job.player
	var extents map[int32]Extent
	var g progress
	var has bool
	err = p.again(ctx, "reading the cursor of a replay", func() error {
		if extents, err = p.parts.Log.Extents(ctx); err != nil {
			return err
		}
		at, err := p.parts.Cursors.Load(ctx, pt.job.cursor)
		if err != nil {
			return err
		}
		var c Cursor
		if c, has = at[pt.session.partition]; has {
			g, err = parseProgress(c)
			return err
		}
		g, err = pt.job.rangeOf(ctx, pt.session.partition, extents)
		return err
	})
	if err != nil {
		return 0, err
	}
	pt.mu.Lock()
	pt.progress, pt.known = g, true
	pt.mu.Unlock()
	if !has {
		err = pt.save(pt.session.ctx)
	}
	return len(extents), err
}

// rangeOf finds the offsets of the replay's times.
func (j *job) rangeOf(ctx context.Context, partition int32, extents map[int32]Extent) (progress, error) {
	in := extents[partition]
	g := progress{From: in.Start, To: in.End, at: in.Start}
	if t, ok := j.replay.Spec.FromTime(); ok {
		since, err := j.player.parts.Log.Since(ctx, t)
		if err != nil {
			return g, err
		}
		g.From = since[partition]
	}
	if t, ok := j.replay.Spec.ToTime(); ok {
		since, err := j.player.parts.Log.Since(ctx, t)
		if err != nil {
			return g, err
		}
		g.To = since[partition]
	}
	g.To = max(g.To, g.From)
	g.at = g.From
	return g, nil
}

// advance commits that everything before offset was looked at.
func (pt *part) advance(offset int64, c counts) error {
	pt.mu.Lock()
	pt.at, pt.counts = max(pt.at, offset), c
	pt.mu.Unlock()
	return pt.save(pt.session.ctx)
}

func (pt *part) save(ctx context.Context) error {
	pt.saving.take()
	defer pt.saving.give()
	pt.mu.Lock()
	g, known := pt.progress, pt.known
	pt.mu.Unlock()
	if !known || pt.job.gone.Load() {
		return nil // nothing to keep
	}
	err := pt.job.player.again(ctx, "committing the cursor of a replay", func() error {
		return pt.job.player.parts.Cursors.Commit(ctx, pt.job.cursor, map[int32]Cursor{pt.session.partition: g.cursor()})
	})
	if err == nil {
		pt.savedAt = pt.job.player.parts.Now()
	}
	return err
}

// finishPoll is how often the owner of partition 0 looks whether the others are done.
const finishPoll = time.Second

// finish waits until all partitions are done, and records that in the resource.
func (j *job) finish(ctx context.Context) error {
	p := j.player
	for !j.gone.Load() {
		status, err := j.status(ctx)
		if err == nil && status.State == resource.ReplayDone {
			status.Finished = p.parts.Now()
			return p.again(ctx, "recording the end of a replay", func() error { return p.parts.Finisher.Finish(ctx, j.replay, status) })
		}
		if !sleep(ctx, finishPoll) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (j *job) status(ctx context.Context) (resource.ReplayStatus, error) {
	extents, err := j.player.parts.Log.Extents(ctx)
	if err != nil {
		return resource.ReplayStatus{}, err
	}
	return Status(ctx, j.player.parts.Cursors, len(extents), j.replay)
}

// Status is the progress of a replay over all partitions, of which the log has
// so many. One that has ended says what was recorded then. Whether its link is
// paused or gone is not looked at.
func Status(ctx context.Context, cursors Cursors, partitions int, r *resource.Replay) (resource.ReplayStatus, error) {
	if r.Status.Ended() {
		return r.Status, nil
	}
	s := resource.ReplayStatus{State: resource.ReplayRunning, Partitions: partitions}
	at, err := cursors.Load(ctx, replayCursor(r.Metadata.Name, r.Metadata.UID))
	if err != nil {
		return s, err
	}
	for _, c := range at {
		g, err := parseProgress(c)
		if err != nil {
			return s, err
		}
		s.Total += g.To - g.From
		s.Done += g.at - g.From
		s.Parked += g.Parked
		s.Missing += g.Missing
		s.Unsent += g.Unsent
		if g.at >= g.To {
			s.PartitionsDone++
		}
	}
	if s.PartitionsDone == partitions && partitions > 0 {
		s.State = resource.ReplayDone
	}
	return s, nil
}
