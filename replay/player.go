package replay

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Player sends history to links, for the partitions this process owns. Make
// it with New; it works while Run does. Its methods may be called concurrently.
type Player struct {
	cfg   Config
	parts Parts
	log   *slog.Logger

	// view is what Skip looks at; nil when nothing is held back, of any link.
	view atomic.Pointer[view]
	// readers bounds the chunks in memory.
	readers chan struct{}
	// wake (cap 1) tells Run that there is something to load.
	wake chan struct{}

	mu sync.Mutex
	// known says that there was an Update; changed is closed and replaced by each.
	known    bool
	changed  chan struct{}
	revision uint64
	links    map[string]*resource.Link
	replays  map[string]*resource.Replay
	lines    map[string]*line
	jobs     map[string]*job
	sessions map[int32]*session
	// names are the cursors there were when partitions were assigned last.
	names map[string]bool
	// dropped are cursors of what was deleted, since when.
	dropped map[string]time.Time
}

// view is immutable.
type view struct {
	lines map[string]*line
	// loading are the partitions of which is not known yet what is held back.
	loading map[int32]*session
}

// New returns a player, or an error that names every fault of cfg and parts.
func New(cfg Config, parts Parts) (*Player, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	if err := parts.validate(); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return &Player{
		cfg: cfg, parts: parts, log: parts.Logger,
		readers: make(chan struct{}, cfg.Readers), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		links: map[string]*resource.Link{}, replays: map[string]*resource.Replay{},
		lines: map[string]*line{}, jobs: map[string]*job{}, sessions: map[int32]*session{},
		names: map[string]bool{}, dropped: map[string]time.Time{},
	}, nil
}

// Run looks after the cursors until ctx ends and what was started has ended,
// which it does when the contexts of Own do. It returns nil.
func (p *Player) Run(ctx context.Context) error {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.wake:
			p.load(ctx)
		case <-tick.C:
			p.keep(ctx)
		case <-ctx.Done():
			p.endAll()
			return nil
		}
	}
}

// endAll ends every time of owning a partition that is left.
func (p *Player) endAll() {
	p.mu.Lock()
	var left []*session
	for _, s := range p.sessions {
		s.end()
		left = append(left, s)
	}
	p.mu.Unlock()
	for _, s := range left {
		s.feeders.Wait()
	}
}

// Update tells which links and replays are in force. It is to be called with a
// set before anybody chooses by it.
func (p *Player) Update(set resource.Set) {
	p.mu.Lock()
	p.revision, p.known = set.Revision, true
	p.links = make(map[string]*resource.Link, len(set.Links))
	for _, l := range set.Links {
		p.links[l.Metadata.Name] = l
	}
	p.replays = make(map[string]*resource.Replay, len(set.Replays))
	for _, r := range set.Replays {
		p.replays[r.Metadata.Name] = r
	}
	p.updateLines()
	p.updateJobs()
	close(p.changed)
	p.changed = make(chan struct{})
	p.refresh()
	p.mu.Unlock()
	p.stir()
	p.startFeeders()
}

// updateLines drops the lines of links that are gone, and makes those that are
// needed. mu is held.
func (p *Player) updateLines() {
	for name, l := range p.lines {
		link := p.links[name]
		if link == nil || link.Metadata.UID != l.uid {
			delete(p.lines, name)
			l.gone.Store(true)
			p.dropped[l.cursor] = p.parts.Now()
			continue
		}
		l.learn(link)
	}
	for name, link := range p.links {
		if p.lines[name] == nil && (!plain(link) || p.names[linkCursor(name, link.Metadata.UID)]) {
			p.lines[name] = p.newLine(link)
		}
	}
}

// refresh makes the places that are missing and publishes a view. mu is held.
func (p *Player) refresh() {
	v := &view{lines: make(map[string]*line, len(p.lines)), loading: map[int32]*session{}}
	for id, s := range p.sessions {
		if !s.loaded() {
			v.loading[id] = s
			continue
		}
		for _, l := range p.lines {
			l.placeIn(s)
		}
	}
	for name, l := range p.lines {
		v.lines[name] = l
	}
	if len(v.lines)+len(v.loading) == 0 {
		v = nil
	}
	p.view.Store(v)
}

// stir wakes Run.
func (p *Player) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// waitChange waits for the next Update, or a while.
func (p *Player) waitChange(ctx context.Context, atMost time.Duration) {
	p.mu.Lock()
	changed := p.changed
	p.mu.Unlock()
	late := time.NewTimer(atMost)
	defer late.Stop()
	select {
	case <-changed:
	case <-late.C:
	case <-ctx.Done():
	}
}

// again calls fn until it returns nil or ctx ends, and logs when it begins to fail.
func (p *Player) again(ctx context.Context, what string, fn func() error) error {
	wait := p.cfg.RetryWait
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := fn()
		if err == nil {
			return nil
		}
		if n == 0 && ctx.Err() == nil {
			p.log.Warn(what+" fails, trying again", "error", err)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
		wait = min(2*wait, p.cfg.RetryMax)
	}
}

// sleep is false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
