package ledgertest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/ledger"
)

// rateTime is for how long a rate is measured.
const rateTime = 5 * time.Second

func testRates(t *testing.T, s suite) {
	t.Run("no limit", func(t *testing.T) {
		l := open(t, s.fresh(t), nil)
		for _, rate := range []float64{0, -1, math.Inf(1), math.NaN()} {
			if n, wait, err := l.TakeRate(t.Context(), "f", rate, 500); n != 500 || wait != 0 || err != nil {
				t.Errorf("rate %v: %d, %s, %v", rate, n, wait, err)
			}
		}
	})
	t.Run("nothing wanted", func(t *testing.T) {
		l := open(t, s.fresh(t), nil)
		for _, want := range []int{0, -1} {
			if n, wait, err := l.TakeRate(t.Context(), "f", 1, want); n != 0 || wait != 0 || err != nil {
				t.Errorf("%d: %d, %s, %v", want, n, wait, err)
			}
		}
	})
	t.Run("names do not share", testRateNames(s))
	t.Run("a bucket goes when it is not used", testRateExpiry(s))
	t.Run("is held by three replicas", func(t *testing.T) {
		var wg sync.WaitGroup
		for name, c := range map[string]rateCase{
			"3 a second":      {rates: []float64{3}},
			"12 a second":     {rates: []float64{12}},
			"150 a second":    {rates: []float64{150}},
			"4000 a second":   {rates: []float64{4000}},
			"raised halfway":  {rates: []float64{100, 400}},
			"lowered halfway": {rates: []float64{1000, 50}},
		} {
			// At once, and not as many as there are processors: they wait, they do not work.
			wg.Go(func() { t.Run(name, func(t *testing.T) { c.run(t, s) }) })
		}
		wg.Wait()
	})
}

func testRateNames(s suite) func(*testing.T) {
	return func(t *testing.T) {
		l := open(t, s.fresh(t), nil)
		for _, name := range []string{"a", "b", "a}b{", "{}"} {
			const rate = 0.01 // the next permit comes after 100 s, also on a busy machine
			n, wait, err := l.TakeRate(t.Context(), name, rate, 10)
			if n != 1 || wait <= 0 || wait > 2*time.Second || err != nil {
				t.Errorf("%q: %d, %s, %v; want one, and a wait", name, n, wait, err)
			}
			if n, _, err := l.TakeRate(t.Context(), name, rate, 10); n != 0 || err != nil {
				t.Errorf("%q at once again: %d, %v", name, n, err)
			}
		}
	}
}

func testRateExpiry(s suite) func(*testing.T) {
	return func(t *testing.T) {
		cfg := s.fresh(t)
		if _, _, err := open(t, cfg, nil).TakeRate(t.Context(), "f", 0.01, 1); err != nil {
			t.Fatal(err)
		}
		found := 0
		err := eachMaster(t.Context(), client(t, cfg), func(ctx context.Context, n redis.Cmdable) error {
			ttl, err := n.PTTL(ctx, cfg.KeyPrefix+"rate:f").Result()
			if err == nil && ttl > 0 {
				found++
				if ttl < 100*time.Second || ttl > 110*time.Second {
					t.Errorf("lives for %s, want a little more than the next permit takes", ttl)
				}
			}
			return ignoreMoved(err)
		})
		if err != nil || found != 1 {
			t.Errorf("%d buckets with a time to live, %v", found, err)
		}
	}
}

// ignoreMoved drops the answer of a cluster's node that does not have the key.
func ignoreMoved(err error) error {
	if redis.HasErrorPrefix(err, "MOVED") {
		return nil
	}
	return err
}

// rateCase is a rate, or one for each equal part of the time.
type rateCase struct{ rates []float64 }

func (c rateCase) run(t *testing.T, s suite) {
	const replicas = 3
	cfg := s.fresh(t)
	cfg.Timeout = patience // how fast the machine is is another matter
	var ledgers [replicas]*ledger.Ledger
	for i := range replicas {
		ledgers[i] = open(t, cfg, nil)
	}
	var taken [replicas]int64
	var asked [replicas][]ask
	begin := time.Now()
	var wg sync.WaitGroup
	for i, l := range ledgers {
		wg.Go(func() { taken[i], asked[i] = c.take(t, l, begin) })
	}
	wg.Wait()
	total := int64(0)
	for i := range taken {
		total += taken[i]
	}
	all := slices.Concat(asked[:]...)
	slices.SortFunc(all, func(a, b ask) int { return cmp.Compare(a.to, b.to) })
	// The last question was counted at some moment between these two: what came after it nobody took.
	end := all[len(all)-1]
	want, lost, blurred := c.permits(end.to), c.lost(all), c.blurred(all)
	last := c.rates[len(c.rates)-1]
	slack := 0.02*want + 1 + blurred // the first permit comes on top
	t.Logf("%d permits in %s, want %.1f; %.1f were there while nobody asked, of %.1f it is not known by which rate they came", total, end.to, want, lost, blurred)
	if over := float64(total) - want; over > slack || over < -slack-lost-math.Max(1, last*(end.to-end.from).Seconds()) {
		t.Errorf("%d permits in %s, want %.1f within 2 %%", total, end.to, want)
	}
	for i := range taken {
		if want > 100 && lost < want/100 && taken[i] < total/10 {
			t.Errorf("replica %d got %d of %d", i, taken[i], total)
		}
	}
}

// ask is when one question began and was answered, since the beginning.
type ask struct{ from, to time.Duration }

// lost is how many permits a bucket could not hold because nobody asked for too
// long: the machine had other things to do. The questions are in order.
func (c rateCase) lost(asked []ask) (n float64) {
	for i := 1; i < len(asked); i++ {
		rate := c.rateAt(asked[i-1].from)
		held := max(100*time.Millisecond, time.Duration(float64(time.Second)/rate)+50*time.Millisecond)
		n += rate * max(0, asked[i].to-asked[i-1].from-held).Seconds()
	}
	return n
}

// blurred is how many permits more or fewer there may be because the rate
// changed between two questions: the second one counts the time between by its own.
func (c rateCase) blurred(asked []ask) (n float64) {
	for i := 1; i < len(asked); i++ {
		change := math.Abs(c.rateAt(asked[i].from) - c.rateAt(asked[i-1].from))
		n += change * (asked[i].to - asked[i-1].from).Seconds()
	}
	return n
}

// rateAt is the rate after so much time.
func (c rateCase) rateAt(after time.Duration) float64 {
	i := int(after * time.Duration(len(c.rates)) / rateTime)
	return c.rates[min(i, len(c.rates)-1)]
}

// permits is how many come in so much time.
func (c rateCase) permits(took time.Duration) (n float64) {
	part := rateTime / time.Duration(len(c.rates))
	for i, rate := range c.rates {
		length := part
		if i == len(c.rates)-1 {
			length = took - part*time.Duration(i)
		}
		n += rate * length.Seconds()
	}
	return n
}

// take asks as a dispatcher does: for a tenth of a second ahead, and again when it is told to.
func (c rateCase) take(t *testing.T, l *ledger.Ledger, begin time.Time) (taken int64, asked []ask) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for time.Since(begin) < rateTime {
		from := time.Since(begin)
		rate := c.rateAt(from)
		n, wait, err := l.TakeRate(t.Context(), "f", rate, int(math.Ceil(rate/10)))
		if err != nil {
			t.Error(err)
			break
		}
		asked = append(asked, ask{from, time.Since(begin)})
		taken += int64(n)
		timer.Reset(min(wait, rateTime-time.Since(begin)))
		<-timer.C
	}
	return taken, asked
}
