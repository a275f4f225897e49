package app

import (
	"maps"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// policyObserver measures the policies.
func (a *App) policyObserver() policies.Observer {
	return policies.Observer{
		Evaluated: func(stage string, took time.Duration) { a.metrics.PolicyEvaluation(stage).Observe(took.Seconds()) },
		Failed:    func(e *policies.PolicyError) { a.metrics.PolicyFailed(e.Policy, string(e.Class)) },
	}
}

// shadowDiffers counts and writes down what policies in shadow mode would have
// decided otherwise.
func (a *App) shadowDiffers(ev *event.Event, d policies.ShadowDifference) {
	for _, policy := range d.Policies {
		for _, difference := range d.Differences() {
			a.metrics.PolicyWouldDiffer(policy, difference)
		}
	}
	a.decisions.record(shadowDecision(ev, d))
}

// shadowDecision is the difference as a record.
func shadowDecision(ev *event.Event, d policies.ShadowDifference) event.Decision {
	out := event.Decision{
		Kind: event.DecidedShadow, Revision: d.Revision, Policy: strings.Join(d.Policies, ", "),
		Newly: d.Newly, Stops: d.Stops, Reason: shadowReason(&d),
	}
	if ev != nil {
		out.Event = &event.DecidedEvent{Source: ev.Source, ID: ev.ID, Type: ev.Type, Size: len(ev.Data)}
	}
	if x := d.Admission; x != nil {
		out.Route, out.Method, out.Identity = x.Route, x.Method, withoutAttributes(x.Identity)
	}
	if x := d.Management; x != nil {
		out.Route, out.Method, out.Identity = x.Route, x.Method, withoutAttributes(x.Identity)
		out.Resource = resourceName(x.Resource)
	}
	return out
}

// shadowReason says what would have been decided, where the links do not.
func shadowReason(d *policies.ShadowDifference) string {
	switch {
	case d.Err != nil:
		return "would fail: " + d.Err.Error()
	case d.Verdict == nil:
		return ""
	case d.Verdict.Allowed:
		return "would be allowed"
	}
	return "would be refused: " + d.Verdict.Reason
}

// withoutAttributes leaves out of an identity what its token says of it: that
// may be nobody else's business.
func withoutAttributes(identity map[string]any) map[string]any {
	if _, has := identity["attributes"]; !has {
		return identity
	}
	identity = maps.Clone(identity)
	delete(identity, "attributes")
	return identity
}

func resourceName(o *resource.Object) string {
	if o == nil {
		return ""
	}
	return strings.TrimSuffix(o.Kind+"/"+o.Metadata.Name, "/")
}
