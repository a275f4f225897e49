package failpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Variable is the environment variable that holds the orders.
const Variable = "SIGNALBOX_FAILPOINT"

// order is what to do at one point.
type order struct {
	// pause is how long to wait; zero kills.
	pause time.Duration
	// at is the hit that counts, from 1; zero is each.
	at   int64
	hits atomic.Int64
}

// orders are safe for concurrent use.
type orders struct {
	of    map[Point]*order
	kill  func()
	sleep func(time.Duration)
}

// parse reads the value of the variable; every fault names the order it is in.
func parse(value string) (*orders, error) {
	o := &orders{of: map[Point]*order{}, kill: kill, sleep: time.Sleep}
	var faults []error
	for text := range strings.SplitSeq(value, ";") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, one, err := parseOrder(text)
		if err == nil && o.of[p] != nil {
			err = errors.New("a point takes one order")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%q: %w", text, err))
			continue
		}
		o.of[p] = one
	}
	return o, errors.Join(faults...)
}

func parseOrder(text string) (Point, *order, error) {
	name, action, ok := strings.Cut(text, "=")
	if !ok {
		return "", nil, errors.New("want point=kill[@hit] or point=pause:duration[@hit]")
	}
	p := Point(name)
	if !slices.Contains(Points(), p) {
		return "", nil, fmt.Errorf("no point %s, want one of %v", name, Points())
	}
	one := &order{}
	action, hit, numbered := strings.Cut(action, "@")
	if numbered {
		n, err := strconv.ParseInt(hit, 10, 64)
		if err != nil || n < 1 {
			return "", nil, fmt.Errorf("hit %q, want a number from 1", hit)
		}
		one.at = n
	}
	pause, pauses := strings.CutPrefix(action, "pause:")
	switch {
	case action == "kill":
		one.at = max(one.at, 1)
	case pauses:
		d, err := time.ParseDuration(pause)
		if err != nil || d <= 0 {
			return "", nil, fmt.Errorf("pause %q, want a duration over 0 such as 500ms", pause)
		}
		one.pause = d
	default:
		return "", nil, fmt.Errorf("action %q, want kill or pause:duration", action)
	}
	return p, one, nil
}

// hit counts a hit and obeys the point's order, if it has one.
func (o *orders) hit(p Point) {
	one := o.of[p]
	if one == nil {
		return
	}
	if n := one.hits.Add(1); one.at != 0 && n != one.at {
		return
	}
	if one.pause > 0 {
		o.sleep(one.pause)
		return
	}
	o.kill()
}

// kill ends the process as kill -9 does: nothing is flushed, no deferred
// function runs. Not even a line is printed: that would let the others go on.
func kill() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill() // what follows is for the system that cannot
	}
	select {}
}
