//go:build unix

package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// rig is a host with everything that it talks to.
type rig struct {
	t    *testing.T
	c    Config
	host *Host
	stop func()

	mu      sync.Mutex
	reports []event.Completion
	events  []Lifecycle
	lines   []event.Log
	// refuse, when set, is what Report fails with; reported is called before it returns.
	refuse   error
	reported func(*event.Completion)
	// changed is closed and replaced with everything that is heard.
	changed chan struct{}
}

func (r *rig) heard(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *rig) Report(_ context.Context, c *event.Completion) (err error) {
	r.heard(func() {
		if err = r.refuse; err == nil {
			r.reports = append(r.reports, *c)
		}
	})
	if r.reported != nil {
		r.reported(c)
	}
	return err
}

func (r *rig) Append(_ context.Context, l *Lifecycle) error {
	r.heard(func() { r.events = append(r.events, *l) })
	return nil
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, changed: make(chan struct{}), c: DefaultConfig()}
	r.c.Dir, r.c.Reporter, r.c.Events, r.c.Log = t.TempDir(), r, r, slog.New(slog.DiscardHandler)
	r.c.StopGrace = 2 * time.Second
	r.c.Output = func(l event.Log) { r.heard(func() { r.lines = append(r.lines, l) }) }
	if change != nil {
		change(&r.c)
	}
	r.run()
	return r
}

// run starts a host on the rig's directory.
func (r *rig) run() {
	r.t.Helper()
	var err error
	if r.host, err = New(r.c); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.host.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(r.stop)
}

// await waits until what is true of what was heard.
func (r *rig) await(for_ string, what func() bool) {
	r.t.Helper()
	bound := time.NewTimer(20 * time.Second)
	defer bound.Stop()
	for {
		r.mu.Lock()
		is, changed := what(), r.changed
		r.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-bound.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited for %s: reports %+v, events %d, lines %+v", for_, r.reports, len(r.events), r.lines)
		}
	}
}

// ends are the reports of ends: no extensions.
func (r *rig) ends() (all []event.Completion) {
	for _, c := range r.reports {
		if c.Extend == 0 {
			all = append(all, c)
		}
	}
	return all
}

// awaitEnd waits until n ends are reported, and returns the last one.
func (r *rig) awaitEnd(n int) event.Completion {
	r.t.Helper()
	r.await(fmt.Sprint(n, " reports"), func() bool { return len(r.ends()) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ends()[n-1]
}

// shell is a job that runs a script, with the arguments behind it.
func shell(script string, args ...string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: "j"}, Spec: resource.FunctionSpec{
		Version: "v1", Config: map[string]json.RawMessage{"width": json.RawMessage("200")},
		Job: &resource.Job{Command: []string{"sh", "-c", strings.NewReplacer("{", "{{", "}", "}}").Replace(script), "job"}, Args: args},
	}}
}

func (r *rig) use(fns ...*resource.Function) { r.host.Reconcile(fns, nil) }

var aToken = event.DeliveryToken{Function: "j", Link: "to-j", Position: event.Position{Partition: 3, Offset: 17}, Attempt: 1}

func attempt(n int) event.DeliveryToken {
	t := aToken
	t.Attempt = n
	return t
}

