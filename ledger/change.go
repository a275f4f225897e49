package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Condition says what must hold of a resource for a change to happen. The zero
// value is Any.
type Condition struct {
	mustNotExist bool
	revision     uint64
}

// Any lets a change happen whatever is there.
func Any() Condition { return Condition{} }

// MustNotExist refuses to replace a resource (ErrExists).
func MustNotExist() Condition { return Condition{mustNotExist: true} }

// IfRevision refuses a change based on another revision than the resource has
// (ConflictError); 0 is Any, as in metadata.revision.
func IfRevision(revision uint64) Condition { return Condition{revision: revision} }

func (c Condition) argument() string {
	switch {
	case c.mustNotExist:
		return "!"
	case c.revision > 0:
		return strconv.FormatUint(c.revision, 10)
	}
	return ""
}

// write is one resource of a change.
type write struct {
	field string
	cond  Condition
	// object is nil for a deletion.
	object *resource.Object
	// digest and body are what is stored.
	digest, body string
	// done says whether the change wrote it; before is the stored document that stood there, "" none.
	done   bool
	before string
}

// Put creates or replaces one resource and returns it as it stands, with its
// revision and time. A write that changes nothing keeps both. Errors:
// ErrExists, ErrConflict, ErrHistory (undone), ErrUnavailable. The object's
// own metadata.revision is not looked at: that is what cond is for.
func (l *Ledger) Put(ctx context.Context, o resource.Object, cond Condition) (resource.Object, error) {
	w, err := l.newWrite(o, cond)
	if err != nil {
		return resource.Object{}, err
	}
	out, err := l.change(ctx, []write{w})
	if err != nil {
		return resource.Object{}, err
	}
	return out[0], nil
}

// Apply creates or replaces resources, all or none, at one revision: nobody
// sees half of them. It returns them as they stand, in the same order; those
// that do not change keep their revision and time. A resource that stands
// twice is a resource.Fault. Errors: as Put's.
func (l *Ledger) Apply(ctx context.Context, objects []resource.Object) ([]resource.Object, error) {
	edits := make([]Edit, len(objects))
	for i := range objects {
		edits[i].Object = objects[i]
	}
	return l.Change(ctx, edits)
}

// Edit is one resource of a Change.
type Edit struct {
	// Object is written; of one that is deleted kind and name are enough.
	Object resource.Object
	Delete bool
	// If must hold, or nothing of the change happens.
	If Condition
}

// Change carries out edits, all or none, at one revision. It returns what was
// written as it stands, in the order of the edits, with the zero Object for
// what was deleted. An edit that would change nothing still has its condition
// checked. A resource that stands twice is a resource.Fault. Errors: as Put's,
// and ErrNotFound for a deletion of what is not there.
func (l *Ledger) Change(ctx context.Context, edits []Edit) ([]resource.Object, error) {
	writes := make([]write, 0, len(edits))
	fields := make(map[string]bool, len(edits))
	for i := range edits {
		w, err := l.writeOf(&edits[i])
		if err != nil {
			return nil, err
		}
		if fields[w.field] {
			return nil, resource.Faults{{Field: w.field, Problem: "stands twice in one set"}}
		}
		fields[w.field] = true
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return nil, nil
	}
	return l.change(ctx, writes)
}

func (l *Ledger) writeOf(e *Edit) (write, error) {
	if e.Delete {
		return write{field: fieldOf(e.Object.Kind, e.Object.Metadata.Name), cond: e.If}, nil
	}
	return l.newWrite(e.Object, e.If)
}

// Delete removes one resource; ErrNotFound when there is none, else as Put.
func (l *Ledger) Delete(ctx context.Context, kind, name string, cond Condition) error {
	_, err := l.change(ctx, []write{{field: fieldOf(kind, name), cond: cond}})
	return err
}

