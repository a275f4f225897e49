package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Source is where packed artifacts come from: a Store.
type Source interface {
	Get(ctx context.Context, digest string) (io.ReadCloser, Info, error)
}

// CacheConfig says how artifacts are kept unpacked.
type CacheConfig struct {
	// Dir is made when it is needed. Processes of one machine may share it.
	Dir    string
	Source Source
	Limits Limits
	// MaxBytes bounds the files that are kept for later, not those in use; default 2 GiB.
	MaxBytes int64
	Log      *slog.Logger
	// Used, when set, is told how each use went that did not give up. It is called
	// from several goroutines, and must not block.
	Used func(Use)
}

// Use is how somebody got the files of an artifact.
type Use struct {
	// Fetched says that they were not here, Bytes how many came packed, Took how
	// long fetching and unpacking them took.
	Fetched bool
	Bytes   int64
	Took    time.Duration
	// Err is why there are no files.
	Err error
}

// Cache keeps artifacts unpacked on this machine. A directory of it holds all
// files of its artifact, or it is not there. It is safe for concurrent use.
type Cache struct {
	c CacheConfig

	mu      sync.Mutex
	entries map[string]*entry
	// fetches are under way.
	fetches sync.WaitGroup
}

// entry is an artifact that is in use, or being fetched.
type entry struct {
	// uses counts those who have it or wait for it.
	uses int
	// ready is closed once dir or err is there.
	ready chan struct{}
	lock  *os.File
	err   error
	// use is how they came here; told, that this was said of one use: it is no news
	// for the others.
	use  Use
	told atomic.Bool
	// cancel ends the fetch when nobody waits any more.
	cancel context.CancelFunc
}

// NewCache makes a cache; nothing is written before Use.
func NewCache(c CacheConfig) (*Cache, error) {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 2 << 30
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	faults := []error{c.Limits.validate()}
	if c.Dir == "" {
		faults = append(faults, errors.New("Dir: missing"))
	}
	if c.Source == nil {
		faults = append(faults, errors.New("Source: missing"))
	}
	if c.MaxBytes < 0 {
		faults = append(faults, fmt.Errorf("MaxBytes %d: want more than 0", c.MaxBytes))
	}
	dir, err := filepath.Abs(c.Dir)
	if err = errors.Join(append(faults, err)...); err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	c.Dir = dir
	return &Cache{c: c, entries: map[string]*entry{}}, nil
}

// Use returns the directory with the files of an artifact, which are fetched where
// they are not here yet. They stay until release is called, once. It waits until
// then, or until ctx ends; what it fails with says why there are no files.
func (c *Cache) Use(ctx context.Context, digest string) (dir string, release func(), err error) {
	if err := CheckDigest(digest); err != nil {
		return "", nil, err
	}
	e := c.join(digest)
	select {
	case <-e.ready:
		c.tell(e)
		if e.err == nil {
			return c.dirOf(digest), sync.OnceFunc(func() { c.leave(digest, e) }), nil
		}
		err = e.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.leave(digest, e)
	return "", nil, err
}

// tell says how a use went.
func (c *Cache) tell(e *entry) {
	switch {
	case c.c.Used == nil:
	case e.err != nil:
		c.c.Used(Use{Err: e.err})
	case e.told.CompareAndSwap(false, true):
		c.c.Used(e.use)
	default:
		c.c.Used(Use{})
	}
}

func (c *Cache) dirOf(digest string) string { return filepath.Join(c.c.Dir, sumOf(digest)) }

// join takes part in the use of an artifact, and is the first one perhaps.
func (c *Cache) join(digest string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[digest]
	if e == nil {
		e = &entry{ready: make(chan struct{})}
		c.entries[digest] = e
		var ctx context.Context
		ctx, e.cancel = context.WithCancel(context.Background())
		c.fetches.Go(func() { // the last one to leave cancels it
			e.lock, e.err = c.open(ctx, digest, &e.use)
			if e.err != nil {
				c.forget(digest, e)
			}
			close(e.ready)
			c.settle(digest, e)
		})
	}
	e.uses++
	return e
}

// Close waits for fetches that nobody waits for any more. Use is not called after it.
func (c *Cache) Close() { c.fetches.Wait() }

// forget lets the next one try again.
func (c *Cache) forget(digest string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[digest] == e {
		delete(c.entries, digest)
	}
}

// leave ends one use.
func (c *Cache) leave(digest string, e *entry) {
	c.mu.Lock()
	e.uses--
	last := e.uses == 0
	if last && c.entries[digest] == e {
		delete(c.entries, digest)
	}
	c.mu.Unlock()
	if !last {
		return
	}
	e.cancel()
	select {
	case <-e.ready:
		c.unlock(digest, e)
	default: // settle will
	}
}

// settle unlocks what nobody waited for.
func (c *Cache) settle(digest string, e *entry) {
	c.mu.Lock()
	unused := e.uses == 0
	c.mu.Unlock()
	if unused {
		c.unlock(digest, e)
	}
}

// unlock lets the files be removed, and removes what is too much.
func (c *Cache) unlock(digest string, e *entry) {
	c.mu.Lock()
	lock := e.lock
	e.lock = nil
	c.mu.Unlock()
	if lock == nil {
		return
	}
	now := time.Now()
	_ = errors.Join(os.Chtimes(c.dirOf(digest), now, now), lock.Close()) // it was used until now
	if err := c.Trim(); err != nil {
		c.c.Log.Warn("unpacked artifacts that are not in use stay", "error", err)
	}
}

// lockPause is how long a look at another process's lock takes effect.
const lockPause = 20 * time.Millisecond

// open sees to it that the files are there, and returns their lock. Only who has it
// alone may write or remove them; who uses them shares it.
func (c *Cache) open(ctx context.Context, digest string, use *Use) (*os.File, error) {
	if err := os.MkdirAll(c.c.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(c.dirOf(digest)+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), lock.Close())
		case <-pause.C:
		}
		done, err := c.tryOpen(ctx, digest, lock, use)
		if err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		if done {
			return lock, nil
		}
		pause.Reset(lockPause)
	}
}