// call is a request of the dispatcher, or of a caller where token is nil.
func (r *rig) call(ctx context.Context, fn *resource.Function, token *event.DeliveryToken, id string) (*http.Response, string) {
	r.t.Helper()
	url, err := r.host.URL(fn)
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"name":"ada","n":[1,true],"deep":{"x":"-v"},"empty":""}`))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "/s", "Ce-Type": "com.test.go", "Ce-Subject": "a b", "Ce-Tenant": "x y", "Content-Type": "application/json",
		"Signalbox-Link": "invoke:j", "Signalbox-Delivery": "forged~by~0~0~1", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		q.Header.Set(k, v)
	}
	if token != nil {
		q.Header.Set("Signalbox-Link", token.Link)
		q.Header.Set("Signalbox-Delivery", token.String())
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		if ctx.Err() == nil {
			r.t.Error(err)
		}
		return nil, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	return resp, string(body)
}

// deliver calls with a token and wants a lease.
func (r *rig) deliver(fn *resource.Function, token event.DeliveryToken, id string) {
	r.t.Helper()
	resp, body := r.call(r.t.Context(), fn, &token, id)
	if resp == nil || resp.StatusCode != http.StatusAccepted || resp.Header.Get("Signalbox-Lease") != r.c.Lease.String() {
		r.t.Fatalf("answered %+v %s: want 202 and a lease", resp, body)
	}
}

func (r *rig) printed(stream, line string) {
	r.t.Helper()
	r.await("the line "+line, func() bool {
		for _, l := range r.lines {
			if l.Stream == stream && l.Line == line {
				return true
			}
		}
		return false
	})
}

func TestAJobGetsTheEventAndItsRepliesAreReported(t *testing.T) {
	r := newRig(t, nil)
	fn := shell(`echo "$CE_TYPE $CE_SUBJECT $CE_TENANT $SIGNALBOX_CONFIG $TRACEPARENT $SIGNALBOX_FUNCTION $SIGNALBOX_RUN"