func (l *Ledger) newWrite(o resource.Object, cond Condition) (write, error) {
	if o.Kind == "" || o.Metadata.Name == "" || strings.ContainsAny(o.Kind+o.Metadata.Name, "/ ") {
		return write{}, resource.Faults{{Field: fieldOf(o.Kind, o.Metadata.Name), Problem: "kind and metadata.name: want both, without '/' and spaces"}}
	}
	o.Metadata.Revision = 0
	o.Metadata.UpdatedAt = l.now().Truncate(time.Millisecond)
	o.Metadata.UID = resource.NewUID(o.Metadata.UpdatedAt)
	digest, err := digestOf(&o)
	if err != nil {
		return write{}, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return write{}, err
	}
	return write{field: fieldOf(o.Kind, o.Metadata.Name), cond: cond, object: &o, digest: digest, body: string(body)}, nil
}

// change writes to Redis, then to the history; what the history does not take
// is undone. It returns the objects as they stand, zero for deletions.
func (l *Ledger) change(ctx context.Context, writes []write) ([]resource.Object, error) {
	token := l.newToken()
	revision, err := l.writeRedis(ctx, token, writes)
	if errors.Is(err, errBehind) {
		if _, err = l.Heal(ctx); err != nil {
			return nil, err
		}
		if revision, err = l.writeRedis(ctx, token, writes); errors.Is(err, errBehind) {
			err = unavailable(ctx, err)
		}
	}
	if err != nil {
		return nil, err
	}
	l.saw(revision)
	objects, err := standing(revision, writes)
	if err != nil {
		return nil, err
	}
	return objects, l.recordChange(ctx, token, revision, writes)
}

// writeRedis runs changeScript and notes in writes what it did.
func (l *Ledger) writeRedis(ctx context.Context, token string, writes []write) (uint64, error) {
	args := make([]any, 0, 4+4*len(writes))
	args = append(args, l.keys.notice, l.seen.Load(), token, l.now().UnixMilli())
	for i := range writes {
		w := &writes[i]
		args = append(args, w.field, w.cond.argument(), w.digest, w.body)
	}
	out, err := l.run(ctx, changeScript, []string{l.keys.revision, l.keys.documents, l.keys.pending}, args...)
	if err != nil {
		return 0, err
	}
	if text(out, 0) != "ok" {
		return 0, refusal(out, writes)
	}
	for i := range writes {
		writes[i].done = text(out, 2+2*i) == "1"
		writes[i].before = text(out, 3+2*i)
		if err := writes[i].keepUID(); err != nil {
			return 0, err
		}
	}
	return strconv.ParseUint(text(out, 1), 10, 64)
}

// refusal turns the script's refusal into an error.
func refusal(out []any, writes []write) error {
	field := text(out, 1)
	switch text(out, 0) {
	case "behind":
		return errBehind
	case "exists":
		return fmt.Errorf("%s: %w", field, ErrExists)
	case "missing":
		return fmt.Errorf("%s: %w", field, ErrNotFound)
	case "conflict":
		e := &ConflictError{}
		e.Kind, e.Name, _ = strings.Cut(field, "/")
		e.Have, _ = strconv.ParseUint(text(out, 2), 10, 64)
		for i := range writes {
			if writes[i].field == field {
				e.Want = writes[i].cond.revision
			}
		}
		return e
	}
	return fmt.Errorf("%w: unexpected answer %q", ErrUnavailable, text(out, 0))
}

// standing returns the objects as they are after the change at revision.
func standing(revision uint64, writes []write) ([]resource.Object, error) {
	objects := make([]resource.Object, len(writes))
	for i := range writes {
		w := &writes[i]
		var err error
		switch {
		case w.object == nil:
		case w.done:
			w.object.Metadata.Revision = revision
			objects[i] = *w.object
		default:
			objects[i], err = decodeStored(w.field, w.before)
		}
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// text is the i-th element of a script's answer.
func text(out []any, i int) string {
	if i >= len(out) {
		return ""
	}
	s, _ := out[i].(string)
	return s
}
