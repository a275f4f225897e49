package container

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// owner is who this process is to an engine that it may share with others. A
// directory has slots, each a locked file with an id: a process takes the first one
// that is free. So what a process left behind that was killed is found by whoever takes
// the same directory next, and two processes that use one directory do not meet.
type owner struct {
	dir string

	mu sync.Mutex
	id string
	// slot is locked for as long as it is open.
	slot *os.File
	// dead are slots that nobody holds; they are held until what they left is gone.
	dead []slot
}

type slot struct {
	file *os.File
	id   string
	// fresh: it had no id before.
	fresh bool
}

const maxSlots = 1000

// used reports whether a process that had containers by this directory runs, or
// was killed: one that ends empties its slot.
func (o *owner) used() bool {
	paths, _ := filepath.Glob(filepath.Join(o.dir, "*.owner")) // the pattern is well formed
	return slices.ContainsFunc(paths, func(p string) bool {
		info, err := os.Stat(p)
		return err == nil && info.Size() > 0
	})
}

func (o *owner) path(n int) string { return filepath.Join(o.dir, strconv.Itoa(n)+".owner") }

// take returns the id of this process, and takes a slot when it has none.
func (o *owner) take() (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.slot != nil {
		return o.id, nil
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return "", err
	}
	for n := range maxSlots {
		_, err := os.Stat(o.path(n))
		if err != nil && o.slot != nil {
			break // no process was ever there
		}
		s, err := open(o.path(n))
		switch {
		case errors.Is(err, errTaken):
		case err != nil:
			return "", err
		case o.slot == nil:
			o.slot, o.id = s.file, s.id
		case s.fresh: // empty, or emptied by one that ended
			_ = s.file.Truncate(0)
			s.file.Close()
		default:
			o.dead = append(o.dead, s)
		}
	}
	if o.slot == nil {
		return "", fmt.Errorf("%s: %d processes use it already", o.dir, maxSlots)
	}
	return o.id, nil
}

var errTaken = errors.New("taken")

// open locks a slot and reads its id, or makes one.
func open(path string) (slot, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return slot{}, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return slot{}, errTaken
		}
		return slot{}, fmt.Errorf("lock %s: %w", path, err)
	}
	b, err := io.ReadAll(f)
	id := strings.TrimSpace(string(b))
	fresh := id == ""
	if err == nil && fresh {
		id = strings.ToLower(rand.Text())
		_, err = f.WriteString(id)
	}
	if err != nil {
		f.Close()
		return slot{}, fmt.Errorf("%s: %w", path, err)
	}
	return slot{f, id, fresh}, nil
}

// ids are those whose containers are this process's to remove.
func (o *owner) ids() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	if o.slot != nil {
		ids = append(ids, o.id)
	}
	for _, s := range o.dead {
		ids = append(ids, s.id)
	}
	return ids
}

// buried lets go of the slots of others: what they left is gone.
func (o *owner) buried() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.dead {
		_ = s.file.Truncate(0) // else the next process looks for nothing
		s.file.Close()
	}
	o.dead = nil
}

// close lets go of everything. clean says that nothing was left behind.
func (o *owner) close(clean bool) {
	if clean {
		o.buried()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.dead {
		s.file.Close()
	}
	o.dead = nil
	if o.slot != nil {
		if clean {
			_ = o.slot.Truncate(0) // else the next process looks for nothing
		}
		o.slot.Close()
		o.slot = nil
	}
}

// files is where the files of one owner's containers are.
func (o *owner) files(id string) string { return filepath.Join(o.dir, id) }