cat $SIGNALBOX_DATA; echo; cat $SIGNALBOX_EVENT; echo
echo "$1|$2|$3"
echo oops >&2
echo '{"type":"com.test.made","data":{"n":1}}' >> $SIGNALBOX_REPLIES
echo '{"specversion":"1.0","type":"com.test.made","id":"mine","source":"/me"}' >> $SIGNALBOX_REPLIES`, "{id}/{data.name}-{data.n.0}", "{{}}", "x{data.n.1}")
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	end := r.awaitEnd(1)
	if end.Delivery != aToken || end.Status != 200 || len(end.Replies) != 2 || end.Body != "" {
		t.Fatalf("reported %+v", end)
	}
	if one, two := end.Replies[0], end.Replies[1]; one.Source != "/functions/j" || string(one.Data) != `{"n":1}` || one.ID == "" || two.ID != "mine" || two.Source != "/me" {
		t.Errorf("replies %+v %+v", one, two)
	}
	run := event.RunID(aToken.Position, "to-j", 1)
	r.printed("stdout", `com.test.go a b x y {"width":200} 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 j `+run)
	r.printed("stdout", `{"name":"ada","n":[1,true],"deep":{"x":"-v"},"empty":""}`)
	r.printed("stdout", `e1/ada-1|{}|xtrue`)
	r.printed("stderr", "oops")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.Run != run || l.Function != "j" || l.Version != "v1" || l.TraceID != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("line %+v", l)
		}
	}
	if len(r.events) != 2 || r.events[0].Event.Type != TypeStarted || r.events[1].Event.Type != TypeSucceeded {
		t.Fatalf("events %+v", r.events)
	}
	var report Report
	if err := json.Unmarshal(r.events[1].Event.Data, &report); err != nil || report.Run != run || *report.ExitCode != 0 || report.Event.ID != "e1" || report.DurationMS == nil {
		t.Errorf("%v: %s", err, r.events[1].Event.Data)
	}
	if e := r.events[0]; e.Cause.ID != "e1" || e.Event.Subject != run || e.Event.Source != "/functions/j" || e.Link != "to-j" || e.Index != -1 || e.Cause.Data != nil {
		t.Errorf("event %+v of %+v", e.Event, e.Cause)
	}
}

func TestHowARunEndsIsReported(t *testing.T) {
	for _, c := range []struct {
		name, script string
		change       func(*resource.Job)
		status       int
		body         string
		event        string
	}{
		{name: "exit code 0", script: "true", status: 200, event: TypeSucceeded},
		{name: "another exit code", script: "echo first >&2; echo no disk >&2; exit 3", status: 500, body: "exit code 3\nfirst\nno disk", event: TypeFailed},
		{name: "a permanent one", script: "exit 65", status: 422, body: "exit code 65 (permanent)", event: TypeFailed},
		{name: "a permanent one of its own", script: "exit 7", change: func(j *resource.Job) { j.PermanentExitCodes = []int{7} }, status: 422, body: "exit code 7 (permanent)", event: TypeFailed},
		{name: "a signal", script: "kill -9 $$", status: 500, body: "exit code 137: signal killed", event: TypeFailed},
		{name: "replies that are none", script: "echo nonsense > $SIGNALBOX_REPLIES", status: 502, body: "exit code 0, but the replies are not JSON", event: TypeFailed},
		{name: "a reply without a type", script: "echo '{}' > $SIGNALBOX_REPLIES", status: 502, body: "exit code 0, but reply 1: ", event: TypeFailed},
		{name: "too many replies", script: `i=0; while [ $i -lt 101 ]; do echo '{"type":"t"}'; i=$((i+1)); done > $SIGNALBOX_REPLIES`, status: 502, body: "101 replies: want at most 100", event: TypeFailed},
		{name: "no replies file", script: "rm $SIGNALBOX_REPLIES", status: 200, event: TypeSucceeded},
		{name: "an array of replies", script: `echo '[{"type":"t"}]' > $SIGNALBOX_REPLIES`, status: 200, event: TypeSucceeded},
		{name: "no end in time", script: "sleep 60 & sleep 61", change: func(j *resource.Job) { j.Timeout = resource.Duration(50 * time.Millisecond) }, status: 504, body: "not done within 50ms", event: TypeFailed},
		{name: "deaf to SIGTERM", script: "trap '' TERM; while :; do sleep 0.1; done", change: func(j *resource.Job) { j.Timeout = resource.Duration(50 * time.Millisecond) }, status: 504, body: "not done within 50ms", event: TypeFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			fn := shell(c.script)
			if c.change != nil {
				c.change(fn.Spec.Job)
			}
			r.use(fn)
			r.deliver(fn, aToken, "e1")
			end := r.awaitEnd(1)
			if end.Status != c.status || !strings.Contains(end.Body, c.body) {
				t.Errorf("reported %d %q: want %d %q", end.Status, end.Body, c.status, c.body)
			}
			r.await("two events", func() bool { return len(r.events) == 2 })
			if got := r.events[1].Event.Type; got != c.event {
				t.Errorf("told %s: want %s", got, c.event)
			}
		})
	}
}

func TestTheEndOfWhatAJobSaidFitsIntoItsReport(t *testing.T) {
	r := newRig(t, nil)
	fn := shell(`i=0; while [ $i -lt 500 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 1`)
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	if end := r.awaitEnd(1); len(end.Body) > maxReason || !strings.HasPrefix(end.Body, "exit code 1\n") || !strings.HasSuffix(end.Body, "line 499") || len(end.Body) < maxReason-20 {
		t.Errorf("%d bytes: %q", len(end.Body), end.Body)
	}
}

// gate is a script that waits for a file, and the function that makes it.
func gate(t *testing.T) (script string, open func()) {
	file := filepath.Join(t.TempDir(), "open")
	return "while [ ! -e " + file + " ]; do sleep 0.02; done; ", func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func TestADeliveryThatComesAgainFindsItsRun(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Lease = time.Second })
	script, open := gate(t)
	fn := shell("echo ran; " + script)
	r.use(fn)
	r.deliver(fn, attempt(1), "e1")
	r.printed("stdout", "ran")
	r.deliver(fn, attempt(2), "e1")
	r.await("an extension of the later attempt", func() bool {
		last := len(r.reports) - 1
		return last >= 0 && r.reports[last].Extend == time.Second && r.reports[last].Delivery == attempt(2)
	})
	open()
	if end := r.awaitEnd(1); end.Delivery != attempt(2) || end.Status != 200 {
		t.Errorf("reported %+v", end)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) != 1 {
		t.Errorf("it ran %d times", len(r.lines))
	}
}

func TestAnAttemptAfterAFailureIsAnotherRun(t *testing.T) {
	r := newRig(t, nil)
	fn := shell("exit 1")
	r.use(fn)
	for n := range 2 {
		r.deliver(fn, attempt(n+1), "e1")
		if end := r.awaitEnd(n + 1); end.Delivery != attempt(n+1) {
			t.Errorf("reported %+v", end)
		}
	}
	r.await("four events", func() bool { return len(r.events) == 4 })
	if r.events[1].Index == r.events[3].Index {
		t.Error("the events of both attempts are the same")
	}
}

func TestTheNextAttemptMayComeBeforeTheReportIsDone(t *testing.T) {
	r := newRig(t, nil)
	fn := shell("echo ran; [ $SIGNALBOX_ATTEMPT = 2 ]")
	answered := make(chan struct{})
	r.reported = func(c *event.Completion) {
		if c.Status == 500 {
			defer close(answered)
			r.deliver(fn, attempt(2), "e1")
		}
	}
	r.use(fn)
	r.deliver(fn, attempt(1), "e1")
	<-answered // its end may be reported before
	if end := r.awaitEnd(2); end.Status != 200 || end.Delivery != attempt(2) {
		t.Errorf("reported %+v", end)
	}
}

func TestWhatARunLeavesBehindEndsWithIt(t *testing.T) {
	r := newRig(t, nil)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	fn := shell("exec 3>" + fifo + "; echo up >&3; sleep 300 >&3 2>/dev/null & exit 0")
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	r.awaitEnd(1)
	if err := held.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(held); string(text) != "up\n" || err != nil {
		t.Errorf("read %q, %v: want the end of what was left behind", text, err)
	}
}

func TestNoMoreRunsThanThereMayBe(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Hold = 20 * time.Millisecond })
	script, open := gate(t)
	fn := shell(script)
	fn.Spec.Job.Parallelism = 2
	r.use(fn)
	token := aToken
	for i := range 2 {
		token.Position.Offset = int64(i)
		r.deliver(fn, token, fmt.Sprint(i))
	}
	token.Position.Offset = 2
	resp, body := r.call(t.Context(), fn, &token, "2")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, "2 runs") {
		t.Errorf("answered %d %q", resp.StatusCode, body)
	}
	if s, ok := r.host.Status(fn); !ok || s.Replicas != 2 || s.State != "ready" {
		t.Errorf("status %+v", s)
	}
	open()
	r.awaitEnd(2)
	for resp.StatusCode == http.StatusTooManyRequests { // there is room soon after the report
		resp, body = r.call(t.Context(), fn, &token, "2")
	}
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("answered %d %q", resp.StatusCode, body)
	}
	r.awaitEnd(3)
}

func TestWhatCannotBeStartedSpendsNoAttemptAndWhatNeverCanIsRefused(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Secrets = func(string) ([]byte, error) { return nil, errors.New("no such secret") } })
	missing := shell("")
	missing.Spec.Job.Command = []string{"/no/such/program"}
	secret := shell("")
	secret.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "token"}}
	for _, c := range []struct {
		name   string
		fn     *resource.Function
		status int
		body   string
	}{
		{"no program", missing, 503, "no such file"},
		{"no secret", secret, 503, "no such secret"},
		{"no field", shell("", "{data.nothing}"), 422, "no such field"},
		{"no attribute", shell("", "{dataschema}"), 422, "no such attribute"},
		{"no scalar", shell("", "{data.deep}"), 422, "an object or a list"},
		{"an option", shell("", "{data.deep.x}"), 422, "could pass for an option"},
		{"an option behind nothing", shell("", "{data.empty}{data.deep.x}"), 422, "could pass for an option"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.use(c.fn)
			resp, body := r.call(t.Context(), c.fn, &aToken, "e1")
			if resp.StatusCode != c.status || !strings.Contains(body, c.body) || (resp.Header.Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("answered %d %q: want %d %q", resp.StatusCode, body, c.status, c.body)
			}
			if s, _ := r.host.Status(c.fn); s.Replicas != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// leftovers are the directories of runs.
func (r *rig) leftovers() []string {
	all, err := filepath.Glob(filepath.Join(r.c.Dir, "*", "run-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestAStopGivesTheDeliveryBack(t *testing.T) {
	r := newRig(t, nil)
	fn := shell("echo up; sleep 60 & sleep 61")
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	r.printed("stdout", "up")
	r.stop()
	if end := r.awaitEnd(1); !end.PutOff || end.Status != 503 || end.Delivery != aToken {
		t.Errorf("reported %+v", end)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) != 1 {
		t.Errorf("%d events: want that of the start", len(r.events))
	}
	if entries, err := os.ReadDir(r.c.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestRunsOfAKilledProcessHaveFailed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.StopGrace = 300 * time.Millisecond }) // which is waited for
	r.mu.Lock()
	r.refuse = errors.New("the log is down")
	r.mu.Unlock()
	fn := shell("exit 0")
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	r.await("the end", func() bool { return len(r.events) == 2 })
	r.stop() // nothing was reported: as far as anyone can tell it was killed
	if left := r.leftovers(); len(left) != 1 {
		t.Fatalf("left %v", left)
	}
	r.mu.Lock()
	r.refuse = nil
	r.mu.Unlock()
	r.run()
	if end := r.awaitEnd(1); end.Status != 500 || end.Delivery != aToken || end.PutOff || !strings.Contains(end.Body, "Signalbox was killed") {
		t.Errorf("reported %+v", end)
	}
	r.stop()
	if entries, err := os.ReadDir(r.c.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestWhatAnotherProcessRunsIsLeftAlone(t *testing.T) {
	r := newRig(t, nil)
	script, open := gate(t)
	fn := shell(script)
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	other, err := newDesk(r.c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := other.orphans(); err != nil || len(all) != 0 {
		t.Errorf("found %v, %v", all, err)
	}
	open()
	r.awaitEnd(1)
}

func TestACallWaitsForTheEnd(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		script, body string
		status       int
	}{
		{`echo '{"type":"t","id":"1","source":"/s"}' > $SIGNALBOX_REPLIES`, `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, 200},
		{`echo '{"type":"t","id":"1","source":"/s"}{"type":"u","id":"2","source":"/s"}' > $SIGNALBOX_REPLIES`, `[{`, 200},
		{"true", "", 204},
		{"echo no >&2; exit 2", "exit code 2\nno", 500},
	} {
		fn := shell(c.script)
		r.use(fn)
		resp, body := r.call(t.Context(), fn, nil, "call")
		if resp.StatusCode != c.status || !strings.HasPrefix(body, c.body) || resp.Header.Get("Signalbox-Lease") != "" {
			t.Errorf("%s: answered %d %q", c.script, resp.StatusCode, body)
		}
	}
	if n := len(r.ends()); n != 0 {
		t.Errorf("%d reports of calls", n)
	}
}

