package verify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// ErrConfig is a configuration that makes no sense.
var ErrConfig = errors.New("wrong configuration")

// Runner is one run, made by New and run once by Run.
type Runner struct {
	cfg     Config
	client  *client.Client
	door    *door
	plan    *plan
	history *history
	probes  *probes
	calls   *callLog
	// started is what the times in the history count from.
	started time.Time
	phase   atomic.Int32 // a Phase
	kills   killer
}

// New checks the configuration; the error lists every fault and is ErrConfig.
func New(cfg Config) (*Runner, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	options := []client.Option{client.WithToken(cfg.Token)}
	if cfg.TLS != nil {
		options = append(options, client.WithTLS(cfg.TLS))
	}
	c, err := client.New(cfg.Server, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	run := strings.ToLower(rand.Text()[:10])
	if cfg.Name == "" {
		cfg.Name = run
	}
	p := newPlan(&cfg, run)
	return &Runner{
		cfg: cfg, client: c, door: newDoor(&cfg, senders), plan: p, history: newHistory(p), probes: new(probes), calls: newCallLog(cfg.CallLog),
		kills: killer{command: cfg.KillCommand, every: cfg.KillEvery, output: cfg.KillOutput},
	}, nil
}

// askTimeout bounds a question to a deployment that may be paused or down.
const askTimeout = 30 * time.Second

// cleanupTimeout bounds the end of a run, which happens even when it was interrupted.
const cleanupTimeout = 15 * time.Second

// Run does it: it puts the functions and links in place, sends, waits until all
// is delivered, removes what it put there, and reports. When ctx ends it stops
// sending, and waits Grace at most. The error says why there is no report; what the report
// finds is in Report.Err.
func (r *Runner) Run(ctx context.Context) (*Report, error) {
	defer r.door.close()
	if err := r.client.Ready(ctx); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", r.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	// The functions answer until the resources are gone.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.started = time.Now()
	s := &sink{plan: r.plan, history: r.history, probes: r.probes, calls: r.calls, prefix: "/" + r.cfg.Name + "/", timeout: r.cfg.CallTimeout, started: r.started}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.serve(serving, l) }) // what it cannot receive shows as lost
	defer wg.Wait()
	defer stop()
	url := "http://" + l.Addr().String()
	if r.cfg.CallbackURL != "" {
		url = strings.TrimSuffix(r.cfg.CallbackURL, "/")
	}
	return r.runAgainst(ctx, url+s.prefix)
}

// runAgainst is a run whose functions answer at url.
func (r *Runner) runAgainst(ctx context.Context, url string) (*Report, error) {
	if err := r.nameIsFree(ctx); err != nil {
		return nil, err
	}
	err := r.install(ctx, url)
	var rep *Report
	if err == nil {
		rep, err = r.measure(ctx, url)
	}
	if left := r.leave(context.WithoutCancel(ctx)); left != nil {
		left = fmt.Errorf("not removed (see `signalbox verify --cleanup`): %w", left)
		if rep == nil {
			return nil, errors.Join(err, left)
		}
		rep.Notes = append(rep.Notes, left.Error())
	}
	if broken := r.calls.close(); broken != nil && rep != nil {
		rep.Notes = append(rep.Notes, fmt.Sprintf("the log of calls is not complete: %v", broken))
	}
	return rep, err
}

