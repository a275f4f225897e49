package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/resource"
)

// clusterJobs runs jobs as Kubernetes Jobs. They go on when Signalbox ends, and are
// followed by the next process on the same directory at once, by any other of the
// installation when nobody has followed them for half a lease.
type clusterJobs struct {
	c    *Config
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	// wake says that left may find something.
	wake chan<- struct{}

	mu sync.Mutex
	// seen are the Jobs of this installation in the namespaces that are watched.
	seen    map[objectName]*cluster.Object
	watched map[string]bool
	// mine are those that this process follows, or has followed to their end.
	mine map[objectName]bool
	// changed is closed and replaced when one of seen is another.
	changed chan struct{}
}

type objectName struct{ namespace, name string }

func newClusterJobs(c *Config, wake chan<- struct{}) *clusterJobs {
	p := &clusterJobs{c: c, wake: wake, seen: map[objectName]*cluster.Object{}, watched: map[string]bool{}, mine: map[objectName]bool{}, changed: make(chan struct{})}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// namespace is where the Jobs of fn run.
func (p *clusterJobs) namespace(fn *resource.Function) (string, error) {
	if fn.Spec.Container != nil && fn.Spec.Container.Namespace != "" {
		return fn.Spec.Container.Namespace, nil
	}
	return p.c.Cluster.Namespace()
}

// reconcile watches the namespaces of jobs.
func (p *clusterJobs) reconcile(fns []*resource.Function) {
	for _, fn := range fns {
		if namespace, err := p.namespace(fn); err == nil {
			p.watch(namespace)
		}
	}
}

func (p *clusterJobs) ready(fn *resource.Function) error {
	namespace, err := p.namespace(fn)
	if err == nil {
		p.watch(namespace)
	}
	return err
}

func (p *clusterJobs) close() {
	p.end()
	p.work.Wait()
}

// adopt finds nothing: there are no directories of these runs.
func (p *clusterJobs) adopt(context.Context, *orphan) (task, error) { return nil, nil }

func (p *clusterJobs) start(ctx context.Context, fn *resource.Function, r *record, in *input) (task, error) {
	namespace, err := p.namespace(fn)
	if err != nil {
		return nil, err
	}
	r.Namespace, r.KeepFor = namespace, fn.Spec.Job.WithDefaults().KeepFor.D()
	b := &jobDesign{c: p.c, fn: fn, container: fn.Spec.Container.WithDefaults(), record: r, input: in, name: r.name()}
	object, err := p.running(ctx, r)
	if object != nil {
		if kept := recordOf(object); kept != nil {
			*r = *kept // it is that run
		}
	}
	if err == nil && object == nil {
		var wanted *cluster.Object
		if wanted, err = b.job(); err == nil {
			object, err = p.c.Cluster.Apply(ctx, cluster.Jobs(), wanted, true)
		}
	}
	if err == nil {
		// Its pod waits for it. It goes with the Job.
		b.name = object.GetName()
		_, err = p.c.Cluster.Apply(ctx, cluster.Secrets(), b.secret(object), true)
	}
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return p.follow(object, r), nil
}

// running finds a Job of the delivery that goes on, or has ended at the same attempt.
func (p *clusterJobs) running(ctx context.Context, r *record) (*cluster.Object, error) {
	all, err := p.c.Cluster.List(ctx, cluster.Jobs(), r.Namespace, labelKey+"="+r.Key, 0)
	if err != nil {
		return nil, err
	}
	for i := range all {
		o := &all[i]
		if o.GetAnnotations()[noteReported] != "" || o.GetDeletionTimestamp() != nil || finished(o) != "" && o.GetAnnotations()[labelRun] != r.Run {
			continue // of an attempt that is over
		}
		return o, nil
	}
	return nil, nil
}

// follow makes a Job this process's.
func (p *clusterJobs) follow(o *cluster.Object, r *record) *clusterJob {
	at := objectName{o.GetNamespace(), o.GetName()}
	p.mu.Lock()
	p.mine[at] = true
	if p.seen[at] == nil {
		p.seen[at] = o
	}
	p.mu.Unlock()
	p.watch(at.namespace)
	return &clusterJob{places: p, at: at, record: r}
}

// left finds Jobs whose Signalbox is gone.
func (p *clusterJobs) left(context.Context) (all []found, err error) {
	for _, o := range p.forsaken() {
		if r := recordOf(o); r != nil { // else it was not made by us
			all = append(all, found{record: r, task: p.follow(o, r)})
		}
	}
	return all, nil
}

// recordOf is the record of a Job's run; nil where there is none.
func recordOf(o *cluster.Object) *record {
	r := &record{}
	if json.Unmarshal([]byte(o.GetAnnotations()[noteRecord]), r) != nil || r.Key == "" {
		return nil
	}
	return r
}

func (p *clusterJobs) forsaken() (all []*cluster.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, o := range p.seen {
		notes := o.GetAnnotations()
		if !p.mine[at] && notes[noteReported] == "" && o.GetDeletionTimestamp() == nil && p.abandoned(notes[noteFollowed]) {
			all = append(all, o)
		}
	}
	return all
}

// abandoned reads who followed a Job last, and when: this process's place, or
// long ago. Nobody yet is the process that makes it.
func (p *clusterJobs) abandoned(followed string) bool {
	instance, at, _ := strings.Cut(followed, " ")
	then, err := time.Parse(time.RFC3339, at)
	return err == nil && (instance == p.c.Instance || p.c.Now().Sub(then) > p.c.Lease/2)
}

// clusterJob is a run by a Kubernetes Job.
type clusterJob struct {
	places *clusterJobs
	at     objectName
	record *record
	stops  sync.Once
}

func (t *clusterJob) wait(ctx context.Context) (ending, error) {
	c := t.places.c
	watch := newPrinted(c, t.record, t.at.name, t.record.secretValues(c.Secrets))
	watch.merged = true
	reading, enough := context.WithCancel(context.WithoutCancel(ctx))
	read := make(chan struct{})
	go func() {
		defer close(read)
		t.read(reading, watch)
	}()
	o, err := t.done(ctx)
	if err != nil || o == nil || !waitFor(read, c.StopGrace) {
		enough()
	}
	<-read
	enough()
	tail := watch.flush()
	switch {
	case err != nil:
		return ending{}, errDetached
	case o == nil:
		return ending{failed: true, reason: "the Job was deleted", tail: tail}, nil
	}
	return t.ending(ctx, o, tail)
}

// done waits until the Job has ended, and returns it; nil if it is gone.
func (t *clusterJob) done(ctx context.Context) (*cluster.Object, error) {
	p := t.places
	for {
		p.mu.Lock()
		o, changed := p.seen[t.at], p.changed
		p.mu.Unlock()
		if o != nil && finished(o) != "" {
			return o, nil
		}
		if o == nil { // a list may be older than the Job
			got, err := p.c.Cluster.Get(ctx, cluster.Jobs(), t.at.namespace, t.at.name)
			switch {
			case cluster.NotFound(err):
				return nil, nil
			case err != nil && ctx.Err() == nil:
				p.c.Log.Warn("a Job cannot be looked at", "function", t.record.Function, "run", t.record.Run, "error", err)
				rest(ctx, enginePause)
			case err == nil:
				p.set(got)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ending reads from the pod how the run ended.
func (t *clusterJob) ending(ctx context.Context, o *cluster.Object, tail string) (ending, error) {
	pod, err := t.pod(ctx)
	for err != nil {
		if ctx.Err() != nil {
			return ending{}, errDetached
		}
		t.places.c.Log.Warn("the pod of a Job cannot be looked at", "function", t.record.Function, "run", t.record.Run, "error", err)
		rest(ctx, enginePause)
		pod, err = t.pod(ctx)
	}
	why, message := condition(o, finished(o))
	state := containerState(pod)
	end := ending{code: state.ExitCode, tail: tail, late: why == "DeadlineExceeded", at: finishedAt(o)}
	switch {
	case finished(o) == "Complete" && state.Known:
		end.replies = []byte(state.Message)
		if len(state.Message) >= maxTermination {
			end.repliesErr = fmt.Errorf("the replies have more than %d bytes, which is what Kubernetes keeps", maxTermination-1)
		}
	case finished(o) == "Complete":
		end.repliesErr = errors.New("its pod is gone, and with it what it replied")
	case state.Known && state.ExitCode != 0:
		if state.Reason != "Error" {
			end.reason = state.Reason
		}
	default:
		end.failed, end.reason = true, strings.Join(slices.DeleteFunc([]string{why, message, state.Waiting}, func(s string) bool { return s == "" }), ": ")
	}
	return end, nil
}

// pod is the Job's only one; nil is none.
func (t *clusterJob) pod(ctx context.Context) (*cluster.Object, error) {
	pods, err := t.places.c.Cluster.List(ctx, cluster.Pods(), t.at.namespace, "job-name="+t.at.name, 0)
	if err != nil || len(pods) == 0 {
		return nil, err
	}
	return &pods[0], nil
}

// podPause is the time between looks at a pod that has not begun.
const podPause = 500 * time.Millisecond

// read passes on what the container prints, as soon as it has begun. Kubernetes
// does not tell stderr from stdout.
func (t *clusterJob) read(ctx context.Context, watch *printed) {
	c := t.places.c
	for ; ctx.Err() == nil; rest(ctx, podPause) {
		pod, err := t.pod(ctx)
		if err != nil || pod == nil || phase(pod) == "Pending" {
			if t.over() {
				return
			}
			continue
		}
		stream, err := c.Cluster.Logs(ctx, t.at.namespace, pod.GetName(), cluster.LogOptions{Container: containerName, Follow: true})
		if err != nil {
			c.Log.Debug("the output of a pod cannot be read", "pod", pod.GetName(), "error", err)
			return
		}
		_, _ = io.Copy(watch.out, stream)
		_ = stream.Close()
		return
	}
}

// over reports whether the Job has ended or is gone.
func (t *clusterJob) over() bool {
	t.places.mu.Lock()
	defer t.places.mu.Unlock()
	o := t.places.seen[t.at]
	return o == nil || finished(o) != ""
}

func (t *clusterJob) stop() {
	t.stops.Do(func() {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
			defer cancel()
			if err := t.places.c.Cluster.Delete(ctx, cluster.Jobs(), t.at.namespace, t.at.name, ""); err != nil {
				t.places.c.Log.Warn("a Job cannot be deleted", "function", t.record.Function, "run", t.record.Run, "error", err)
			}
		}()
	})
}

// slack: the cluster itself ends a run whose time is up.
func (t *clusterJob) slack() time.Duration { return 30 * time.Second }

func (t *clusterJob) follows(ctx context.Context) {
	note := map[string]string{noteFollowed: t.places.c.Instance + " " + t.places.c.Now().UTC().Format(time.RFC3339)}
	if _, err := t.places.c.Cluster.Annotate(ctx, cluster.Jobs(), t.at.namespace, t.at.name, note); err != nil && ctx.Err() == nil && !cluster.NotFound(err) {
		t.places.c.Log.Warn("a Job cannot be marked as followed", "function", t.record.Function, "run", t.record.Run, "error", err)
	}
}

// forget leaves the Job for a while to be looked at.
func (t *clusterJob) forget(ctx context.Context) {
	keep := int64(max(1, t.record.KeepFor/time.Second))
	patch := map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{noteReported: t.places.c.Now().UTC().Format(time.RFC3339)}},
		"spec":     map[string]any{"ttlSecondsAfterFinished": keep},
	}
	_, err := t.places.c.Cluster.Merge(ctx, cluster.Jobs(), t.at.namespace, t.at.name, patch)
	if err != nil && !cluster.NotFound(err) {
		t.places.c.Log.Warn("a Job that has ended cannot be marked as reported", "function", t.record.Function, "run", t.record.Run, "error", err)
	}
}

// watch looks at the Jobs of a namespace from now on.
func (p *clusterJobs) watch(namespace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watched[namespace] || p.life.Err() != nil {
		return
	}
	p.watched[namespace] = true
	p.work.Go(func() {
		p.c.Cluster.Watch(p.life, cluster.Jobs(), namespace, labelInstallation+"="+p.c.Installation+","+labelJobs+"="+jobsOfFunctions, &jobSink{p, namespace})
	})
}

// jobSink implements cluster.Sink for a namespace.
type jobSink struct {
	p         *clusterJobs
	namespace string
}

func (p *clusterJobs) set(o *cluster.Object) {
	p.change(func() { p.seen[objectName{o.GetNamespace(), o.GetName()}] = o })
}

func (p *clusterJobs) change(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Replace implements cluster.Sink.
func (s *jobSink) Replace(all []cluster.Object) {
	s.p.change(func() {
		maps.DeleteFunc(s.p.seen, func(at objectName, _ *cluster.Object) bool { return at.namespace == s.namespace })
		for i := range all {
			s.p.seen[objectName{s.namespace, all[i].GetName()}] = &all[i]
		}
	})
	select {
	case s.p.wake <- struct{}{}:
	default:
	}
}

// Set implements cluster.Sink.
func (s *jobSink) Set(o *cluster.Object) { s.p.set(o) }

// Delete implements cluster.Sink.
func (s *jobSink) Delete(o *cluster.Object) {
	at := objectName{s.namespace, o.GetName()}
	s.p.change(func() { delete(s.p.seen, at); delete(s.p.mine, at) })
}

// Failed implements cluster.Sink.
func (s *jobSink) Failed(err error) {
	if err != nil {
		s.p.c.Log.Warn("Jobs cannot be watched", "namespace", s.namespace, "error", err)
	}
}