func TestARunWhoseCallerGivesUpIsEnded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.StopGrace = time.Minute }) // the shell must get as far as to say it
	fn := shell("trap 'echo ended; exit 9' TERM; echo up; while :; do sleep 0.02; done")
	r.use(fn)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		r.printed("stdout", "up")
		giveUp()
	}()
	r.call(ctx, fn, nil, "call")
	r.printed("stdout", "ended")
	r.await("the event", func() bool { return len(r.events) == 2 && r.events[1].Event.Type == TypeFailed })
}

func TestSecretsAreGivenAndNotPrinted(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Secrets = func(string) ([]byte, error) { return []byte("hunter22"), nil }
	})
	fn := shell(`[ "$TOKEN" = hunter22 ] && [ "$(cat $SIGNALBOX_MOUNTS/etc/t)" = hunter22 ] && echo same
echo "it is $TOKEN" >&2; exit 1`)
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "t"}}
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/t", Secret: "t"}}
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	if end := r.awaitEnd(1); end.Body != "exit code 1\nit is ***" {
		t.Errorf("reported %q", end.Body)
	}
	r.printed("stdout", "same")
	r.printed("stderr", "it is ***")
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, _ := json.Marshal(r.events); bytes.Contains(b, []byte("hunter")) {
		t.Errorf("told: %s", b)
	}
}

func TestReportsAreRepeatedUntilTheyAreInTheLog(t *testing.T) {
	r := newRig(t, nil)
	r.mu.Lock()
	r.refuse = errors.New("the log is down")
	r.mu.Unlock()
	fn := shell("true")
	r.use(fn)
	r.deliver(fn, aToken, "e1")
	r.await("the end", func() bool { return len(r.events) == 2 })
	r.mu.Lock()
	r.refuse = nil
	r.mu.Unlock()
	if end := r.awaitEnd(1); end.Status != 200 {
		t.Errorf("reported %+v", end)
	}
	r.stop()
	if left := r.leftovers(); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}
