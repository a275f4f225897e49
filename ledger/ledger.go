package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Ledger is the client of one Redis. It is safe for concurrent use, and any
// number of them, in any number of processes, may share one Redis and KeyPrefix.
type Ledger struct {
	cfg     Config
	mode    mode
	client  redis.UniversalClient
	history History
	log     *slog.Logger
	keys    keys
	dedup   windows
	batches sync.Pool
	// chains names the buckets of CountChain, counts gathers its calls.
	chains windows
	counts counts
	// seen is the highest revision this process has met; Redis showing a lower one has lost data.
	seen atomic.Uint64
}

// keys are those of the resources. They share one hash tag, so that a script
// may touch them all in a cluster.
type keys struct {
	// revision is a number: that of the last change.
	revision string
	// documents is a hash of kind/name to a stored document, see encodeStored.
	documents string
	// pending is a hash of write token to what the history may lack, see pendingWrite.
	pending string
	// healing is held by the replica that heals.
	healing string
	// notice is the channel on which every new revision is announced.
	notice string
}

func newKeys(prefix string) keys {
	tag := "{" + prefix + "res}:"
	return keys{
		revision:  tag + "revision",
		documents: tag + "documents",
		pending:   tag + "pending",
		healing:   tag + "healing",
		notice:    tag + "notice",
	}
}

// Open connects to Redis and heals its resources from history (see Heal).
// history may be nil: then nothing is recorded, and a Redis that came back
// empty stays so. It does not wait for a Redis that is away: ErrUnavailable.
func Open(ctx context.Context, cfg Config, history History) (*Ledger, error) {
	client, err := Connect(cfg)
	if err != nil {
		return nil, err
	}
	a, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l := &Ledger{
		cfg: cfg, mode: a.mode, client: client, history: history, log: cfg.Logger,
		keys:   newKeys(cfg.KeyPrefix),
		dedup:  windows{prefix: cfg.KeyPrefix + "d:{", window: cfg.DedupWindow, buckets: uint32(cfg.DedupBuckets)},
		chains: windows{prefix: cfg.KeyPrefix + "c:{", window: chainWindow, buckets: uint32(cfg.DedupBuckets)},
		counts: counts{turn: make(chan struct{}, 1)},
	}
	if cfg.Volatile {
		l.chains.buckets = shards // an embedded Redis walks all its keys each second
	}
	l.batches.New = func() any { return new(batch) }
	if err := l.Ping(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if _, err := l.Heal(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return l, nil
}

// Ping asks Redis for an answer, within Config.Timeout.
func (l *Ledger) Ping(ctx context.Context) error {
	bound, cancel := l.bound(ctx)
	defer cancel()
	return unavailable(ctx, l.client.Ping(bound).Err())
}

// Close closes the connections. Watch must have returned before.
func (l *Ledger) Close() error { return l.client.Close() }

// bound limits one exchange with Redis.
func (l *Ledger) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.cfg.Timeout)
}

func (l *Ledger) now() time.Time { return l.cfg.Clock().UTC() }

// saw raises the highest revision met.
func (l *Ledger) saw(revision uint64) {
	for {
		old := l.seen.Load()
		if revision <= old || l.seen.CompareAndSwap(old, revision) {
			return
		}
	}
}

// once is a command that must not be repeated when its answer is lost: the
// repetition would meet its own effect.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

// run runs a script over keys and returns its answer. It is sent at most once.
func (l *Ledger) run(ctx context.Context, s script, keys []string, args ...any) ([]any, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	cmd := once{redis.NewCmd(bound, evalArgs("evalsha", s.hash, keys, args)...)}
	err := l.client.Process(bound, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = once{redis.NewCmd(bound, evalArgs("eval", s.source, keys, args)...)}
		err = l.client.Process(bound, cmd)
	}
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	out, err := cmd.Slice()
	return out, unavailable(ctx, err)
}
