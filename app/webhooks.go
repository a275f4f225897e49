package app

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/webhook"
)

// webhookDesk has the webhooks in force.
type webhookDesk struct {
	secrets webhook.Secrets
	at      atomic.Pointer[map[string]compiledWebhook]
}

// compiledWebhook is a webhook with the resource it was compiled from.
type compiledWebhook struct {
	from *resource.Webhook
	hook *webhook.Hook
}

// use takes over a set, all of which compiles: it was checked before it was written.
func (d *webhookDesk) use(set *resource.Set) {
	before, next := d.at.Load(), make(map[string]compiledWebhook, len(set.Webhooks))
	for _, w := range set.Webhooks {
		if before != nil {
			if c, ok := (*before)[w.Metadata.Name]; ok && c.from.Metadata.Revision == w.Metadata.Revision && c.from.Metadata.UID == w.Metadata.UID {
				next[w.Metadata.Name] = c
				continue
			}
		}
		if hook, faults := webhook.Compile(w, d.secrets); len(faults) == 0 {
			next[w.Metadata.Name] = compiledWebhook{w, hook}
		}
	}
	d.at.Store(&next)
}

// checkWebhooks compiles the webhooks of a set.
func checkWebhooks(set *resource.Set) (faults resource.Faults) {
	for _, w := range set.Webhooks {
		_, f := webhook.Compile(w, nil)
		faults = append(faults, f...)
	}
	return faults
}

func (d *webhookDesk) find(name string) (*webhook.Hook, error) {
	if all := d.at.Load(); all != nil {
		if c, ok := (*all)[name]; ok {
			return c.hook, nil
		}
	}
	return nil, fmt.Errorf("webhook %s: %w", name, gateway.ErrNotFound)
}

// Take implements gateway.Webhooks.
func (d *webhookDesk) Take(name string, in *gateway.Delivery) (gateway.Taken, error) {
	hook, err := d.find(name)
	if err != nil {
		return gateway.Taken{}, err
	}
	r, err := hook.Take(webhookRequest(in))
	return taken(hook, r), webhookError(err)
}

// Challenge implements gateway.Webhooks.
func (d *webhookDesk) Challenge(name string, in *gateway.Delivery) ([]byte, error) {
	hook, err := d.find(name)
	if err != nil {
		return nil, err
	}
	answer, err := hook.Challenge(webhookRequest(in))
	return answer, webhookError(err)
}

// Preview implements gateway.Webhooks.
func (d *webhookDesk) Preview(name string, in *gateway.Delivery) (gateway.Taken, error, error) {
	hook, err := d.find(name)
	if err != nil {
		return gateway.Taken{}, nil, err
	}
	_, refusal := hook.Take(webhookRequest(in))
	r, err := hook.Preview(webhookRequest(in))
	return taken(hook, r), webhookError(refusal), webhookError(err)
}

func webhookRequest(in *gateway.Delivery) *webhook.Request {
	values := func(name string) []string { return in.Values(http.CanonicalHeaderKey(name)) }
	return &webhook.Request{Method: in.Method, Values: values, Query: in.Query, Body: in.Body, Loopback: in.Loopback, Now: in.Now}
}

func taken(hook *webhook.Hook, r webhook.Result) gateway.Taken {
	return gateway.Taken{Provider: hook.Provider(), Event: r.Event, Answer: r.Answer, ContentType: r.ContentType, Quiet: r.Quiet}
}

// webhookError says a refusal in the gateway's terms.
func webhookError(err error) error {
	var r *webhook.Refusal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, webhook.ErrNotHandshake):
		return gateway.ErrNotFound
	case !errors.As(err, &r):
		return err
	}
	causes := map[webhook.Reason]gateway.RefusalCause{
		webhook.Malformed: gateway.RefusalMalformed, webhook.NoSecret: gateway.RefusalNoSecret, webhook.NotLoopback: gateway.RefusalForbidden,
	}
	cause, ok := causes[r.Reason]
	if !ok {
		cause = gateway.RefusalUnverified
	}
	return &gateway.WebhookRefusal{Cause: cause, Detail: r.Detail, Err: r.Cause}
}
