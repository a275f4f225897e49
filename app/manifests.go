package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

// originAnnotation marks resources that a manifest directory brought, so that
// one which is gone from there is removed here.
const originAnnotation = "signalbox.dev/manifests"

// manifestStore is what syncing a directory needs of the resources.
type manifestStore interface {
	Replace(ctx context.Context, objects, gone []resource.Object) ([]resource.Object, error)
	All(ctx context.Context) ([]resource.Object, error)
	Remove(ctx context.Context, kind, name string) error
}

// manifestDir applies a directory of manifests and keeps the resources as the
// directory says.
type manifestDir struct {
	dir     string
	store   manifestStore
	log     *slog.Logger
	applied func(summary string, err error)
	// first is called after the directory was read for the first time.
	first func()
	// decisions are told of every change; nil: nobody is.
	decisions *decisionLog
	// graph, unless nil, is that of the resources in force: warned is told what a
	// change makes wrong in it, and at first what is wrong. shown is the last one.
	graph  func(ctx context.Context) (*graph.Graph, error)
	warned func(text string)
	shown  *graph.Graph
}

// settleTime is how long a change waits for the next one: editors write a file in steps.
const settleTime = 50 * time.Millisecond

// run applies the directory now and after each change, until ctx ends. A wrong
// manifest changes nothing and is reported.
func (m *manifestDir) run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", m.dir, err)
	}
	defer w.Close()
	if err := watchTree(w, m.dir); err != nil {
		return fmt.Errorf("watching %s: %w", m.dir, err)
	}
	m.sync(ctx)
	m.tellOthers(ctx)
	m.first()
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.Events:
			if m.concerns(w, ev) {
				settled.Reset(settleTime)
			}
		case err := <-w.Errors:
			m.log.Warn("watching manifests", "dir", m.dir, "error", err)
		case <-settled.C:
			m.sync(ctx)
		}
	}
}

// sync makes the resources those of the directory, and reports.
func (m *manifestDir) sync(ctx context.Context) {
	summary, err := m.apply(ctx)
	if ctx.Err() != nil {
		return
	}
	m.applied(summary, err)
	if err == nil && m.graph != nil {
		m.warn(ctx)
	}
}

// tellOthers warns of resources that other directories have left in the same data:
// who forgot about them is surprised by what else runs.
func (m *manifestDir) tellOthers(ctx context.Context) {
	origin, err := filepath.Abs(m.dir)
	if m.warned == nil || err != nil {
		return
	}
	all, err := m.store.All(ctx)
	if err != nil {
		return
	}
	left := slices.DeleteFunc(all, func(o resource.Object) bool {
		_, _, version := resource.CutVersion(o.Metadata.Name)
		return o.Metadata.Annotations[originAnnotation] == origin || version && isFunction(o) || o.Kind == resource.KindKey
	})
	if len(left) > 0 {
		m.warned("in force too, from before: " + strings.Join(namesOf(left), ", ") + " (`signalbox delete` removes one, and another --data has none)")
	}
}

// warn tells what the last change made wrong.
func (m *manifestDir) warn(ctx context.Context) {
	now, err := m.graph(ctx)
	if err != nil {
		m.log.Warn("no warnings about the manifests", "error", err)
		return
	}
	if m.shown == nil {
		m.shown = &graph.Graph{}
	}
	for _, f := range graph.Introduced(m.shown, now) {
		m.warned(f.Text)
	}
	m.shown = now
}

func (m *manifestDir) apply(ctx context.Context) (string, error) {
	manifests, err := resource.LoadManifests(m.dir)
	if err != nil {
		return "", err
	}
	origin, err := filepath.Abs(m.dir)
	if err != nil {
		return "", err
	}
	here := map[string]bool{}
	for i := range manifests.Objects {
		o := &manifests.Objects[i]
		if o.Metadata.Annotations == nil {
			o.Metadata.Annotations = map[string]string{}
		}
		o.Metadata.Annotations[originAnnotation] = origin
		here[o.Kind+"/"+o.Metadata.Name] = true
	}
	current, err := m.store.All(ctx)
	if err != nil {
		return "", err
	}
	gone := goneFrom(current, origin, here)
	left := slices.DeleteFunc(slices.Clone(gone), isFunction)
	stored, err := m.store.Replace(ctx, manifests.Objects, left)
	if err != nil {
		var faults resource.Faults
		if errors.As(err, &faults) {
			return "", manifests.Locate(faults)
		}
		return "", err
	}
	summary := strings.Join(namesOf(stored), ", ")
	if len(gone) > 0 {
		summary += "; removed " + strings.Join(namesOf(gone), ", ")
	}
	if err = m.removeFunctions(ctx, gone); err != nil {
		gone = left // what is noted; what else went is removed, and noted, next time
	}
	m.decisions.changed(map[string]any{"kind": "manifests", "name": origin}, current, stored, gone)
	return summary, err
}

// goneFrom is what the directory brought once and does not hold any more. Versions
// of a function that are not in force go with the function.
func goneFrom(all []resource.Object, origin string, here map[string]bool) []resource.Object {
	return slices.DeleteFunc(slices.Clone(all), func(o resource.Object) bool {
		_, _, version := resource.CutVersion(o.Metadata.Name)
		return o.Metadata.Annotations[originAnnotation] != origin || here[o.Kind+"/"+o.Metadata.Name] || version && isFunction(o)
	})
}

// removeFunctions removes the functions, with all their versions.
func (m *manifestDir) removeFunctions(ctx context.Context, gone []resource.Object) error {
	for _, o := range gone {
		if !isFunction(o) {
			continue
		}
		if err := m.store.Remove(ctx, o.Kind, o.Metadata.Name); err != nil {
			return err
		}
	}
	return nil
}

func isFunction(o resource.Object) bool { return o.Kind == resource.KindFunction }

// namesOf names resources as commands do.
func namesOf(objects []resource.Object) []string {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = strings.ToLower(o.Kind) + "/" + o.Metadata.Name
	}
	return names
}