// tryOpen is false when another process is at it.
func (c *Cache) tryOpen(ctx context.Context, digest string, lock *os.File, use *Use) (bool, error) {
	alone, err := tryLock(lock, true)
	if err != nil {
		return false, err
	}
	if alone {
		if err := c.fill(ctx, digest, use); err != nil {
			return false, err
		}
	}
	shared, err := tryLock(lock, false)
	if err != nil || !shared {
		return false, err
	}
	_, err = os.Stat(c.dirOf(digest)) // between the two locks it may have gone
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// fill fetches the files unless they are there and as they should be: what runs
// there, or a machine that lost power, may have changed them.
func (c *Cache) fill(ctx context.Context, digest string, use *Use) error {
	dir := c.dirOf(digest)
	if got, _, err := digestOf(dir); err == nil && got == digest {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.c.Log.Warn("unpacked files of an artifact are not what they were, and are fetched again", "artifact", digest, "error", err)
	}
	if err := removeAll(dir); err != nil {
		return err
	}
	return c.fetch(ctx, digest, use)
}

// fetch unpacks beside, and puts it in place when it is complete.
func (c *Cache) fetch(ctx context.Context, digest string, use *Use) (err error) {
	started := time.Now()
	r, info, err := c.c.Source.Get(ctx, digest)
	if err != nil {
		return err
	}
	defer r.Close()
	temp := c.dirOf(digest) + ".new" // the lock is ours: nobody else writes there
	// #nosec G301 -- functions run as other users read it
	if err := errors.Join(removeAll(temp), os.Mkdir(temp, 0o755)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(temp))
		}
	}()
	if err := Unpack(reader{ctx, r}, digest, temp, c.c.Limits); err != nil {
		return about(digest, err)
	}
	// #nosec G302 -- programs that functions run; nobody may change them
	if err := errors.Join(seal(temp), os.Rename(temp, c.dirOf(digest)), os.Chmod(c.dirOf(digest), 0o555)); err != nil {
		return err
	}
	*use = Use{Fetched: true, Bytes: info.Size, Took: time.Since(started)}
	c.c.Log.Info("artifact fetched", "artifact", digest, "bytes", info.Size, "took", use.Took)
	return nil
}

// Trim removes the files that are not in use, those used longest ago first, until
// the others fit into MaxBytes.
func (c *Cache) Trim() error {
	kept, err := c.kept()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, k := range kept {
		total += k.size
	}
	var faults []error
	for _, k := range kept {
		if total <= c.c.MaxBytes {
			break
		}
		gone, err := c.removeUnused(k.path)
		if gone {
			total -= k.size
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

type keptDir struct {
	path string
	size int64
	used time.Time
}

// kept lists the unpacked artifacts, those used longest ago first.
func (c *Cache) kept() ([]keptDir, error) {
	entries, err := os.ReadDir(c.c.Dir)
	if err != nil {
		return nil, err
	}
	var all []keptDir
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".new")
		if !e.IsDir() || len(name) != hexLength {
			continue
		}
		k := keptDir{path: filepath.Join(c.c.Dir, e.Name())}
		if info, err := e.Info(); err == nil {
			k.used = info.ModTime()
		}
		_ = filepath.WalkDir(k.path, func(_ string, d fs.DirEntry, err error) error {
			if err == nil {
				if info, err := d.Info(); err == nil && !d.IsDir() {
					k.size += info.Size()
				}
			}
			return nil
		})
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b keptDir) int { return a.used.Compare(b.used) })
	return all, nil
}

// removeUnused is false for one that is in use, by this process or another.
func (c *Cache) removeUnused(path string) (bool, error) {
	lock, err := os.OpenFile(strings.TrimSuffix(path, ".new")+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if alone, err := tryLock(lock, true); err != nil || !alone {
		return false, err
	}
	return true, removeAll(path)
}
