package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/replay"
	"github.com/signalbox-dev/signalbox/resource"
)

// replayDesk checks the replays that are written, and adds their progress to
// those that are read.
type replayDesk struct {
	ledger *ledger.Ledger
	past   pastLog
	now    func() time.Time
}

// prepare checks the replays among objects and completes them, in place. With
// absent none of them may be there, which the ledger checks.
func (d *replayDesk) prepare(ctx context.Context, objects []resource.Object, absent bool) error {
	var faults resource.Faults
	var links map[string]*resource.Link
	for i := range objects {
		o := &objects[i]
		if o.Kind != resource.KindReplay {
			continue
		}
		o.Status = nil // only we know it
		if !absent {
			old, err := d.ledger.Get(ctx, o.Kind, o.Metadata.Name)
			if err == nil {
				faults = append(faults, sameReplay(o, &old)...)
				continue
			}
			if !errors.Is(err, ledger.ErrNotFound) {
				return ledgerError(err)
			}
		}
		if links == nil {
			var err error
			if links, err = d.links(ctx, objects); err != nil {
				return err
			}
		}
		faults = append(faults, d.complete(o, links)...)
	}
	for i := range faults {
		faults[i].Field = "spec" + faults[i].Field
	}
	return faults.Err()
}

// links are those in force, and those that come with objects.
func (d *replayDesk) links(ctx context.Context, objects []resource.Object) (map[string]*resource.Link, error) {
	_, current, err := d.ledger.Snapshot(ctx)
	if err != nil {
		return nil, ledgerError(err)
	}
	set, _ := resource.NewSet(0, append(others(current, objects), objects...))
	links := make(map[string]*resource.Link, len(set.Links))
	for _, l := range set.Links {
		links[l.Metadata.Name] = l
	}
	return links, nil
}

// sameReplay refuses to change a replay. What the gateway filled in stays.
func sameReplay(o, old *resource.Object) resource.Faults {
	var was, is resource.ReplaySpec
	if err := errors.Join(json.Unmarshal(old.Spec, &was), json.Unmarshal(o.Spec, &is)); err != nil {
		return replayFault(o, "", err.Error())
	}
	if is.To == "" {
		is.To = was.To
	}
	if is != was {
		return replayFault(o, "", "a replay cannot be changed: delete it, which cancels what is left of it, and create another")
	}
	o.Spec, o.Status = old.Spec, old.Status
	return nil
}

// complete checks what only the whole system knows, and fills in the end of the range.
func (d *replayDesk) complete(o *resource.Object, links map[string]*resource.Link) resource.Faults {
	var s resource.ReplaySpec
	if err := json.Unmarshal(o.Spec, &s); err != nil {
		return replayFault(o, "", err.Error())
	}
	var faults resource.Faults
	if links[s.Link] == nil {
		faults = append(faults, replayFault(o, ".link", fmt.Sprintf("%q: there is no such link: %s", s.Link, oneOfLinks(links)))...)
	}
	if s.Where != "" {
		if _, err := compileFilter(s.Where); err != nil {
			faults = append(faults, replayFault(o, ".where", strings.TrimPrefix(err.Error(), "filter[0].sql: "))...)
		}
	}
	if s.To == "" {
		s.To = d.now().UTC().Format(time.RFC3339Nano)
	}
	if from, ok := s.FromTime(); ok {
		if to, _ := s.ToTime(); !from.Before(to) {
			faults = append(faults, replayFault(o, ".from", fmt.Sprintf("%s: want a time before the end of the range, %s", s.From, s.To))...)
		}
	}
	var err error
	if o.Spec, err = json.Marshal(s); err != nil {
		return replayFault(o, "", err.Error())
	}
	return faults
}

func replayFault(o *resource.Object, field, problem string) resource.Faults {
	return resource.Faults{{Resource: o.Kind + "/" + o.Metadata.Name, Field: field, Problem: problem}}
}

// maxNamed bounds the links that a fault names.
const maxNamed = 20

func oneOfLinks(links map[string]*resource.Link) string {
	if len(links) == 0 {
		return "there is none at all"
	}
	names := slices.Sorted(maps.Keys(links))
	if extra := len(names) - maxNamed; extra > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", extra))
	}
	return "want one of " + strings.Join(names, ", ")
}

// statusTimeout bounds the questions about the progress of one answer.
const statusTimeout = 3 * time.Second

// addStatus gives replays their progress.
func (d *replayDesk) addStatus(ctx context.Context, objects []resource.Object) error {
	if len(objects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	links, err := d.links(ctx, nil)
	if err != nil {
		return err
	}
	extents, err := d.past.Extents(ctx)
	for i := range objects {
		o := &objects[i]
		set, faults := resource.NewSet(0, []resource.Object{*o})
		if len(faults) > 0 {
			continue
		}
		status := d.status(ctx, set.Replays[0], links, len(extents), err)
		b, err := json.Marshal(status)
		if err != nil {
			return err
		}
		o.Status = b
	}
	return nil
}

func (d *replayDesk) status(ctx context.Context, r *resource.Replay, links map[string]*resource.Link, partitions int, err error) resource.ReplayStatus {
	s := r.Status
	if s.Ended() {
		return s
	}
	if err == nil {
		s, err = replay.Status(ctx, d.past, partitions, r)
	}
	link := links[r.Spec.Link]
	switch {
	case err != nil:
		s.State, s.Message = resource.ReplayRunning, "the progress cannot be asked for: "+err.Error()
	case s.Ended():
	case link == nil:
		s.State, s.Message = resource.ReplayFailed, "link "+r.Spec.Link+" is gone"
	case link.Spec.Paused:
		s.State, s.Message = resource.ReplayWaiting, "link "+r.Spec.Link+" is paused"
	}
	return s
}
