package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newStore(t *testing.T, env map[string]string) (s *Store, dir string, clock *time.Time) {
	t.Helper()
	dir, now := t.TempDir(), time.Unix(1_700_000_000, 0)
	s = New(dir)
	s.env = func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	s.now = func() time.Time { return now }
	return s, dir, &now
}

func write(t *testing.T, dir, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFileGoesBeforeTheEnvironment(t *testing.T) {
	s, dir, _ := newStore(t, map[string]string{"SIGNALBOX_SECRET_A_B_C": "env", "SIGNALBOX_SECRET_A": "env a", "HOME": "/"})
	write(t, dir, "a", "file a\r\n")
	for name, want := range map[string]string{"a": "file a", "a-b.c": "env"} {
		if got, err := s.Lookup(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestAChangedFileShowsSoon(t *testing.T) {
	s, dir, clock := newStore(t, nil)
	if _, err := s.Lookup("k"); !errors.Is(err, ErrMissing) {
		t.Fatalf("%v, want ErrMissing", err)
	}
	write(t, dir, "k", "1")
	*clock = clock.Add(freshFor)
	if got, _ := s.Lookup("k"); string(got) != "1" {
		t.Errorf("%q, want 1", got)
	}
	write(t, dir, "k", "2")
	if got, _ := s.Lookup("k"); string(got) != "1" {
		t.Errorf("%q at once: want what was read", got)
	}
	*clock = clock.Add(freshFor)
	if got, _ := s.Lookup("k"); string(got) != "2" {
		t.Errorf("%q, want 2", got)
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	s, dir, _ := newStore(t, map[string]string{"PATH": "x", "SIGNALBOX_SECRET_EMPTY": ""})
	write(t, filepath.Dir(dir), "outside", "x")
	write(t, dir, "blank", "\n")
	write(t, dir, "huge", strings.Repeat("x", MaxSize+2))
	for _, name := range []string{"", "../outside", "..", "a/b", "A", "path", "empty", "blank", "huge", strings.Repeat("a", 64), "a..b", "."} {
		if v, err := s.Lookup(name); err == nil {
			t.Errorf("%q: got %q", name, v)
		} else if strings.Contains(err.Error(), "xxx") {
			t.Errorf("%q: the error holds the value", name)
		}
	}
}
