package eventlogtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
)

func (s suite) testFailure(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"append returns at its deadline while the broker is away":              s.awayAppend,
		"a full buffer is unavailable, not busy, when nothing is acknowledged": s.stalled,
		"a full buffer refuses, and telemetry is dropped":                      s.fullBuffer,
		"a stop returns while the broker is away":                              s.awayStop,
		"after a crash exactly what was not settled comes again":               s.crash,
		"consuming goes on when the broker comes back":                         s.comesBack,
		"a topic that takes less is given less":                                s.smallTopic,
		"a topic made smaller refuses who is too large, and nobody for ever":   s.shrunkTopic,
		"open names the address of a broker that is not there":                 s.notThere,
		"a wrong configuration names every field":                              s.wrongConfig,
	} {
		t.Run(name, run)
	}
}

func (s suite) awayAppend(t *testing.T) {
	cfg := s.fresh(t, 1)
	cable := plug(&cfg)
	l := open(t, cfg)
	mustAppend(t, l, message("a", "before"))
	cable.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := l.Append(ctx, eventlog.Events, messages("a", 0, 1))
	if !errors.Is(err, eventlog.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second { // the rest is for a busy machine
		t.Errorf("took %v", took)
	}
	cable.mend()
	mustAppend(t, l, message("a", "after"))
	got := values(t, l, eventlog.Earliest())
	if got[0] != "before" || got[len(got)-1] != "after" {
		t.Errorf("got %v", got)
	}
}

func (s suite) stalled(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.MaxBufferedRecords = 2
	cable := plug(&cfg)
	l := open(t, cfg)
	cable.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Append(ctx, eventlog.Events, messages("a", 0, 2)); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Append(within(t), eventlog.Events, messages("a", 2, 3)); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable at once", err)
	}
	cable.mend()
	for l.Stats().BufferedRecords > 0 {
		<-time.After(time.Millisecond)
	}
	mustAppend(t, l, message("a", "after"))
}

func (s suite) fullBuffer(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.MaxBufferedRecords = 8
	cable := plug(&cfg)
	l := open(t, cfg)
	mustAppend(t, l, message("a", "before"))
	cable.cut()
	done := make(chan error, 100)
	for _, m := range messages("a", 0, 10) {
		l.AppendAsync(eventlog.Events, m, func(_ event.Position, err error) { done <- err })
		l.AppendAsync(eventlog.Runs, m, nil)
	}
	for range 2 {
		if err := <-done; !errors.Is(err, eventlog.ErrBacklog) {
			t.Errorf("got %v, want ErrBacklog", err)
		}
	}
	if st := l.Stats(); st.Dropped != 8 || st.BufferedRecords != 10 { // telemetry has a quarter: 2
		t.Errorf("%+v", st)
	}
	cable.mend()
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	equal(t, values(t, l, eventlog.Earliest()), append([]string{"before"}, ids("a", 0, 8)...))
}

func (s suite) awayStop(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.DrainTimeout = 50 * time.Millisecond
	cable := plug(&cfg)
	l := open(t, cfg)
	in := newInbox()
	c := consume(t, l, in)
	mustAppend(t, l, messages("a", 0, 3)...)
	in.wait(t, 3)[0].done()
	cable.cut()
	began := time.Now()
	if err := c.stop(t); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v, want the commit to have failed", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
}

func (s suite) crash(t *testing.T) {
	s.halfSettled(t, func(l *eventlog.Log, msgs []event.Message) { mustAppend(t, l, msgs...) }, (*inbox).wait)
}

