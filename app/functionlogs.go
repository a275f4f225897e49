package app

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/otel/metrics"
)

// What is kept of the lines of functions.
const (
	// maxLine is the longest line in bytes; longer ones are cut, and say so.
	maxLine = 16 << 10
	// lineUnit is how many bytes of a line count as one line more.
	lineUnit = 1 << 10
	// lineBurst is how many seconds of its rate a function may write at once.
	lineBurst = 5
	// lineBunch is how many seconds of its rate must have come together before
	// lines are kept again after one was dropped: a function that floods has
	// its lines in a few bunches, not each in a write to the log of its own,
	// with a note about what was dropped before it.
	lineBunch = 0.25
	// slowAfter times its rate, and slowLeast, is what a function may have dropped
	// in a second before it is made to wait: reading what nobody keeps costs this
	// process time that the functions beside it need.
	slowAfter = 10
	slowLeast = 10_000
	// slowPause is how long it waits then, each time.
	slowPause = 5 * time.Millisecond
)

// lineDesk keeps what functions print: on the topic of logs, and with whoever
// else wants lines. It never waits for them: what finds no room, and what a
// function writes above its rate, is dropped and counted. It is safe for
// concurrent use.
type lineDesk struct {
	// keep takes a line that is within the rate; it must not block.
	keep    func(*event.Log)
	rate    float64 // lines a second of one function; 0 keeps none
	metrics *metrics.Metrics
	now     func() time.Time
	pause   func(time.Duration)

	mu        sync.Mutex
	functions map[string]*lineBudget
}

// lineBudget is what a function may write.
type lineBudget struct {
	mu   sync.Mutex
	room float64
	at   time.Time
	// shut is set by a line that found no room, until there is room for a bunch.
	shut bool
	// dropped counts the lines dropped since the last one that was kept; recently
	// those of the present second.
	dropped  int64
	recently float64
	second   time.Time
}

func newLineDesk(rate int, m *metrics.Metrics, keep func(*event.Log)) *lineDesk {
	return &lineDesk{keep: keep, rate: float64(rate), metrics: m, now: time.Now, pause: time.Sleep, functions: map[string]*lineBudget{}}
}

// take keeps a line, or drops it. A function that floods waits here.
func (d *lineDesk) take(l event.Log) {
	counts := d.metrics.Function(l.Function)
	ok, lost, slow := d.budget(l.Function).admit(d.now(), d.rate, 1+float64(len(l.Line)/lineUnit))
	if !ok {
		counts.LinesDropped.Inc()
		if slow {
			d.pause(slowPause)
		}
		return
	}
	if lost > 0 {
		d.keep(&event.Log{Time: l.Time, Function: l.Function, Version: l.Version, Stream: event.StreamLog, Level: "warning", Line: fmt.Sprintf("signalbox: %d lines were dropped here, more than %g a second", lost, d.rate)})
	}
	counts.Lines.Inc()
	l.Level = event.Level(l.Level)
	l.Structured()
	cutLine(&l)
	d.keep(&l)
}

func (d *lineDesk) budget(function string) *lineBudget {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.functions[function]
	if b == nil {
		b = &lineBudget{room: d.rate * lineBurst, at: d.now()}
		d.functions[function] = b
	}
	return b
}

// retain forgets the functions that are gone.
func (d *lineDesk) retain(names []string) {
	kept := make(map[string]*lineBudget, len(names))
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		if b := d.functions[name]; b != nil {
			kept[name] = b
		}
	}
	d.functions = kept
}

// admit takes room for a line. lost is how many were dropped before it, slow
// whether the function is to wait.
func (b *lineBudget) admit(now time.Time, rate, cost float64) (ok bool, lost int64, slow bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room = min(rate*lineBurst, b.room+now.Sub(b.at).Seconds()*rate)
	b.at = now
	b.shut = b.shut && b.room < rate*lineBunch
	if !b.shut && b.room >= cost {
		b.room -= cost
		lost, b.dropped = b.dropped, 0
		return true, lost, false
	}
	b.shut = true
	b.dropped++
	if now.Sub(b.second) >= time.Second {
		b.second, b.recently = now, 0
	}
	b.recently += cost
	return false, 0, b.recently > max(slowAfter*rate, slowLeast)
}

// cutLine bounds a line, between two characters.
func cutLine(l *event.Log) {
	n := len(l.Line)
	if n <= maxLine {
		return
	}
	at := maxLine
	for at > maxLine-utf8.UTFMax && !utf8.RuneStart(l.Line[at]) {
		at--
	}
	l.Line = strings.Clone(l.Line[:at]) + "… (cut, " + strconv.Itoa(n) + " bytes)"
}

// openLines makes the desk of lines: each goes to the topic, and to the
// collector that there may be.
func (a *App) openLines() {
	own := rand.Text()[:12] + "-"
	var n atomic.Uint64
	a.lines = newLineDesk(a.opts.FunctionLogRate, a.metrics, func(l *event.Log) {
		a.events.AppendAsync(eventlog.Logs, l.Message(own+strconv.FormatUint(n.Add(1), 36)), nil)
		a.exported.Log(l)
		if a.hooks.FunctionOutput == nil {
			a.log.Info("function output", "function", l.Function, "version", l.Version, "stream", l.Stream, "line", l.Line)
		}
	})
}

// functionOutput takes a function's line: it is kept, and in dev shown in the terminal, else in the log.
func (a *App) functionOutput(l event.Log) {
	if a.hooks.FunctionOutput != nil {
		a.hooks.FunctionOutput(l)
	}
	a.lines.take(l)
}
