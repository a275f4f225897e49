package scripts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// run is one event on its way through the scripts.
type run struct {
	pool  *pool
	event *event.Event
	// id is that of the run's record; "" where the caller says none.
	id                      string
	link                    string
	attempt                 int
	replay                  bool
	traceParent, traceState string
	// sent are the events that were sent.
	sent []event.ReplyRef
}

// outcome is how a run ended, as the answer to the request.
type outcome struct {
	status int
	body   string
	// after is for Retry-After; 0 is none.
	after time.Duration
}

// do makes the run in a worker of the pool.
func (r *run) do(ctx context.Context) outcome {
	w, err := r.take(ctx)
	if err != nil {
		return notRun(ctx, err)
	}
	fit := false
	defer func() { r.pool.put(w, fit) }() // also when something panics: its place must not be lost
	var end outcome
	w.begin(r.place())
	if end, fit = r.in(ctx, w); fit {
		w.finish()
	}
	return end
}

// take gets a worker. Who waits for one of a function that changes meanwhile gets
// one of the changed function.
func (r *run) take(ctx context.Context) (*worker, error) {
	for {
		w, err := r.pool.take(ctx)
		if !errors.Is(err, errStopped) {
			return w, err
		}
		next := r.pool.host.pool(r.pool.name())
		if next == nil || next == r.pool {
			return nil, err
		}
		r.pool = next
	}
}

// place is where what the worker writes belongs.
func (r *run) place() *place {
	at := &place{run: r.id}
	if tp := r.traceParent; len(tp) >= 55 {
		at.trace, at.span = tp[3:35], tp[36:52]
	}
	return at
}

// notRun is the answer when there is no worker: no attempt is spent.
func notRun(ctx context.Context, err error) outcome {
	if ctx.Err() != nil {
		return outcome{status: http.StatusServiceUnavailable, body: "all workers were busy"}
	}
	return outcome{status: http.StatusServiceUnavailable, body: err.Error(), after: time.Second}
}

// in makes the run in w; fit is whether w can make another one.
func (r *run) in(ctx context.Context, w *worker) (end outcome, fit bool) {
	fn := r.pool.fn.Load()
	err := writeFrame(w.in, &toWorker{
		Do: "run", Event: r.event.AppendJSON(nil), Function: fn.Metadata.Name, Version: fn.Spec.Version,
		Run: r.id, Link: r.link, Attempt: r.attempt, Replay: r.replay, Config: fn.Spec.Config,
	})
	for err == nil {
		var m fromWorker
		if m, err = w.read(ctx); err != nil {
			break
		}
		switch m.Is {
		case "done":
			return outcome{status: http.StatusNoContent}, !m.Ended
		case "failed":
			end := failed(&m)
			end.body = w.mask.String(end.body)
			return end, !m.Ended && !strings.HasPrefix(m.Error, "MemoryError")
		case "log":
			w.catchUp()
			line := w.log(event.StreamLog, m.Message)
			line.Level = m.Level
			r.pool.output(line)
		default:
			err = writeFrame(w.in, r.answer(ctx, &m))
		}
	}
	if ctx.Err() != nil {
		return outcome{status: http.StatusGatewayTimeout, body: "the caller gave up; the worker was ended"}, false
	}
	return outcome{status: http.StatusInternalServerError, body: w.whyAt(r.pool.spec.MemoryMB, err).Error()}, false
}

// failed is the answer for a run that raised something.
func failed(m *fromWorker) outcome {
	text := m.Trace
	if text == "" {
		text = m.Error
	}
	switch {
	case m.Permanent:
		return outcome{status: http.StatusUnprocessableEntity, body: text}
	case strings.HasPrefix(m.Error, "Retry:"):
		o := outcome{status: http.StatusServiceUnavailable, body: m.Error}
		if m.After != nil && *m.After > 0 {
			o.after = time.Duration(min(*m.After, 86400) * float64(time.Second))
		}
		return o
	}
	return outcome{status: http.StatusInternalServerError, body: text}
}

// answer answers a question of the script.
func (r *run) answer(ctx context.Context, m *fromWorker) *toWorker {
	a := &toWorker{Do: "answer"}
	var err error
	switch m.Is {
	case "send":
		a.ID, err = r.send(ctx, m.Event)
	case "state":
		a.Value, err = r.state(ctx, m)
	default:
		err = fmt.Errorf("%q is not known", m.Is)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// send appends an event. Its attributes are the script's but for the id, and
// the source where it says none.
func (r *run) send(ctx context.Context, raw json.RawMessage) (string, error) {
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal(raw, &attributes); err != nil {
		return "", err
	}
	attributes["id"] = json.RawMessage(`"0"`) // replaced by the one that is derived
	if attributes["source"] == nil {
		attributes["source"], _ = json.Marshal("/functions/" + r.pool.fn.Load().Metadata.Name)
	}
	whole, err := json.Marshal(attributes)
	if err != nil {
		return "", err
	}
	ev, err := event.ParseJSON(whole)
	if err != nil {
		return "", fmt.Errorf("events.send: %w", err)
	}
	ev.ID = ""
	ref, err := r.pool.host.c.Sender.Send(ctx, &Sent{
		Cause: r.event, Event: ev, Function: r.pool.fn.Load().Metadata.Name, Version: r.pool.fn.Load().Spec.Version, Link: r.link, Index: len(r.sent),
		TraceParent: r.traceParent, TraceState: r.traceState,
	})
	if err != nil {
		return "", err
	}
	r.sent = append(r.sent, ref)
	return ref.ID, nil
}

// sentHeader names the events that a run has sent, for its run record; what is
// too much for a header is left out.
func (r *run) sentHeader() string {
	const most = 20
	b, err := json.Marshal(r.sent[:min(len(r.sent), most)])
	if err != nil || len(r.sent) == 0 || len(b) > 4<<10 {
		return ""
	}
	return string(b)
}

// maxKey bounds the keys of state, in bytes.
const maxKey = 512

func (r *run) state(ctx context.Context, m *fromWorker) (*string, error) {
	s, fn := r.pool.host.c.State, r.pool.fn.Load().Metadata.Name
	switch {
	case s == nil:
		return nil, errors.New("state: there is no place to keep it")
	case m.Key == "" || len(m.Key) > maxKey:
		return nil, fmt.Errorf("state: a key of %d bytes: want 1 to %d", len(m.Key), maxKey)
	case m.Op == "get":
		return s.Get(ctx, fn, m.Key)
	case m.Op == "set" && m.Value != nil:
		return nil, s.Set(ctx, fn, m.Key, *m.Value)
	case m.Op == "delete":
		return nil, s.Delete(ctx, fn, m.Key)
	}
	return nil, fmt.Errorf("state: %q is not known", m.Op)
}

// retryAfter is the header's value, whole seconds and at least one.
func (o *outcome) retryAfter() string {
	return strconv.Itoa(max(1, int((o.after+time.Second-1)/time.Second)))
}