// leave removes the resources of the run; a deployment that is being restarted
// is waited for.
func (r *Runner) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		err := r.uninstall(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// measure sends, waits and judges.
func (r *Runner) measure(ctx context.Context, url string) (*Report, error) {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	r.phase.Store(int32(Probing))
	if r.cfg.Progress != nil {
		wg.Go(func() { r.watch(watching) })
	}
	if err := r.await(ctx, url); err != nil {
		return nil, err
	}
	patient, cancel := graceful(ctx, r.cfg.Grace)
	defer cancel()
	r.phase.Store(int32(Sending))
	start := time.Now()
	if err := r.send(patient, ctx); err != nil {
		return nil, err
	}
	sent := time.Now()
	r.phase.Store(int32(Draining))
	rep := r.newReport(start, sent)
	r.drain(patient, rep)
	rep.Interrupted = ctx.Err() != nil
	r.history.judge(rep)
	if last := r.history.lastSettled(); last.After(sent) {
		rep.Drained = resource.Duration(last.Sub(sent).Round(time.Millisecond))
	}
	if !rep.Interrupted {
		r.explain(ctx, rep)
	}
	return rep, nil
}

func (r *Runner) newReport(start, sent time.Time) *Report {
	rep := &Report{
		Run: r.plan.run, Server: r.cfg.Server, Seed: r.cfg.Seed, Order: r.cfg.Order,
		Started: start.UTC(), Sending: resource.Duration(sent.Sub(start).Round(time.Millisecond)),
		Findings: []Finding{}, Notes: []string{},
	}
	rep.Kills, rep.KillsFailed = r.kills.counts()
	return rep
}

// graceful is a context that ends that long after ctx does.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// send sends events until sending ends, with the kill command beside it. What
// is under way then has until ctx ends.
func (r *Runner) send(ctx, sending context.Context) error {
	if r.cfg.For > 0 {
		var stop context.CancelFunc
		sending, stop = context.WithTimeout(sending, r.cfg.For)
		defer stop()
	}
	killing, enough := context.WithCancel(sending)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer enough()
	wg.Go(func() { r.kills.run(killing, ctx) })
	s := source{cfg: &r.cfg, plan: r.plan, history: r.history, door: r.door, started: r.started}
	return s.run(ctx, sending)
}

// deadPoll is how often dead letters are asked for while something is owed.
const deadPoll = time.Second

// drain waits until nothing is owed, or nothing has come for as long as Drain,
// and then for duplicates.
func (r *Runner) drain(ctx context.Context, rep *Report) {
	still := make(chan struct{})
	stop := r.history.whenStill(r.cfg.Drain, func() { close(still) })
	defer stop()
	poll := time.NewTicker(deadPoll)
	defer poll.Stop()
	done := r.history.done()
	err := r.readDeadLetters(ctx)
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-poll.C:
			err = r.readDeadLetters(ctx)
		case <-still:
			err = r.readDeadLetters(ctx)
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	if err != nil {
		rep.Notes = append(rep.Notes, fmt.Sprintf("the dead letters could not be read: %v", err))
	}
	linger := time.NewTimer(r.cfg.Linger)
	defer linger.Stop()
	select {
	case <-linger.C:
	case <-ctx.Done():
	}
}

// readDeadLetters notes those of this run's events.
func (r *Runner) readDeadLetters(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, source := range []string{r.plan.source(), r.plan.replySource()} {
		letters, err := r.client.DeadLetters(ctx, client.Query{Source: source, Since: r.started.Add(-time.Minute)})
		if err != nil {
			return err
		}
		for _, raw := range letters {
			r.noteDeadLetter(raw)
		}
	}
	return nil
}

func (r *Runner) noteDeadLetter(raw json.RawMessage) {
	var d struct {
		Event json.RawMessage `json:"event"`
		Link  string          `json:"link"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return
	}
	e, err := event.ParseJSON(d.Event)
	if err != nil {
		return
	}
	for i := range r.plan.functions + 1 {
		if r.cfg.function(i) != d.Link {
			continue
		}
		if target, _, ours := r.plan.identify(e, i); ours {
			r.history.bury(target, time.Now())
		}
	}
}

// watch reports the progress until ctx ends.
func (r *Runner) watch(ctx context.Context) {
	t := time.NewTicker(r.cfg.Every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p := r.history.progress()
			p.Elapsed, p.Phase = time.Since(r.started), Phase(r.phase.Load())
			p.Kills, _ = r.kills.counts()
			r.cfg.Progress(p)
		case <-ctx.Done():
			return
		}
	}
}

// explain asks the deployment what it thinks of what was lost.
func (r *Runner) explain(ctx context.Context, rep *Report) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for i := range rep.Findings {
		f := &rep.Findings[i]
		if f.What != "lost" || f.Reply {
			continue
		}
		ex, err := r.client.Explain(ctx, f.Source, f.Event)
		if err != nil {
			f.Why = "explain: " + err.Error()
			continue
		}
		f.Why = why(ex, r.cfg.function(f.Function))
	}
}

func why(ex client.Explanation, link string) string {
	if ex.Error != "" {
		return ex.Error
	}
	for _, l := range ex.Links {
		if l.Name != link {
			continue
		}
		if n := len(l.Deliveries); n > 0 {
			last := l.Deliveries[n-1]
			return strings.TrimSuffix(fmt.Sprintf("the deployment says: %s after %d attempts: %s", last.Outcome, last.Attempt, last.Reason), ": ")
		}
		if !l.Chosen {
			return "the deployment says: not chosen: " + l.Why
		}
		return "the deployment says: chosen, and knows no call; position " + ex.Position.String()
	}
	return "the deployment does not know the link"
}
