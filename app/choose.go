package app

import (
	"context"
	"errors"
	"net/http"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// chooser gives the dispatcher the policies' choice in its own terms.
type chooser struct{ engine *policies.Engine }

// Choose implements dispatcher.Chooser.
func (c chooser) Choose(ctx context.Context, rec *event.Record, buf []resource.Target) (dispatcher.Choice, error) {
	chosen, err := c.engine.Choose(ctx, rec.Event, rec.Key(), buf)
	if errors.Is(err, policies.ErrPolicy) {
		err = dispatcher.Final(err)
	}
	if err != nil {
		return dispatcher.Choice{Revision: chosen.Revision}, err
	}
	out := dispatcher.Choice{Targets: chosen.Targets, Revision: chosen.Revision}
	for _, d := range chosen.Denied {
		out.Denied = append(out.Denied, dispatcher.Denial{Link: d.Link, Function: d.Function, Reason: denialReason(d)})
	}
	return out, nil
}

// denialReason names the policy beside its reason.
func denialReason(d policies.Denial) string {
	if d.Policy == "" {
		return d.Reason
	}
	return "policy " + d.Policy + ": " + d.Reason
}

// admitter gives the gateway the admission policy's verdict in its own terms.
type admitter struct{ engine *policies.Engine }

// Admit implements gateway.Admitter.
func (a admitter) Admit(ctx context.Context, in gateway.Admission) (gateway.Verdict, error) {
	v := a.engine.Admit(ctx, policies.Admission{Event: in.Event, Route: in.Route, Method: http.MethodPost, Identity: in.Identity.Input()})
	return gateway.Verdict{Denied: !v.Allowed, Reason: v.Reason, Policy: v.Policy, Ruled: v.Ruled}, v.Err
}

// compileFilter compiles the CESQL expression of a subscriber.
func compileFilter(expression string) (func(*event.Event) bool, error) {
	f, faults := policies.NewFilter("filter", []resource.Filter{{SQL: expression}})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return f.Match, nil
}
