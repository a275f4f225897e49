package gatewaytest

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// Ledger keeps resources in memory; it is a gateway.Resources. The zero value
// is empty; it is safe for concurrent use.
type Ledger struct {
	// Check, unless nil, judges what is about to be written.
	Check func(resource.Object) resource.Faults
	// OnPut, unless nil, is called before each Put.
	OnPut func()
	// Err, unless nil, is what everything answers.
	Err error

	mu       sync.Mutex
	objects  map[string]resource.Object
	revision uint64
}

func key(kind, name string) string { return kind + "/" + name }

// List implements gateway.Resources.
func (l *Ledger) List(_ context.Context, kind string) ([]resource.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []resource.Object
	for _, o := range l.objects {
		if o.Kind == kind {
			all = append(all, o)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Metadata.Name < all[j].Metadata.Name })
	return all, l.Err
}

// Get implements gateway.Resources.
func (l *Ledger) Get(_ context.Context, kind, name string) (resource.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.objects[key(kind, name)]
	if !ok && l.Err == nil {
		return o, problem.ErrNotFound
	}
	return o, l.Err
}

// Put implements gateway.Resources.
func (l *Ledger) Put(_ context.Context, o resource.Object, c api.Condition) (resource.Object, bool, error) {
	if l.OnPut != nil {
		l.OnPut()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, exists := l.objects[key(o.Kind, o.Metadata.Name)]
	if err := l.allowed(o, c); err != nil {
		return o, false, err
	}
	return l.write(o), !exists, nil
}

// Apply implements gateway.Resources.
func (l *Ledger) Apply(_ context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range objects {
		if err := l.allowed(o, api.Condition{Revision: o.Metadata.Revision}); err != nil {
			return nil, err
		}
	}
	if dryRun {
		return objects, nil
	}
	stored := make([]resource.Object, len(objects))
	for i, o := range objects {
		stored[i] = l.write(o)
	}
	return stored, nil
}

// Delete implements gateway.Resources.
func (l *Ledger) Delete(_ context.Context, kind, name string, revision uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.objects[key(kind, name)]
	switch {
	case l.Err != nil:
		return l.Err
	case !ok:
		return problem.ErrNotFound
	case revision != 0 && revision != old.Metadata.Revision:
		return problem.ErrConflict
	}
	delete(l.objects, key(kind, name))
	return nil
}

// Rollback implements gateway.Resources, for versions that were put there as name@version.
func (l *Ledger) Rollback(_ context.Context, function, version string) (resource.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Err != nil {
		return resource.Object{}, l.Err
	}
	if _, ok := l.objects[key(resource.KindFunction, function)]; !ok {
		return resource.Object{}, problem.ErrNotFound
	}
	o, ok := l.objects[key(resource.KindFunction, resource.VersionName(function, version))]
	if !ok {
		return o, problem.ErrNoVersion
	}
	o.Metadata.Name = function
	return l.write(o), nil
}

// Keep puts a version there that is not in force.
func (l *Ledger) Keep(o resource.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(o)
}

func (l *Ledger) allowed(o resource.Object, c api.Condition) error {
	old, exists := l.objects[key(o.Kind, o.Metadata.Name)]
	switch {
	case l.Err != nil:
		return l.Err
	case c.Absent && exists:
		return problem.ErrExists
	case c.Revision != 0 && c.Revision != old.Metadata.Revision:
		return problem.ErrConflict
	case l.Check != nil:
		return l.Check(o).Err()
	}
	return nil
}

func (l *Ledger) write(o resource.Object) resource.Object {
	if l.objects == nil {
		l.objects = map[string]resource.Object{}
	}
	l.revision++
	o.Metadata.Revision, o.Metadata.UpdatedAt = l.revision, time.Now().UTC()
	l.objects[key(o.Kind, o.Metadata.Name)] = o
	return o
}
