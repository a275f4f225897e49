package history

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// story is a history with a clock that goes on by 10 ms at each step.
type story struct {
	*History
	at time.Time
}

func newStory() *story {
	s := &story{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s.History = New(func() time.Time { return s.at })
	return s
}

// accepted events are sent one by one.
func (s *story) accepted(key string, ids ...string) {
	for _, id := range ids {
		s.Send(id, "all", key)
		s.Accept(id)
		s.pass(10 * time.Millisecond)
	}
}

func (s *story) pass(d time.Duration) { s.at = s.at.Add(d) }

// done are calls that end well, failed one that does not.
func (s *story) done(ids ...string) {
	for _, id := range ids {
		s.called(id, true)
	}
}

func (s *story) called(id string, ok bool) {
	end := s.Call("link", id)
	s.pass(10 * time.Millisecond)
	end(ok)
	s.pass(10 * time.Millisecond)
}

func (s *story) killed() {
	s.Fault("kill")()
	s.pass(10 * time.Millisecond)
}

var rules = Rules{
	Links:       []Link{{Name: "link", Class: "all", Ordered: true}, {Name: "slow", Class: "both"}, {Name: "quick", Class: "both"}},
	Uncommitted: 100 * time.Millisecond, Copies: 1,
}

func TestWhatIsWrongIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		tell func(s *story)
		want []Kind
	}{
		"nothing: all delivered in order": {func(s *story) {
			s.accepted("k", "1", "2", "3")
			s.done("1", "2", "3")
		}, nil},
		"nothing: a failed call is made again": {func(s *story) {
			s.accepted("k", "1", "2")
			s.called("1", false)
			s.done("1", "2")
		}, nil},
		"nothing: a dead letter is an outcome": {func(s *story) {
			s.accepted("k", "1", "2")
			s.called("1", false)
			s.Dead("link", "1")
			s.done("2")
		}, nil},
		"nothing: not accepted, not delivered": {func(s *story) {
			s.Send("1", "all", "k")
		}, nil},
		"nothing: another class": {func(s *story) {
			s.Send("1", "others", "k")
			s.Accept("1")
		}, nil},
		"nothing: a kill repeats what was done just before": {func(s *story) {
			s.accepted("k", "1", "2", "3")
			s.done("1", "2")
			s.killed()
			s.done("1", "2", "3")
		}, nil},
		"nothing: what was parked twice comes after both copies of the first": {func(s *story) {
			s.accepted("k", "1", "2")
			s.killed()
			s.pass(3 * time.Second)
			s.done("1", "2", "1", "2")
		}, nil},
		"nothing: a call cut off by a kill overlaps with its repetition": {func(s *story) {
			s.accepted("k", "1")
			end := s.Call("link", "1")
			s.killed()
			s.done("1")
			end(true)
		}, nil},
		"lost": {func(s *story) {
			s.accepted("k", "1", "2")
			s.done("1")
		}, []Kind{Lost}},
		"lost: every call failed": {func(s *story) {
			s.accepted("k", "1")
			s.called("1", false)
		}, []Kind{Lost}},
		"delivered, and never sent": {func(s *story) {
			s.done("1")
		}, []Kind{Stranger}},
		"repeated without a fault": {func(s *story) {
			s.accepted("", "1")
			s.done("1", "1")
		}, []Kind{Repeated, TooMany}},
		"repeated twice after one kill": {func(s *story) {
			s.accepted("", "1")
			s.killed()
			s.done("1", "1", "1")
		}, []Kind{Repeated, TooMany}},
		"repeated, but sent after the kill": {func(s *story) {
			s.killed()
			s.accepted("", "1")
			s.done("1", "1")
		}, []Kind{Repeated, TooMany}},
		"repeated, but done long before the kill": {func(s *story) {
			s.accepted("", "1")
			s.done("1")
			s.pass(2 * time.Second)
			s.killed()
			s.done("1")
		}, []Kind{Repeated, TooMany}},
		"nothing: what one fault repeats, the next one does again": {func(s *story) {
			s.accepted("", "1")
			s.done("1")
			s.killed()
			s.pass(2 * time.Second)
			s.done("1")
			s.killed()
			s.done("1")
		}, nil},
		"nothing: no progress is committed while a fault lasts": {func(s *story) {
			s.accepted("", "1")
			s.done("1")
			over := s.Fault("cut off")
			s.pass(2 * time.Second)
			s.done("1")
			s.pass(2 * time.Second)
			over()
			s.killed()
			s.done("1")
		}, nil},
		"repeated before the fault that would explain it": {func(s *story) {
			s.accepted("", "1")
			s.done("1", "1")
			s.killed()
		}, []Kind{Repeated}},
		"repeated, long after the fault that kept it from being committed": {func(s *story) {
			s.accepted("", "1")
			s.done("1")
			over := s.Fault("cut off")
			s.pass(2 * time.Second)
			over()
			s.pass(2 * time.Second)
			s.killed()
			s.done("1", "1")
		}, []Kind{Repeated, TooMany}},
		"repeated, and another one might have been": {func(s *story) {
			s.accepted("", "1", "2")
			s.done("1")
			s.pass(time.Second)
			s.killed()
			s.done("1", "2")
		}, []Kind{Repeated}},
		"the later event first": {func(s *story) {
			s.accepted("k", "1", "2")
			s.done("2", "1")
		}, []Kind{Reordered, Reordered}},
		"the later event before the earlier one succeeded": {func(s *story) {
			s.accepted("k", "1", "2")
			s.called("1", false)
			s.called("2", true)
			s.called("1", true)
		}, []Kind{Reordered, Reordered}},
		"the later event, and never the earlier one": {func(s *story) {
			s.accepted("k", "1", "2")
			s.done("2")
		}, []Kind{Lost, Reordered}},
		"repeated in the wrong order": {func(s *story) {
			s.accepted("k", "1", "2", "3")
			s.done("1", "2", "3")
			s.killed()
			s.done("3", "2", "1")
		}, []Kind{Reordered}},
		"two calls of a key at a time": {func(s *story) {
			s.accepted("k", "1", "2")
			end := s.Call("link", "1")
			s.pass(time.Millisecond)
			other := s.Call("link", "2")
			s.pass(time.Millisecond)
			end(true)
			other(true)
		}, []Kind{Overlapping, Reordered}},
		"nothing: other keys go on meanwhile": {func(s *story) {
			s.accepted("a", "1")
			s.accepted("b", "2")
			end := s.Call("link", "1")
			s.done("2")
			end(true)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			tt.tell(s)
			found, _ := s.Check(rules)
			var kinds []Kind
			for _, v := range found {
				kinds = append(kinds, v.Kind)
			}
			if slices.Sort(kinds); !slices.Equal(kinds, tt.want) {
				t.Errorf("found %v, want %v", found, tt.want)
			}
		})
	}
}

