package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/signalbox-dev/signalbox/resource"
)

// originAnnotation marks resources that a manifest directory brought, so that
// one which is gone from there is removed here.
const originAnnotation = "signalbox.dev/manifests"

// manifestStore is what syncing a directory needs of the resources.
type manifestStore interface {
	Apply(ctx context.Context, objects []resource.Object, dryRun bool) ([]resource.Object, error)
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
	if err := w.Add(m.dir); err != nil {
		return fmt.Errorf("watching %s: %w", m.dir, err)
	}
	m.sync(ctx)
	m.first()
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.Events:
			if resource.IsManifest(filepath.Base(ev.Name)) {
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
	if ctx.Err() == nil {
		m.applied(summary, err)
	}
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
	stored, err := m.store.Apply(ctx, manifests.Objects, false)
	if err != nil {
		var faults resource.Faults
		if errors.As(err, &faults) {
			return "", manifests.Locate(faults)
		}
		return "", err
	}
	names := make([]string, len(stored))
	for i := range stored {
		names[i] = strings.ToLower(stored[i].Kind) + "/" + stored[i].Metadata.Name
	}
	removed, err := m.prune(ctx, origin, here)
	summary := strings.Join(names, ", ")
	if len(removed) > 0 {
		summary += "; removed " + strings.Join(removed, ", ")
	}
	return summary, err
}

// prune removes what the directory brought once and does not hold any more.
// Versions of a function that are not in force go with the function.
func (m *manifestDir) prune(ctx context.Context, origin string, here map[string]bool) ([]string, error) {
	all, err := m.store.All(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, o := range all {
		_, _, version := resource.CutVersion(o.Metadata.Name)
		if o.Metadata.Annotations[originAnnotation] != origin || here[o.Kind+"/"+o.Metadata.Name] || version && o.Kind == resource.KindFunction {
			continue
		}
		if err := m.store.Remove(ctx, o.Kind, o.Metadata.Name); err != nil {
			return removed, err
		}
		removed = append(removed, strings.ToLower(o.Kind)+"/"+o.Metadata.Name)
	}
	return removed, nil
}
