package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// ErrMissing is wrapped by what Lookup returns for a secret that is not there.
var ErrMissing = errors.New("no such secret")

// EnvPrefix begins the names of environment variables that hold secrets. Only
// those are looked at, so that whoever may name a secret in a resource cannot
// reach the rest of the environment.
const EnvPrefix = "SIGNALBOX_SECRET_"

// MaxSize bounds a secret, in bytes.
const MaxSize = 64 << 10

// freshFor is how long a value that was read is used without a look.
const freshFor = 2 * time.Second

// maxCached bounds what is kept; beyond it values are read each time.
const maxCached = 1024

// Store finds secrets. It is safe for concurrent use.
type Store struct {
	// dir holds a file for each secret; "" is none.
	dir string
	env func(string) (string, bool)
	now func() time.Time

	mu    sync.Mutex
	known map[string]entry
}

type entry struct {
	value []byte
	err   error
	until time.Time
}

// New makes a store over a directory ("" is none) and the environment.
func New(dir string) *Store {
	return &Store{dir: dir, env: os.LookupEnv, now: time.Now, known: map[string]entry{}}
}

// EnvName is the environment variable of a secret.
func EnvName(name string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// Lookup returns the value of a secret, which must not be changed: the file of
// that name in the directory, without a line end at its end, else the
// environment variable. A change of the file shows within two seconds. An error
// names the secret and where it was looked for, never a value.
func (s *Store) Lookup(name string) ([]byte, error) {
	if !resource.ValidSecretName(name) {
		return nil, fmt.Errorf("secret %q: %w: want lower-case letters, digits, '-' and '.'", name, ErrMissing)
	}
	now := s.now()
	s.mu.Lock()
	e, ok := s.known[name]
	s.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.value, e.err
	}
	value, err := s.read(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[name]; ok || len(s.known) < maxCached {
		s.known[name] = entry{value, err, now.Add(freshFor)}
	}
	return value, err
}

func (s *Store) read(name string) ([]byte, error) {
	if s.dir != "" {
		value, err := readFile(filepath.Join(s.dir, name))
		if !errors.Is(err, os.ErrNotExist) {
			return nonEmpty(name, value, err)
		}
	}
	if v, ok := s.env(EnvName(name)); ok {
		return nonEmpty(name, []byte(v), nil)
	}
	where := "environment variable " + EnvName(name)
	if s.dir != "" {
		where = "file " + filepath.Join(s.dir, name) + " or " + where
	}
	return nil, fmt.Errorf("secret %s: %w: want %s", name, ErrMissing, where)
}

func nonEmpty(name string, value []byte, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, fmt.Errorf("secret %s: %w", name, err)
	case len(value) == 0:
		return nil, fmt.Errorf("secret %s: %w: it is empty", name, ErrMissing)
	}
	return value, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		err = fmt.Errorf("more than %d bytes", MaxSize)
	}
	return bytes.TrimRight(b, "\r\n"), err
}
