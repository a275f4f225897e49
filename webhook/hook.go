package webhook

import (
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Secrets finds secrets by name; an error says where it looked. It must be
// safe for concurrent use and quick.
type Secrets interface {
	Lookup(name string) ([]byte, error)
}

// Hook is one webhook, compiled. It is immutable and safe for concurrent use.
type Hook struct {
	name    string
	spec    resource.WebhookSpec
	secrets Secrets
	verify  verifier
	own     attributes
	headers []string
	// set are the templates of attributes, extensions those of extensions by name.
	set        map[string]*template
	extensions map[string]*template
}

// Result is what became of a verified webhook.
type Result struct {
	// Event is what it says; nil when it was only to be answered.
	Event *event.Event
	// Answer, unless nil, is the body to answer with, and ContentType its type.
	Answer      []byte
	ContentType string
	// Quiet: the answer to an event must have no body, as the provider would take
	// it for instructions.
	Quiet bool
}

// Compile reads a webhook. Faults name the fields of its spec.
func Compile(w *resource.Webhook, secrets Secrets) (*Hook, resource.Faults) {
	h := &Hook{
		name: w.Metadata.Name, spec: w.Spec, secrets: secrets, verify: verifierOf(&w.Spec), own: attributesOf(&w.Spec), headers: headersOf(&w.Spec),
		set: map[string]*template{}, extensions: map[string]*template{},
	}
	var faults resource.Faults
	compile := func(into map[string]*template, field, name, src string) {
		if src == "" {
			return
		}
		t, err := compileTemplate(src, h.name)
		if err != nil {
			faults = append(faults, resource.Fault{Resource: resource.KindWebhook + "/" + h.name, Field: field, Problem: err.Error()})
			return
		}
		into[name] = t
	}
	e := &w.Spec.Event
	for name, src := range map[string]string{"id": e.ID, "type": e.Type, "source": e.Source, "subject": e.Subject, "time": e.Time} {
		compile(h.set, "spec.event."+name, name, src)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		compile(h.extensions, "spec.event.extensions."+name, name, e.Extensions[name])
		if strings.HasPrefix(name, "auth") {
			faults = append(faults, resource.Fault{Resource: resource.KindWebhook + "/" + h.name, Field: "spec.event.extensions." + name,
				Problem: "names beginning with auth say who sent an event: only Signalbox sets them"})
		}
	}
	return h, faults
}

// Provider is the webhook's.
func (h *Hook) Provider() string { return h.spec.Provider }

// Take verifies a POST and makes its event. Errors are *Refusal.
func (h *Hook) Take(r *Request) (Result, error) {
	if err := h.check(r); err != nil {
		return Result{}, err
	}
	p := &payload{r: r}
	if answer, ok := h.handshake(p); ok {
		return answer, nil
	}
	if err := h.named(r); err != nil {
		return Result{}, err
	}
	e, err := h.event(p)
	return Result{Event: e, Quiet: h.spec.Provider == resource.ProviderTwilio}, err
}

// Preview makes the event of a payload without verifying it.
func (h *Hook) Preview(r *Request) (Result, error) {
	p := &payload{r: r}
	if answer, ok := h.handshake(p); ok {
		return answer, nil
	}
	e, err := h.event(p)
	return Result{Event: e}, err
}

// check verifies the raw request by the secrets that can be found.
func (h *Hook) check(r *Request) error {
	var found [][]byte
	var missing error
	for _, name := range h.spec.Secrets {
		s, err := h.secrets.Lookup(name)
		if err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		found = append(found, s)
	}
	if len(found) == 0 && len(h.spec.Secrets) > 0 {
		return &Refusal{Reason: NoSecret, Detail: "the webhook's secret is not set up; come again later", Cause: missing}
	}
	return h.verify(r, found)
}

// named wants the headers by which a provider says what a delivery is and which one: without its id
// a delivery that is sent again would be another event. Templates that say so themselves need none.
func (h *Hook) named(r *Request) error {
	for _, n := range namesOf(h.spec.Provider) {
		there := func(name string) bool { return strings.Join(r.Values(name), "") != "" }
		if h.set[n.attribute] == nil && !slices.ContainsFunc(n.headers, there) {
			return refuse(Malformed, "header %s is missing", n.headers[0])
		}
	}
	return nil
}

// event makes the event: what the templates say goes before the provider's rules.
func (h *Hook) event(p *payload) (*event.Event, error) {
	a := attributesFound{}
	for _, name := range h.headers {
		if n := len(p.r.Values(name)); n > 1 {
			return nil, refuse(Malformed, "header %s stands %d times: want it once", name, n)
		}
	}
	if h.own != nil {
		a = h.own(p)
	}
	for name, field := range map[string]*string{"id": &a.id, "type": &a.typ, "source": &a.source, "subject": &a.subject, "time": &a.time} {
		t := h.set[name]
		if t == nil {
			continue
		}
		text, ok := t.make(p)
		if !ok && (name == "type" || name == "source" || name == "id") {
			return nil, refuse(Malformed, "event %s: the request has not what %s needs", name, t.source)
		}
		*field = text
	}
	e := &event.Event{ID: a.id, Type: a.typ, Source: a.source, Subject: a.subject, Data: p.r.Body, DataContentType: p.r.contentType()}
	h.complete(e, &a, p)
	for name, t := range h.extensions {
		if text, ok := t.make(p); ok {
			e.SetExtension(name, text)
		}
	}
	if err := e.Validate(); err != nil {
		return nil, refuse(Malformed, "the event it would become: %v", err)
	}
	return e, nil
}

// complete fills in what the provider's rules leave open.
func (h *Hook) complete(e *event.Event, a *attributesFound, p *payload) {
	if e.ID == "" {
		e.ID = rand.Text()
	}
	if e.Source == "" {
		e.Source = "/webhooks/" + h.name
	}
	if e.Type == "" {
		e.Type = "com.signalbox.webhook." + h.name
	}
	if a.data != nil {
		e.Data, e.DataContentType = a.data, "application/json"
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	e.Time = readTime(a.time)
	if e.Time == "" {
		e.Time = p.r.Now.UTC().Format(time.RFC3339Nano)
	}
	for _, x := range h.provenance() {
		e.SetExtension(x.Name, x.Value)
	}
}

// provenance says who sent the event (CloudEvents extension "Auth Context", with
// the scheme beside it). Only the gateway sets these.
func (h *Hook) provenance() []event.Attribute {
	if h.spec.Provider == resource.ProviderNone {
		return []event.Attribute{{Name: "authtype", Value: "unauthenticated"}}
	}
	return []event.Attribute{
		{Name: "authtype", Value: "service_account"},
		{Name: "authid", Value: "webhook:" + h.name},
		{Name: "authscheme", Value: h.spec.Provider},
	}
}