// halfSettled settles every other one of sixty records before the owner dies:
// the next one gets the rest, and nothing else.
func (s suite) halfSettled(t *testing.T, send func(*eventlog.Log, []event.Message), wait func(*inbox, testing.TB, int) []delivery) {
	t.Helper()
	cfg := s.fresh(t, 1)
	cfg.CommitInterval, cfg.CommitRecords = time.Hour, 30
	cfg.DrainTimeout = 0
	committed := make(chan error, 100)
	cfg.Hooks.Commit = func(_ int, _ time.Duration, err error) { committed <- err }
	dying := cfg
	if cfg.Embedded {
		dying.SessionTimeout = time.Second // which is waited for; others must not lose their partitions on a busy machine
	}
	cable := plug(&dying)
	l := open(t, dying)
	in := newInbox()
	c := consume(t, l, in)
	send(l, messages("c", 0, 60))
	got := wait(in, t, 60)
	var want []string
	for i, d := range got {
		if i%2 == 0 {
			d.done() // the thirtieth commits
		} else {
			want = append(want, string(d.Message.Value))
		}
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	cable.cut() // from here on it is dead to the broker
	got[1].done()
	_ = c.stop(t)

	survivor := open(t, cfg)
	in = newInbox()
	consume(t, survivor, in)
	equal(t, valuesOf(wait(in, t, len(want))), want)
}

func (s suite) comesBack(t *testing.T) {
	cfg := s.fresh(t, 1)
	cable := plug(&cfg)
	l := open(t, cfg)
	in := newInbox()
	in.auto = true
	c := consume(t, l, in)
	mustAppend(t, l, messages("b", 0, 3)...)
	in.wait(t, 3)
	cable.cut()
	cable.mend()
	mustAppend(t, l, messages("b", 3, 6)...)
	in.until(t, func(got []delivery) bool {
		return slices.ContainsFunc(got, func(d delivery) bool { return string(d.Message.Value) == "b-5" })
	})
	c.mustStop(t)
}

func (s suite) notThere(t *testing.T) {
	cfg := s.fresh(t, 1)
	cfg.Brokers = []string{"127.0.0.1:1"}
	_, err := eventlog.Open(within(t), cfg)
	errorNames(t, err, "127.0.0.1:1", "refused")
	if !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func (s suite) wrongConfig(t *testing.T) {
	cfg := s.fresh(t, 0)
	cfg.Brokers = []string{"nowhere"}
	cfg.Group = ""
	cfg.Compression = "zip"
	cfg.SASL = eventlog.SASL{Mechanism: "GUESS"}
	_, err := eventlog.Open(within(t), cfg)
	errorNames(t, err, "Partitions 0", "1 to 10000", `"nowhere"`, "host:port", "Group", `"zip"`, `"GUESS"`, "SASL.User", "Password")
	if strings.Contains(err.Error(), "Window") {
		t.Errorf("%v names a field that is right", err)
	}
}

// RunSecure runs what a broker with TLS and SASL must do; config carries the
// right credentials.
func RunSecure(t *testing.T, config func(testing.TB) eventlog.Config) {
	s := suite{config: config}
	t.Run("the right password opens and appends", func(t *testing.T) {
		l := open(t, s.fresh(t, 1))
		mustAppend(t, l, message("s", "secret"))
		in := newInbox()
		consume(t, l, in)
		in.wait(t, 1)[0].done()
	})
	for name, c := range map[string]struct {
		spoil func(*eventlog.Config)
		words []string
	}{
		"a wrong password":  {func(c *eventlog.Config) { c.SASL.Password, c.SASL.PasswordFile = "wr0ng-one", "" }, []string{"SASL", c0(config, t).SASL.User, c0(config, t).Brokers[0]}},
		"no SASL":           {func(c *eventlog.Config) { c.SASL = eventlog.SASL{} }, []string{"SASL", c0(config, t).Brokers[0]}},
		"an unknown issuer": {func(c *eventlog.Config) { c.TLS = eventlog.TLS{Enable: true} }, []string{"certificate", c0(config, t).Brokers[0]}},
	} {
		t.Run(name+" is a clear error, at once", func(t *testing.T) {
			cfg := s.fresh(t, 1)
			c.spoil(&cfg)
			began := time.Now()
			_, err := eventlog.Open(within(t), cfg)
			errorNames(t, err, c.words...)
			if strings.Contains(err.Error(), cfg.SASL.Password) && cfg.SASL.Password != "" {
				t.Errorf("%v shows the password", err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func c0(config func(testing.TB) eventlog.Config, t testing.TB) eventlog.Config { return config(t) }
