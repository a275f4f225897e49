package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func newStore(t *testing.T, now func() time.Time) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := NewStore(StoreConfig{Objects: NewDirectory(dir), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestWhatIsPutIsThereAsAWhole(t *testing.T) {
	s, _ := newStore(t, nil)
	b, p := pack(t, map[string]string{"a.py": "1", "b.py": strings.Repeat("2", 5000)})
	if _, err := s.Stat(t.Context(), p.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	for name, wrong := range map[string]io.ReadSeeker{
		"another artifact":   bytes.NewReader(func() []byte { b, _ := pack(t, map[string]string{"a.py": "2"}); return b }()),
		"half of it":         bytes.NewReader(b[:len(b)/2]),
		"a broken line":      once{io.MultiReader(bytes.NewReader(b[:20]), iotest.ErrReader(errors.New("gone")))},
		"one that changes":   &changing{one: bytes.NewReader(b), two: bytes.NewReader(append([]byte{}, b[:len(b)-1]...))},
		"another afterwards": &changing{one: bytes.NewReader(b), two: bytes.NewReader(make([]byte, len(b)))},
	} {
		if _, err := s.Put(t.Context(), p.Digest, wrong); err == nil {
			t.Errorf("%s is taken", name)
		}
		if _, err := s.Stat(t.Context(), p.Digest); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s left something: %v", name, err)
		}
	}
	for range 2 { // a second time is no fault
		info, err := s.Put(t.Context(), p.Digest, bytes.NewReader(b))
		if err != nil || info != (Info{p.Digest, int64(len(b)), 2, 5001}) {
			t.Fatalf("%+v %v", info, err)
		}
	}
	r, info, err := s.Get(t.Context(), p.Digest)
	if err != nil || info.Size != int64(len(b)) {
		t.Fatalf("%+v %v", info, err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); !bytes.Equal(got, b) || err != nil {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	for _, wrong := range []string{"", "sha256:", "sha256:../../etc", strings.ToUpper(p.Digest), p.Digest + "0"} {
		if _, err := s.Stat(t.Context(), wrong); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// once cannot be read again.
type once struct{ io.Reader }

func (once) Seek(int64, int) (int64, error) { return 0, errors.New("gone") }

// changing is another one the second time.
type changing struct{ one, two io.Reader }

func (c *changing) Read(p []byte) (int, error) { return c.one.Read(p) }

func (c *changing) Seek(int64, int) (int64, error) {
	c.one = c.two
	return 0, nil
}

func TestAnUploadInParts(t *testing.T) {
	s, dir := newStore(t, nil)
	b, p := pack(t, map[string]string{"a": strings.Repeat("some text ", 1000), "b": fmt.Sprint(time.Now())})
	third := len(b) / 3
	parts := [][]byte{b[:third], b[third : 2*third], b[2*third:]}
	put := func(upload string, part int) {
		t.Helper()
		if err := s.PutPart(t.Context(), p.Digest, upload, part, bytes.NewReader(parts[part-1]), int64(len(parts[part-1]))); err != nil {
			t.Fatal(err)
		}
	}
	put("uploadone", 3)
	put("uploadone", 1)
	if _, err := s.Assemble(t.Context(), p.Digest, "uploadone", 3); !errors.Is(err, ErrNotFound) {
		t.Errorf("a part is missing: %v", err)
	}
	put("uploadone", 2)
	if _, err := s.Assemble(t.Context(), p.Digest, "uploadone", 2); err == nil {
		t.Error("two parts of three make an artifact")
	}
	info, err := s.Assemble(t.Context(), p.Digest, "uploadone", 3)
	if err != nil || info.Size != int64(len(b)) {
		t.Fatalf("%+v %v", info, err)
	}
	if got := names(t, filepath.Join(dir, "uploads")); got != "" {
		t.Errorf("left: %s", got)
	}
	for _, wrong := range []struct {
		upload string
		part   int
	}{{"../../../x", 1}, {"short", 1}, {"uploadone", 0}, {"uploadone", MaxParts + 1}} {
		if err := s.PutPart(t.Context(), p.Digest, wrong.upload, wrong.part, strings.NewReader(""), 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestSweepTakesWhatNobodyNamesForLong(t *testing.T) {
	now := time.Now()
	s, dir := newStore(t, func() time.Time { return now })
	_, named := put(t, s, "named")
	_, freed := put(t, s, "freed")
	_, kept := put(t, s, "kept")
	if err := s.PutPart(t.Context(), named, "uploadone", 1, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	sweep := func(digests ...string) string {
		t.Helper()
		set := map[string]bool{}
		for _, d := range digests {
			set[d] = true
		}
		removed, err := s.Sweep(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(removed, " ")
	}
	now = now.Add(30 * 24 * time.Hour) // they are old, but were named until now
	if got := sweep(named); got != "" {
		t.Errorf("removed at first sight: %s", got)
	}
	if got := names(t, filepath.Join(dir, "uploads")); got != "" {
		t.Errorf("parts of an old upload stay: %s", got)
	}
	age := func(digest string) { // the marks get the time of the file system
		t.Helper()
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(orphanName(digest))), now, now); err != nil {
			t.Fatal(err)
		}
	}
	age(freed)
	age(kept)
	now = now.Add(23 * time.Hour)
	if got := sweep(named); got != "" {
		t.Errorf("removed within the grace: %s", got)
	}
	now = now.Add(2 * time.Hour)
	if err := s.Keep(t.Context(), kept); err != nil { // it is about to be named
		t.Fatal(err)
	}
	if got := sweep(named); got != freed {
		t.Errorf("removed %s, want %s", got, freed)
	}
	if err := s.Keep(t.Context(), freed); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is gone is kept: %v", err)
	}
	sweep(named, kept)
	if got := names(t, filepath.Join(dir, "unnamed")); got != "" {
		t.Errorf("marks stay: %s", got)
	}
}

func put(t *testing.T, s *Store, content string) ([]byte, string) {
	t.Helper()
	b, p := pack(t, map[string]string{"a.py": content, "sub/b.py": content})
	if _, err := s.Put(t.Context(), p.Digest, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return b, p.Digest
}

// counted counts the fetches, and waits where hold is set.
type counted struct {
	*Store
	mu      sync.Mutex
	fetches int
	hold    chan struct{}
}

func (c *counted) Get(ctx context.Context, digest string) (io.ReadCloser, Info, error) {
	c.mu.Lock()
	c.fetches++
	c.mu.Unlock()
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return nil, Info{}, ctx.Err()
		}
	}
	return c.Store.Get(ctx, digest)
}

func newCache(t *testing.T, dir string, source Source, most int64) *Cache {
	t.Helper()
	c, err := NewCache(CacheConfig{Dir: dir, Source: source, MaxBytes: most, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// use fails the test when there are no files; they are released at its end unless before.
func use(t *testing.T, c *Cache, digest string) (dir string, release func()) {
	t.Helper()
	dir, release, err := c.Use(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	if got := names(t, dir); got != "a.py sub/b.py" {
		t.Errorf("%s holds %s", dir, got)
	}
	return dir, release
}

func TestManyUsersFetchOnce(t *testing.T) {
	s, _ := newStore(t, nil)
	_, digest := put(t, s, "1")
	source, dir := &counted{Store: s}, t.TempDir()
	// Two processes share the directory: their locks are those of two caches.
	caches := []*Cache{newCache(t, dir, source, 0), newCache(t, dir, source, 0)}
	var users sync.WaitGroup
	for i := range 20 {
		users.Go(func() {
			dir, release, err := caches[i%2].Use(t.Context(), digest)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if b, err := os.ReadFile(filepath.Join(dir, "sub", "b.py")); string(b) != "1" || err != nil {
				t.Errorf("%q %v", b, err)
			}
		})
	}
	users.Wait()
	for name, want := range map[string]fs.FileMode{"": 0o555, "sub": 0o555, "a.py": 0o444, "sub/b.py": 0o444} {
		if info, err := os.Stat(filepath.Join(caches[0].dirOf(digest), name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v %v, want %s", name, info, err, want)
		}
	}
	if source.fetches != 1 {
		t.Errorf("%d fetches", source.fetches)
	}
}

func TestItIsToldWhetherFilesWereHere(t *testing.T) {
	s, objects := newStore(t, nil)
	_, digest := put(t, s, "1")
	_, lost := put(t, s, "2")
	if err := os.Remove(filepath.Join(objects, filepath.FromSlash(packedName(lost)))); err != nil {
		t.Fatal(err)
	}
	var uses []Use
	c, err := NewCache(CacheConfig{Dir: t.TempDir(), Source: s, Log: slog.New(slog.DiscardHandler), Used: func(u Use) { uses = append(uses, u) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, first := use(t, c, digest)
	_, second := use(t, c, digest)
	first()
	second()
	_, third := use(t, c, digest)
	third()
	if _, _, err := c.Use(t.Context(), lost); !errors.Is(err, ErrNotFound) {
		t.Errorf("files that are not in the store: %v", err)
	}
	if len(uses) != 4 || !uses[0].Fetched || uses[0].Bytes == 0 || uses[0].Took <= 0 || uses[1] != (Use{}) || uses[2] != (Use{}) || !errors.Is(uses[3].Err, ErrNotFound) {
		t.Errorf("told %+v: want one that was fetched, two that were here, and one that failed", uses)
	}
}

func TestFilesThatWereChangedAreFetchedAgain(t *testing.T) {
	s, _ := newStore(t, nil)
	_, digest := put(t, s, "1")
	source := &counted{Store: s}
	c := newCache(t, t.TempDir(), source, 0)
	for name, change := range map[string]func(dir string) error{
		"changed": func(dir string) error {
			return errors.Join(os.Chmod(filepath.Join(dir, "a.py"), 0o600), os.WriteFile(filepath.Join(dir, "a.py"), []byte("2"), 0o600))
		},
		"removed": func(dir string) error {
			return errors.Join(os.Chmod(dir, 0o700), os.Remove(filepath.Join(dir, "a.py")))
		},
		"added": func(dir string) error {
			return errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, "new.py"), nil, 0o600))
		},
	} {
		dir, release := use(t, c, digest)
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		release()
		before := source.fetches
		_, release = use(t, c, digest)
		release()
		if source.fetches != before+1 {
			t.Errorf("%s: not fetched again", name)
		}
		_, release = use(t, c, digest)
		release()
		if source.fetches != before+1 {
			t.Errorf("%s: fetched although it is right", name)
		}
	}
}

func TestWhatIsInUseIsNotRemoved(t *testing.T) {
	s, _ := newStore(t, nil)
	_, first := put(t, s, "1")
	_, second := put(t, s, "2")
	_, third := put(t, s, "3")
	dir := t.TempDir()
	here, other := newCache(t, dir, s, 1), newCache(t, dir, s, 1) // no room for anything that is not in use
	one, _ := use(t, here, first)
	two, releaseTwo := use(t, other, second)
	three, releaseThree := use(t, here, third)
	releaseThree()
	if _, err := os.Stat(three); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what nobody uses stays: %v", err)
	}
	for _, dir := range []string{one, two} {
		if got := names(t, dir); got != "a.py sub/b.py" {
			t.Errorf("%s: %s is left", dir, got)
		}
	}
	releaseTwo()
	if _, err := os.Stat(two); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("released by the other process it stays: %v", err)
	}
}

func TestAFailedFetchLeavesNothingAndIsTriedAgain(t *testing.T) {
	s, objects := newStore(t, nil)
	b, digest := put(t, s, "1")
	dir := t.TempDir()
	c := newCache(t, dir, s, 0)
	path := filepath.Join(objects, filepath.FromSlash(packedName(digest)))
	for name, content := range map[string][]byte{"half": b[:len(b)/2], "other": hostile(t, regular("a", "x"))} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Use(t.Context(), digest); err == nil {
			t.Errorf("%s is taken for the artifact", name)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 { // the lock
			t.Errorf("%s: left %v %v", name, entries, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Use(t.Context(), digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	put(t, s, "1")
	use(t, c, digest)
}

func TestAFetchThatNobodyWaitsForEnds(t *testing.T) {
	s, _ := newStore(t, nil)
	_, digest := put(t, s, "1")
	source := &counted{Store: s, hold: make(chan struct{})}
	c := newCache(t, t.TempDir(), source, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Use(ctx, digest); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	c.Close()
	close(source.hold)
	use(t, c, digest)
}
