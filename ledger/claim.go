package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/failpoint"
)

// maxGroup bounds the records of one script, and so for how long it keeps
// Redis from other work: under a millisecond.
const maxGroup = 256

// Claim says of each record whether its source and id were met before, and
// claims those that were not for the record's coordinates: out[i] is the
// verdict of recs[i]. Of all replicas that claim an id, at any time, exactly
// one coordinate gets FirstSight; so do two copies inside recs. A record
// without an event is FirstSight and claims nothing. It is one round trip (one
// per node of a cluster).
//
// After an error (ErrUnavailable, within Config.Timeout) out is not to be
// used; some records may be claimed, which a repetition sees as Redelivery.
func (l *Ledger) Claim(ctx context.Context, recs []event.Record, out []event.Verdict) error {
	if len(out) < len(recs) {
		return fmt.Errorf("claim: %d records, room for %d verdicts", len(recs), len(out))
	}
	bound, cancel := l.bound(ctx)
	defer cancel()
	b := l.batches.Get().(*batch)
	defer l.batches.Put(b)
	b.fill(&l.dedup, recs, l.cfg.Clock(), l.mode == cluster)
	clear(out[:len(recs)])
	if len(b.groups) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.LedgerClaimBefore)
	if err := b.exchange(bound, l.client); err != nil {
		return unavailable(ctx, err)
	}
	failpoint.Hit(failpoint.LedgerClaimAfter)
	return unavailable(ctx, b.verdicts(out))
}

// Lookup says where the first copy of an event is, if its id is still remembered.
func (l *Ledger) Lookup(ctx context.Context, source, id string) (event.Position, bool, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	f := fingerprintOf(source, id)
	numbers, _ := l.dedup.at(l.cfg.Clock())
	var cmds [3]*redis.StringCmd
	_, err := l.client.Pipelined(bound, func(p redis.Pipeliner) error {
		for i, n := range numbers {
			cmds[i] = p.HGet(bound, string(l.dedup.appendKey(nil, l.dedup.bucket(&f), n)), string(f[4:]))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return event.Position{}, false, unavailable(ctx, err)
	}
	// The window before may hold the first copy, the next one only in a replica's future.
	for _, i := range []int{1, 0, 2} {
		switch err := cmds[i].Err(); {
		case err == nil:
			p, ok := parsePosition(cmds[i].Val())
			return p, ok, nil
		case !errors.Is(err, redis.Nil):
			return event.Position{}, false, unavailable(ctx, err)
		}
	}
	return event.Position{}, false, nil
}

// batch is the memory of one Claim, used again. Every string of the request is
// a part of one, and the request's arguments point at them, so that a claim
// allocates per call and not per record.
type batch struct {
	entries []entry
	groups  []group
	buf     []byte
	ends    []int
	strs    []string
	args    []any
}

// entry is one record with an event.
type entry struct {
	index int
	print fingerprint
	// bucket is its number.
	bucket uint32
}

// group is what one script takes: entries from to to.
type group struct {
	from, to int
	args     []any
	cmd      *redis.Cmd
}

// fill prepares the requests for recs.
func (b *batch) fill(w *windows, recs []event.Record, now time.Time, byShard bool) {
	b.entries = b.entries[:0]
	for i := range recs {
		e := recs[i].Event
		if e == nil {
			continue
		}
		f := fingerprintOf(e.Source, e.ID)
		b.entries = append(b.entries, entry{index: i, print: f, bucket: w.bucket(&f)})
	}
	if byShard {
		slices.SortStableFunc(b.entries, func(x, y entry) int { return cmp.Compare(x.bucket%shards, y.bucket%shards) })
	}
	b.divide(byShard)
	numbers, n := w.at(now)
	b.fillStrings(w, recs, numbers[:n])
	b.fillArgs(n, strconv.FormatInt(w.ttl(now).Milliseconds(), 10))
}

// divide makes the groups: of one shard, when keys must share a slot.
func (b *batch) divide(byShard bool) {
	b.groups = b.groups[:0]
	for from := 0; from < len(b.entries); {
		to := from + 1
		for to < len(b.entries) && to-from < maxGroup &&
			(!byShard || b.entries[to].bucket%shards == b.entries[from].bucket%shards) {
			to++
		}
		b.groups = append(b.groups, group{from: from, to: to})
		from = to
	}
}

// fillStrings writes, entry by entry: the bucket's key in each window, the field, the coordinates.
func (b *batch) fillStrings(w *windows, recs []event.Record, numbers []int64) {
	b.buf, b.ends, b.strs = b.buf[:0], b.ends[:0], b.strs[:0]
	for i := range b.entries {
		e := &b.entries[i]
		for _, n := range numbers {
			b.buf = w.appendKey(b.buf, e.bucket, n)
			b.ends = append(b.ends, len(b.buf))
		}
		b.buf = append(b.buf, e.print[4:]...)
		b.ends = append(b.ends, len(b.buf))
		b.buf = appendPosition(b.buf, recs[e.index].Position)
		b.ends = append(b.ends, len(b.buf))
	}
	all, from := string(b.buf), 0
	for _, end := range b.ends {
		b.strs = append(b.strs, all[from:end])
		from = end
	}
}

// fillArgs lays the arguments of each group's script out; n is the number of windows.
func (b *batch) fillArgs(n int, ttl string) {
	per := n + 2
	b.args = slices.Grow(b.args[:0], len(b.strs)+5*len(b.groups))
	for g := range b.groups {
		first := len(b.args)
		from, to := b.groups[g].from, b.groups[g].to
		b.args = append(b.args, "evalsha", claimScript.hash, (to-from)*n)
		for i := from; i < to; i++ {
			for j := range n {
				b.args = append(b.args, &b.strs[i*per+j])
			}
		}
		b.args = append(b.args, ttl, n)
		for i := from; i < to; i++ {
			b.args = append(b.args, &b.strs[i*per+n], &b.strs[i*per+n+1])
		}
		b.groups[g].args = b.args[first:len(b.args):len(b.args)]
	}
}

// exchange sends the scripts; those a server does not know yet once more with their source.
func (b *batch) exchange(ctx context.Context, client redis.UniversalClient) error {
	for g := range b.groups {
		b.groups[g].cmd = redis.NewCmd(ctx, b.groups[g].args...)
	}
	if err := send(ctx, client, b.groups); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return err
	}
	var again []group
	for g := range b.groups {
		x := &b.groups[g]
		if redis.HasErrorPrefix(x.cmd.Err(), "NOSCRIPT") {
			x.args[0], x.args[1] = "eval", claimScript.source
			x.cmd = redis.NewCmd(ctx, x.args...)
			again = append(again, *x)
		}
	}
	return send(ctx, client, again)
}

func send(ctx context.Context, client redis.UniversalClient, groups []group) error {
	if len(groups) == 1 {
		return client.Process(ctx, groups[0].cmd)
	}
	p := client.Pipeline()
	for g := range groups {
		if err := p.Process(ctx, groups[g].cmd); err != nil {
			return err
		}
	}
	_, err := p.Exec(ctx)
	return err
}

// verdicts reads the answers.
func (b *batch) verdicts(out []event.Verdict) error {
	for g := range b.groups {
		x := &b.groups[g]
		answer, err := x.cmd.Text()
		if err != nil {
			return err
		}
		if len(answer) != x.to-x.from {
			return fmt.Errorf("claim: %d verdicts for %d records", len(answer), x.to-x.from)
		}
		for i := x.from; i < x.to; i++ {
			out[b.entries[i].index] = event.Verdict(answer[i-x.from] - '0')
		}
		x.cmd, x.args = nil, nil
	}
	return nil
}
