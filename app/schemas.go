package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/schema"
)

// schemaDesk holds the schemas in force and checks events against them. It is a
// gateway.Validator.
type schemaDesk struct {
	checker   atomic.Pointer[schema.Checker]
	metrics   *metrics.Metrics
	decisions interface{ record(event.Decision) }
	log       *slog.Logger
	// loaded are the schemas of the last use, by name and revision; only use touches it.
	loaded []string
}

// use swaps in the schemas of a set. When one does not compile, which a write
// would have refused, those before stay in force. Schemas that are the same as
// before are not compiled again, since most changes are of something else. It is
// called by one goroutine at a time.
func (d *schemaDesk) use(set *resource.Set) {
	versions := make([]string, len(set.Schemas))
	for i, s := range set.Schemas {
		versions[i] = fmt.Sprint(s.Metadata.Name, " ", s.Metadata.UID, " ", s.Metadata.Revision)
	}
	if d.checker.Load() != nil && slices.Equal(versions, d.loaded) {
		return
	}
	d.loaded = versions
	c, faults := schema.Compile(*set, schema.DefaultConfig())
	for _, f := range faults {
		d.log.Error("schema cannot be used", "revision", set.Revision, "fault", f.String())
	}
	if len(faults) > 0 && d.checker.Load() != nil {
		return
	}
	d.checker.Store(c)
	names := make([]string, len(set.Schemas))
	for i, s := range set.Schemas {
		names[i] = s.Metadata.Name
	}
	d.metrics.RetainSchemas(names)
}

// names are the schemas that check events of a type.
func (d *schemaDesk) names(typ string) []string { return d.checker.Load().Names(typ) }

// Validate implements gateway.Validator.
func (d *schemaDesk) Validate(a gateway.Admission) []gateway.Violation {
	failures := d.checker.Load().Check(a.Event)
	if failures == nil {
		return nil
	}
	var refused []gateway.Violation
	for i := range failures {
		f := &failures[i]
		mode := resource.ModeEnforce
		if f.Warn {
			mode = resource.ModeWarn
		}
		d.note(a, f, mode)
		if f.Warn {
			continue
		}
		for _, v := range f.Violations {
			refused = append(refused, gateway.Violation{Schema: f.Schema, Path: v.Path, Keyword: v.Keyword, Detail: v.Problem})
		}
	}
	return refused
}

// reply notes the answer of a function that does not satisfy a schema. It is
// let in: the function has done its work.
func (d *schemaDesk) reply(e *event.Event) {
	failures := d.checker.Load().Check(e)
	for i := range failures {
		d.note(gateway.Admission{Event: e, Route: "reply"}, &failures[i], "reply")
	}
}

// note counts a failure and puts it into the decision log, with places and
// keywords, and without the sender's data.
func (d *schemaDesk) note(a gateway.Admission, f *schema.Failure, mode string) {
	d.metrics.SchemaViolation(f.Schema, mode)
	e := a.Event
	d.decisions.record(event.Decision{
		Kind: event.DecidedSchema, Revision: f.Revision, Identity: a.Identity.Record(), Route: a.Route, Allowed: mode != resource.ModeEnforce,
		Policy: resource.KindSchema + "/" + f.Schema, Reason: places(f),
		Event: &event.DecidedEvent{Source: strings.Clone(e.Source), ID: strings.Clone(e.ID), Type: strings.Clone(e.Type), Size: len(e.Data)},
	})
}

// places lists where data do not satisfy a schema.
func places(f *schema.Failure) string {
	var all []string
	for _, v := range f.Violations {
		switch {
		case v.Keyword == "":
			all = append(all, v.Problem)
		case v.Path == "":
			all = append(all, v.Keyword)
		default:
			all = append(all, v.Path+": "+v.Keyword)
		}
	}
	if more := f.Total - len(f.Violations); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

// referred refuses to take away a schema that another one refers to.
func (s *resourceStore) referred(ctx context.Context, name string) error {
	f, err := s.faultWithout(ctx, resource.KindSchema, name, schema.CheckSchemas)
	if f != nil {
		err = fmt.Errorf("%w: %s refers to it", gateway.ErrInUse, f.Resource)
	}
	return err
}