func TestTheBoundIsWhatWasDeliveredSinceTheLastCommit(t *testing.T) {
	s := newStory()
	for i := range 100 {
		s.accepted("", fmt.Sprint(i))
		s.done(fmt.Sprint(i)) // one each 30 ms
	}
	s.killed()
	_, repeats := s.Check(rules)
	if got := repeats["link"]; got.Count != 0 || got.Bound != 4 {
		t.Errorf("%+v, want none of 4", got)
	}
}

func TestMissingIsWhatHasNoOutcomeYet(t *testing.T) {
	s := newStory()
	s.accepted("k", "1", "2", "3")
	s.done("1")
	s.Dead("link", "2")
	before := s.at
	s.accepted("k", "4")
	if all, old := s.Missing(rules), s.MissingOf(rules, before.Add(-time.Millisecond)); all != 2 || old != 1 {
		t.Errorf("%d, and %d of those before, want 2 and 1", all, old)
	}
}

func TestADeliveryThatWaitsKeepsTheOthersOfItsEventOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		slow bool // the other delivery is done long before the kill
		want int
	}{"waits": {false, 0}, "is done": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.Send("1", "both", "")
			s.Accept("1")
			s.Call("quick", "1")(true)
			if tt.slow {
				s.Call("slow", "1")(true)
			}
			s.pass(2 * time.Second)
			s.killed()
			s.Call("quick", "1")(true)
			if !tt.slow {
				s.Call("slow", "1")(true)
			}
			if found, _ := s.Check(rules); len(found) != tt.want {
				t.Errorf("found %v, want %d", found, tt.want)
			}
		})
	}
}

func TestWhatStoodInTwoRecordsMayBeRepeatedTwice(t *testing.T) {
	twice := rules
	twice.Copies = 2
	s := newStory()
	s.accepted("k", "1", "2")
	s.done("1", "2")
	s.killed()
	s.done("1", "2", "1", "2")
	if found, repeats := s.Check(twice); len(found) > 0 || repeats["link"].Bound != 4 {
		t.Errorf("found %v, %v", found, repeats)
	}
	s.done("1", "2")
	if found, _ := s.Check(twice); len(found) != 4 {
		t.Errorf("found %v, want both repeated, too many, and reordered", found)
	}
}
