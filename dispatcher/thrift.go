package dispatcher

import "time"

// thrift finds out for which functions few calls at a time are enough. While
// work waits in many lanes whose functions answer at once, the machine is what bounds
// them: more calls in flight only wait for longer, and each costs more CPU. But a
// function that is slow by itself has the same latency, and needs its calls.
//
// So it is tried. All lanes that are busy make a quarter of their calls for a
// moment, together: who did so alone would only lose his share of the machine. A
// lane that is slower for it is spared for some time; the others stay with less
// when they deliver as much as before. From then on it is tried with more every few
// seconds, and a lane whose calls take longer than usual gets its bound back at once.
//
// The goroutine of Run alone uses it.
type thrift struct {
	d     *Dispatcher
	phase thriftPhase
	// window is for how long the trial is measured.
	window time.Duration
	trials []trial
	// more: the trial is with more calls, not with fewer.
	more bool
	// nextLess, nextMore and nextAll are when to try; failed counts the vain
	// trials with fewer in a row.
	nextLess, nextMore, nextAll time.Time
	failed                      int
}

type thriftPhase uint8

const (
	thriftRests   thriftPhase = iota
	thriftSettles             // the bounds of the trial are set
	thriftTries               // what it gives is measured
)

// trial is a lane that takes part in one.
type trial struct {
	lane *lane
	// bound is that of before, enough what thrift had set of it.
	bound, enough int
	// perSecond is what it delivered before, mean how long a call took.
	perSecond float64
	mean      time.Duration
}

// thrifty is what thrift knows of a lane; its goroutine alone uses it.
type thrifty struct {
	// usual is the latency by which fewer calls were found to be enough.
	usual time.Duration
	// spared: the lane needs its calls; times is how often in a row that was found.
	spared time.Time
	times  int
}

const (
	// thriftLook is how often the lanes are looked at between trials.
	thriftLook = 250 * time.Millisecond
	// leastWindow and leastSettle are the least times of a trial.
	leastWindow, leastSettle = 150 * time.Millisecond, 20 * time.Millisecond
	// atOnce is the latency, under load, up to which lanes take part.
	atOnce = 100 * time.Millisecond
	// leastBound is where no lane is brought below.
	leastBound = 8
	// enoughSamples is how many calls must end in a look to say anything.
	enoughSamples = 16
	// tryLess, tryMore and sparedFor are the times between trials: the first and
	// the last double when they were in vain, at most mostDoublings times.
	tryLess, tryMore, sparedFor = time.Second, 5 * time.Second, 20 * time.Second
	mostDoublings               = 4
	// callsPerCore are always allowed in sum: they keep the machine busy.
	callsPerCore = 64
)

// step goes on, and says when to be called again.
func (t *thrift) step() time.Duration {
	now := t.d.parts.Now()
	switch t.phase {
	case thriftSettles:
		for i := range t.trials {
			t.trials[i].lane.measured(now)
		}
		t.phase = thriftTries
		return t.window
	case thriftTries:
		t.conclude(now)
		t.phase = thriftRests
		return thriftLook
	}
	t.look(now)
	if t.phase == thriftRests {
		return thriftLook
	}
	return max(leastSettle, 2*t.slowest())
}

// slowest is the longest mean latency among the lanes of the trial.
func (t *thrift) slowest() (most time.Duration) {
	for i := range t.trials {
		most = max(most, t.trials[i].mean)
	}
	return most
}

