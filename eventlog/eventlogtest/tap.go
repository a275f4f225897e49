package eventlogtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

// tapped polls until n records were seen, and returns them as topic and line.
func tapped(t *testing.T, tap *eventlog.Tap, n int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for got := 0; got < n; {
		all, err := tap.Poll(within(t), 7)
		if err != nil {
			t.Fatalf("%d of %d records: %v", got, n, err)
		}
		if len(all) > 7 {
			t.Errorf("%d records at once", len(all))
		}
		for _, r := range all {
			l, err := event.ParseLog(r.Message)
			if err != nil {
				t.Fatal(err)
			}
			seen[fmt.Sprint(r.Topic, " ", l.Line)]++
			got++
		}
	}
	return seen
}

func (s suite) testTap(t *testing.T) {
	cfg := s.fresh(t, 3)
	l := open(t, cfg)
	line := func(i int) event.Message {
		one := event.Log{Time: time.Unix(1, 0), Function: fmt.Sprint("f", i%5), Line: fmt.Sprint(i)}
		return one.Message("id")
	}
	for i := range 40 {
		topic := eventlog.Logs
		if i%2 == 0 {
			topic = eventlog.Runs
		}
		if _, err := l.Append(within(t), topic, []event.Message{line(i)}); err != nil {
			t.Fatal(err)
		}
	}
	openTap := func() *eventlog.Tap {
		c := cfg
		c.Group = cfg.TopicPrefix + "tap"
		tap, err := eventlog.OpenTap(c, eventlog.Logs, eventlog.Runs)
		if err != nil {
			t.Fatal(err)
		}
		return tap
	}
	first := openTap()
	for what, times := range tapped(t, first, 40) {
		if times != 1 {
			t.Errorf("%s: %d times", what, times)
		}
	}
	first.Close() // without a commit
	second := openTap()
	if again := tapped(t, second, 40); len(again) != 40 {
		t.Errorf("what was not committed came again as %d records", len(again))
	}
	if err := second.Commit(within(t)); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if _, err := l.Append(within(t), eventlog.Logs, []event.Message{line(40)}); err != nil {
		t.Fatal(err)
	}
	third := openTap()
	defer third.Close()
	if fresh := tapped(t, third, 1); fresh["logs 40"] != 1 {
		t.Errorf("after the commit came %v, want the one that is new", fresh)
	}
}
