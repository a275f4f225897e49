package dispatcher_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// history is what a function was called for successfully, per key, and
// whether the first successes came in the order of publication.
type history struct {
	mu      sync.Mutex
	last    map[string]int
	seen    map[string]bool
	repeats int
	faults  []string
}

func (h *history) success(id string) {
	key, number, _ := strings.Cut(id, ".")
	n, _ := strconv.Atoi(number)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[id] {
		h.repeats++
		return
	}
	h.seen[id] = true
	if n != h.last[key]+1 {
		h.faults = append(h.faults, fmt.Sprintf("%s after %s.%d", id, key, h.last[key]))
	}
	h.last[key] = n
}

// TestOrderByKeyHoldsWhateverHappens publishes events of many keys, of which one
// in a hundred fails several times, to an ordered link, while the partition is
// handed over and lost: per key the first success of each event comes in the
// order of publication, and none is missing.
func TestOrderByKeyHoldsWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			keys, events := 10_000, 20_000
			if seed > 0 {
				keys, events = 100, 3_000 // hotter ones
			}
			if seed > 2 {
				keys, events = 3, 1_000 // more wait behind one than are kept in memory
			}
			orderedChaos(t, seed, keys, events)
		})
	}
}

func orderedChaos(t *testing.T, seed uint64, keys, events int) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	hist := &history{last: map[string]int{}, seen: map[string]bool{}}
	tries := map[string]int{}
	h := func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Ce-Id")
		sum := fnv.New32a()
		sum.Write([]byte(id))
		mu.Lock()
		tries[id]++
		n := tries[id]
		mu.Unlock()
		time.Sleep(time.Duration(roll(20)) * time.Millisecond)
		if sum.Sum32()%100 == 0 && n < 4 {
			w.WriteHeader([]int{500, 503, 429, 404}[roll(4)])
			return
		}
		hist.success(id)
	}
	d := resource.Delivery{Backoff: resource.Backoff{Initial: resource.Duration(500 * time.Millisecond), Max: resource.Duration(20 * time.Second)}}
	inYard(t, orderedTarget(d), map[string]http.HandlerFunc{"fn": h}, func(b *bed) {
		b.cfg.QueueSize, b.cfg.BreakerMax = 64, 5*time.Second
		b.parts.Deduper = anew{}
		b.log.FailDead = func() bool { return roll(4) == 0 }
	}, func(t *testing.T, y *yard) {
		y.parking.Fail = func() bool { return false }
		recs := publish(keys, events, roll)
		settled := map[int64]bool{}
		for round := 0; len(settled) < events && round < 1000; round++ {
			y.deliverSome(recs, settled, &mu, roll)
		}
		time.Sleep(10 * time.Minute)
		hist.mu.Lock()
		defer hist.mu.Unlock()
		if len(hist.faults) > 0 || len(hist.seen) != events {
			t.Errorf("%d of %d events succeeded, %d out of order: %.10q", len(hist.seen), events, len(hist.faults), hist.faults)
		}
		if open := y.parking.Open("fn", 3); len(open) > 0 || len(y.log.Dead()) > 0 {
			t.Errorf("%d still parked, %d dead letters", len(open), len(y.log.Dead()))
		}
		t.Logf("%d events, %d parked, %d repeated", events, y.parking.Len("fn", 3), hist.repeats)
	})
}

func publish(keys, events int, roll func(int) int) []event.Record {
	counts := map[int]int{}
	evs := make([]*event.Event, events)
	for i := range evs {
		key := roll(keys)
		counts[key]++
		evs[i] = newEvent(fmt.Sprintf("k%d.%d", key, counts[key]))
		evs[i].Subject = fmt.Sprint("k", key)
	}
	recs := records(0, evs...)
	for i := range recs {
		recs[i].Message = evs[i].Message()
	}
	return recs
}

// deliverSome owns the partition for a while: it hands over what is not
// settled, in order, until it is released or lost.
func (y *yard) deliverSome(recs []event.Record, settled map[int64]bool, mu *sync.Mutex, roll func(int) int) {
	part := y.part
	settle := func(o int64) {
		if part.Err() == nil {
			mu.Lock()
			settled[o] = true
			mu.Unlock()
		}
	}
	stop := time.Now().Add(time.Duration(roll(8000)) * time.Millisecond)
	var batch []event.Record
	flush := func() {
		if len(batch) > 0 {
			y.Handle(part, batch, settle)
			batch = nil
		}
	}
	for i := range recs {
		mu.Lock()
		done := settled[recs[i].Offset]
		mu.Unlock()
		if done {
			continue
		}
		rec := recs[i]
		rec.Timestamp = time.Now()
		if batch = append(batch, rec); len(batch) == 256 {
			flush()
			time.Sleep(10 * time.Millisecond)
		}
		if !time.Now().Before(stop) {
			break
		}
	}
	flush()
	if wait := time.Until(stop); wait > 0 {
		time.Sleep(wait)
	}
	if roll(3) > 0 {
		y.Release(context.Background(), 3)
	}
	y.lose()
	y.served.Wait()
	y.part, y.lose = context.WithCancel(context.Background())
	y.own()
}
