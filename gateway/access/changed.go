package access

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// What is said of a change at most.
const (
	maxChanged     = 50
	maxChangedPath = 200
)

// Changed is the decision about a change that was carried out: the resource
// before and after it, without what is secret of it, and what differs. nil is
// that there was, or is, none.
func Changed(before, after *resource.Object) event.Decision {
	d := event.Decision{Kind: event.DecidedManagement, Allowed: true, Before: recorded(before), After: recorded(after)}
	if about := after; about != nil {
		d.Revision = about.Metadata.Revision
		d.Resource = about.Kind + "/" + about.Metadata.Name
	} else if before != nil {
		d.Resource = before.Kind + "/" + before.Metadata.Name
	}
	if before != nil && after != nil {
		d.Changed = differences(before, after)
	}
	return d
}

// differences are the paths at which two resources differ, sorted, but for what
// every change changes. They are those of secrets too: paths hold no values.
func differences(a, b *resource.Object) []string {
	var x, y any
	if decode(a, &x) != nil || decode(b, &y) != nil {
		return nil
	}
	var out []string
	walk("", x, y, func(path string) bool {
		switch path {
		case "metadata.revision", "metadata.updatedAt":
			return true
		}
		if len(out) == maxChanged {
			out = append(out, "…")
			return false
		}
		if len(path) > maxChangedPath {
			path = path[:maxChangedPath] + "…"
		}
		out = append(out, path)
		return true
	})
	return out
}

func decode(o *resource.Object, into *any) error {
	plain := *o
	plain.Status = nil
	b, err := json.Marshal(&plain)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(into)
}

// walk calls differs with the path of every leaf, or part that only one of them has, in
// which x and y differ, until it returns false.
func walk(path string, x, y any, differs func(string) bool) bool {
	switch a := x.(type) {
	case map[string]any:
		if b, ok := y.(map[string]any); ok {
			return walkMap(path, a, b, differs)
		}
	case []any:
		if b, ok := y.([]any); ok && len(a) == len(b) {
			for i := range a {
				if !walk(path+"["+strconv.Itoa(i)+"]", a[i], b[i], differs) {
					return false
				}
			}
			return true
		}
	default:
		switch y.(type) {
		case map[string]any, []any:
		default:
			if x == y {
				return true
			}
		}
	}
	return differs(path)
}

func walkMap(path string, a, b map[string]any, differs func(string) bool) bool {
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		v, in := a[name]
		w, also := b[name]
		if in && also {
			if !walk(at, v, w, differs) {
				return false
			}
		} else if !differs(at) {
			return false
		}
	}
	return true
}