// look finds the lanes that are busy, and begins a trial with them when it is time.
func (t *thrift) look(now time.Time) {
	t.trials = t.trials[:0]
	lowered, fresh := false, false
	for _, l := range t.d.snapshot() {
		p := l.measured(now)
		bound, enough := l.bounds()
		if enough > 0 && !p.ranDry && p.mean() > max(3*l.thrifty.usual, time.Millisecond) {
			l.suffices(0)
			continue
		}
		if p.calls < enoughSamples || p.mean() > atOnce || p.inFlight(now) < float64(bound)/2 || l.troubled.Load() {
			continue
		}
		t.trials = append(t.trials, trial{lane: l, bound: bound, enough: enough, perSecond: p.perSecond(now), mean: p.mean()})
		lowered = lowered || enough > 0
		fresh = fresh || enough == 0 && bound > leastBound && !now.Before(l.thrifty.spared)
	}
	switch {
	case lowered && !now.Before(t.nextMore):
		t.more = true
		t.try(func(tr *trial) int { return 4 * tr.enough })
	case lowered && fresh && now.Before(t.nextAll):
	case lowered && fresh:
		t.together(now)
	case !now.Before(t.nextLess):
		t.more = false
		t.tryFewer(now)
	}
}

// together begins anew, since lanes came that do as they like beside others
// that do with less.
func (t *thrift) together(now time.Time) {
	t.nextAll, t.nextLess = now.Add(sparedFor), now
	for i := range t.trials {
		t.trials[i].lane.suffices(0)
	}
}

func (t *thrift) tryFewer(now time.Time) {
	sum := 0
	for i := range t.trials {
		sum += t.trials[i].bound
	}
	if sum <= t.d.cfg.EnoughCalls {
		return
	}
	t.try(func(tr *trial) int {
		if now.Before(tr.lane.thrifty.spared) || tr.enough > 0 || tr.bound <= leastBound {
			return 0
		}
		return max(leastBound, tr.bound/4)
	})
}

// try begins a trial with the bounds that are not 0.
func (t *thrift) try(bound func(*trial) int) {
	kept := t.trials[:0]
	for _, tr := range t.trials {
		if n := bound(&tr); n > 0 {
			tr.lane.suffices(n)
			kept = append(kept, tr)
		}
	}
	t.trials = kept
	if len(kept) > 0 {
		t.phase = thriftSettles
		t.window = max(leastWindow, 4*t.slowest())
	}
}

// conclude keeps the bounds of a trial, or brings back those of before. Of the
// lanes one by one less is asked than of all together: they vary more.
func (t *thrift) conclude(now time.Time) {
	t.nextMore = now.Add(tryMore)
	var before, after float64
	kept := t.trials[:0]
	for _, tr := range t.trials {
		p := tr.lane.measured(now)
		rate := p.perSecond(now)
		switch {
		case tr.lane.troubled.Load(), t.more && p.ranDry:
			tr.lane.suffices(tr.enough)
		case !t.more && p.ranDry: // it does with less: nothing waits
			tr.lane.thrifty = thrifty{usual: max(p.mean(), tr.mean)}
		case !t.more && rate < 0.7*tr.perSecond, t.more && rate > 1.4*tr.perSecond:
			tr.lane.spare(now)
		default:
			before, after = before+tr.perSecond, after+rate
			tr.mean = p.mean()
			kept = append(kept, tr)
		}
	}
	keeps := after > 1.15*before
	if !t.more {
		keeps = after >= 0.87*before
		t.pace(now, keeps)
	}
	for i := range kept {
		kept[i].conclude(keeps, t.more)
	}
}

// pace sets when fewer calls are tried again.
func (t *thrift) pace(now time.Time, kept bool) {
	if kept {
		t.failed, t.nextLess = 0, now
		return
	}
	t.nextLess = now.Add(tryLess << min(t.failed, mostDoublings))
	t.failed++
}

func (tr *trial) conclude(keeps, more bool) {
	switch l := tr.lane; {
	case !keeps:
		l.suffices(tr.enough)
	case more:
		l.suffices(0)
	default:
		l.thrifty = thrifty{usual: tr.mean}
	}
}

// spare leaves the lane to its own bound for some time.
func (l *lane) spare(now time.Time) {
	l.suffices(0)
	l.thrifty.spared = now.Add(sparedFor << min(l.thrifty.times, mostDoublings))
	l.thrifty.times++
}
