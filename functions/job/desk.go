package job

import (
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
	// held are locks of directories of processes that are gone, whose runs this
	// process looks after now.
	held map[string]*os.File
}

func newDesk(dir string) (*desk, error) {
	abs, err := filepath.Abs(dir) // jobs run elsewhere
	return &desk{dir: abs, held: map[string]*os.File{}}, err
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
		mode os.FileMode
	}{{fileEvent, in.event, 0o444}, {fileData, in.data, 0o444}, {fileReplies, nil, 0o666}, {fileRecord, kept, 0o600}} {
		path := filepath.Join(dir, f.name)
		// A container may run as anybody; nobody else gets into the directory.
		err = errors.Join(err, os.WriteFile(path, f.data, f.mode), os.Chmod(path, f.mode))
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("the files of a run: %w", err)
	}
	return dir, nil
}

// removeEmpty removes a process's directory that holds no runs.
func removeEmpty(dir string) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 1 && entries[0].Name() == lockName {
		_ = os.RemoveAll(dir)
	}
}

// orphan is what is left of a run whose process is gone.
type orphan struct {
	record *record
	dir    string
}

func (o *orphan) remove() {
	_ = os.RemoveAll(o.dir)
	removeEmpty(filepath.Dir(o.dir))
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
	if dir == d.own || d.held[dir] != nil {
		return false
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false // it is just being made, or removed
	}
	if !lock(f) {
		_ = f.Close()
		return false
	}
	d.held[dir] = f
	return true
}

func runsIn(dir string) (all []*orphan) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		o := &orphan{dir: filepath.Join(dir, e.Name())}
		if o.record = readRecord(o.dir); o.record == nil { // it had not begun
			o.remove()
			continue
		}
		all = append(all, o)
	}
	removeEmpty(dir)
	return all
}

// readRecord reads the record of a run from its directory; nil where there is none.
func readRecord(dir string) *record {
	r := &record{}
	b, err := os.ReadFile(filepath.Join(dir, fileRecord))
	if err != nil || json.Unmarshal(b, r) != nil || r.Key == "" {
		return nil
	}
	return r
}

// close gives the directory up; runs that could not be reported stay in it.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir, f := range d.held {
		removeEmpty(dir)
		_ = f.Close()
	}
	if d.own != "" {
		removeEmpty(d.own)
		_ = d.lock.Close()
	}
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
