package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// desk keeps the files of runs by processes: <dir>/<own>/<run>/, where own is a
// directory that is locked while its process lives. One that is not locked is
// of a process that was killed, and its runs with it.
type desk struct {
	dir string

	mu   sync.Mutex
	own  string
	lock *os.File
	// seen are directories of other processes whose runs were found.
	seen map[string]bool
}

func newDesk(dir string) (*desk, error) {
	abs, err := filepath.Abs(dir) // jobs run elsewhere
	return &desk{dir: abs, seen: map[string]bool{}}, err
}

// lockName is the file of a process's directory that is locked.
const lockName = ".lock"

// place is the directory of this process, which is made with the first run.
func (d *desk) place() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own != "" {
		return d.own, nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return "", err
	}
	own, err := os.MkdirTemp(d.dir, "process-")
	if err != nil {
		return "", err
	}
	// It gets its name once it is locked: a lock that is seen and free has lost its owner.
	f, err := os.OpenFile(filepath.Join(own, lockName+"-new"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	lock(f)
	if err := os.Rename(f.Name(), filepath.Join(own, lockName)); err != nil {
		_ = f.Close()
		return "", err
	}
	d.own, d.lock = own, f
	return own, nil
}

// lay writes the files of a run and returns its directory.
func (d *desk) lay(r *record, in *input) (string, error) {
	own, err := d.place()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(own, "run-")
	if err != nil {
		return "", err
	}
	kept, _ := json.Marshal(r) // plain fields
	for _, f := range []struct {
		name string
		data []byte
	}{{fileEvent, in.event}, {fileData, in.data}, {fileReplies, nil}, {fileRecord, kept}} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, f.name), f.data, 0o600))
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("the files of a run: %w", err)
	}
	return dir, nil
}

// orphan is a run that has ended with its process.
type orphan struct {
	record *record
	dir    string
}

func (o *orphan) wait(context.Context) (ending, error) {
	return ending{failed: true, reason: "Signalbox was killed, and the run with it"}, nil
}

func (o *orphan) stop() {}

func (o *orphan) follows(context.Context) {}

func (o *orphan) forget(context.Context) {
	_ = os.RemoveAll(o.dir)
	removeEmpty(filepath.Dir(o.dir))
}

// removeEmpty removes a process's directory that holds no runs.
func removeEmpty(dir string) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 1 && entries[0].Name() == lockName {
		_ = os.RemoveAll(dir)
	}
}

// orphans finds the runs of processes that are gone, each once.
func (d *desk) orphans() (all []*orphan, err error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if dir := filepath.Join(d.dir, e.Name()); e.IsDir() && d.abandoned(dir) {
			all = append(all, runsIn(dir)...)
		}
	}
	return all, err
}

// abandoned reports whether a directory is of a process that is gone; of each this is said once.
func (d *desk) abandoned(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir == d.own || d.seen[dir] {
		return false
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false // it is just being made, or removed
	}
	defer f.Close()
	d.seen[dir] = lock(f)
	return d.seen[dir]
}

func runsIn(dir string) (all []*orphan) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		o := &orphan{dir: filepath.Join(dir, e.Name()), record: &record{}}
		b, err := os.ReadFile(filepath.Join(o.dir, fileRecord))
		if err == nil {
			err = json.Unmarshal(b, o.record)
		}
		if err != nil || o.record.Key == "" { // it had not begun
			o.forget(context.Background())
			continue
		}
		all = append(all, o)
	}
	removeEmpty(dir)
	return all
}

// close gives the directory up; runs that could not be reported stay in it.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own == "" {
		return
	}
	removeEmpty(d.own)
	_ = d.lock.Close()
}

// waitFor reports whether done is closed within d.
func waitFor(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
