package dispatchertest

import (
	"context"
	"sync"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// ParkedHandler is what a Parking delivers to.
type ParkedHandler interface {
	HandleParked(ctx context.Context, function string, recs []event.Record, settle func(offset int64))
}

// stream names one partition of a parked topic.
type stream struct {
	function  string
	partition int32
}

// Parking is parked topics in memory. Deliver hands over what is parked, again
// after each time of owning; what was settled is not handed over again.
type Parking struct {
	mu      sync.Mutex
	logs    map[stream][]event.Message
	settled map[stream]map[int64]bool
	handed  map[stream]int
	changed chan struct{}
	// Fail decides, when set, whether a Park fails.
	Fail func() bool
}

// Park implements dispatcher.Parking.
func (k *Parking) Park(function string, partition int32, p *event.Parked, traceparent, _ string, done func(error)) {
	if k.Fail != nil && k.Fail() {
		go done(ErrAway)
		return
	}
	m := p.Message()
	m.Headers = append(m.Headers, event.Header{Key: "traceparent", Value: []byte(traceparent)})
	k.Append(function, partition, m)
	go done(nil)
}

// Append puts a record into a parked topic, as others than the dispatcher do.
func (k *Parking) Append(function string, partition int32, m event.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.logs == nil {
		k.logs, k.settled, k.handed = map[stream][]event.Message{}, map[stream]map[int64]bool{}, map[stream]int{}
	}
	s := stream{function, partition}
	k.logs[s] = append(k.logs[s], m)
	k.tell()
}

// Report implements dispatcher.Parking.
func (k *Parking) Report(partition int32, c *event.Completion) {
	if k.Fail == nil || !k.Fail() {
		k.Append(event.LeaseStream(c.Delivery.Function), partition, c.Message())
	}
}

// Behind implements dispatcher.Parking.
func (k *Parking) Behind(function string, partition int32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := stream{function, partition}
	return k.handed[s] < len(k.logs[s])
}

func (k *Parking) tell() {
	if k.changed != nil {
		close(k.changed)
		k.changed = nil
	}
}

// wait returns a channel that is closed at the next change; k.mu is held.
func (k *Parking) wait() <-chan struct{} {
	if k.changed == nil {
		k.changed = make(chan struct{})
	}
	return k.changed
}

// Own begins a time of owning a partition: nothing was handed over in it yet.
func (k *Parking) Own(partition int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for s := range k.handed {
		if s.partition == partition {
			k.handed[s] = 0
		}
	}
}

// Deliver serves an owned partition: it hands everything parked there that is not
// settled over to h, one by one and a goroutine for each function, until ctx ends.
func (k *Parking) Deliver(ctx context.Context, partition int32, h ParkedHandler) {
	var streams sync.WaitGroup
	defer streams.Wait()
	known := map[stream]bool{}
	for ctx.Err() == nil {
		k.mu.Lock()
		for s := range k.logs {
			if s.partition == partition && !known[s] {
				known[s] = true
				streams.Go(func() { k.deliver(ctx, s, h) })
			}
		}
		wait := k.wait()
		k.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

func (k *Parking) deliver(ctx context.Context, s stream, h ParkedHandler) {
	for next := 0; ctx.Err() == nil; {
		k.mu.Lock()
		if next == len(k.logs[s]) {
			wait := k.wait()
			k.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
			}
			continue
		}
		m, done := k.logs[s][next], k.settled[s][int64(next)]
		k.mu.Unlock()
		if !done {
			rec := event.Record{Position: event.Position{Partition: s.partition, Offset: int64(next)}, Message: m}
			h.HandleParked(ctx, s.function, []event.Record{rec}, func(o int64) { k.settle(ctx, s, o) })
		}
		next++
		k.mu.Lock()
		if ctx.Err() == nil { // else it is the next owner's
			k.handed[s] = next
		}
		k.mu.Unlock()
	}
}

func (k *Parking) settle(ctx context.Context, s stream, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if k.settled[s] == nil {
		k.settled[s] = map[int64]bool{}
	}
	k.settled[s][offset] = true
	k.tell()
}

// Open returns what is parked and not settled, in order.
func (k *Parking) Open(function string, partition int32) []event.Parked {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := stream{function, partition}
	var open []event.Parked
	for i, m := range k.logs[s] {
		if p, err := event.ParseParked(m); err == nil && !k.settled[s][int64(i)] {
			open = append(open, p)
		}
	}
	return open
}

// Unsettled is how many records of all parked topics at the partition are not settled.
func (k *Parking) Unsettled(partition int32) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for s, log := range k.logs {
		if s.partition == partition {
			n += len(log) - len(k.settled[s])
		}
	}
	return n
}

// Len is how many deliveries were ever parked for the function at the partition.
func (k *Parking) Len(function string, partition int32) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.logs[stream{function, partition}])
}

// Targets are dispatcher.Targets that know the links they were told of, or
// those of a set. The zero value is ready.
type Targets struct {
	mu  sync.Mutex
	of  map[string]resource.Target
	set resource.Set
}

// Use takes over a set, made by resource.NewSet.
func (t *Targets) Use(set resource.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of, t.set = map[string]resource.Target{}, set
	for _, l := range set.Links {
		t.of[l.Metadata.Name] = resource.Target{Link: l}
	}
}

// Set tells of a link, or of a new version of it.
func (t *Targets) Set(target resource.Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]resource.Target{}
	}
	t.of[target.Link.Metadata.Name] = target
}

// Target implements dispatcher.Targets.
func (t *Targets) Target(p *event.Parked) resource.Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.of[p.Link]
	if ok && found.Function == nil {
		found.Function = t.pick(found.Link, p.Version, string(p.Key), p.Event)
	}
	if ok && found.Function != nil {
		return found
	}
	return resource.Target{
		Link:     &resource.Link{Metadata: resource.Metadata{Name: p.Link}, Spec: resource.LinkSpec{Function: p.Function}},
		Function: &resource.Function{Metadata: resource.Metadata{Name: p.Function}, Spec: resource.FunctionSpec{Version: p.Version}},
	}
}

// pick finds the version of the link's function; t.mu is held.
func (t *Targets) pick(l *resource.Link, version, key string, ev *event.Event) *resource.Function {
	name, pinned := l.Spec.FunctionName()
	if version == "" {
		version = pinned
	}
	if r := t.set.Route(name); r != nil && version == "" {
		return r.Pick(key, ev.Source, ev.ID)
	}
	return t.set.Function(name, version)
}

// Again implements dispatcher.Targets.
func (t *Targets) Again(target resource.Target, rec *event.Record, revision uint64) resource.Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.of[target.Link.Metadata.Name].Link; l != nil && t.set.Revision > revision {
		if fn := t.pick(l, "", string(rec.Message.Key), rec.Event); fn != nil && fn.Metadata.Name == target.Function.Metadata.Name {
			target.Function = fn
		}
	}
	return target
}
