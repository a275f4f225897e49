package access

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Kind is how an identity was established.
type Kind string

// The kinds of identities.
const (
	Anonymous   Kind = "anonymous"
	Key         Kind = "key"
	JWT         Kind = "jwt"
	Certificate Kind = "certificate"
)

// rootName is the name of the identity that presents the root key. No resource
// of kind Key can have it.
const rootName = "root"

// credential is a verified identity apart from where its request comes from.
// Nothing changes it after it was made, but its bucket.
type credential struct {
	kind  Kind
	name  string
	roles []string
	// attributes are what else is known, in the types of encoding/json.
	attributes map[string]any
	// sources and types restrict the events it may emit; none are all.
	sources, types []string
	// until is when it ends; zero is never.
	until time.Time
	// root stands above roles and management policies.
	root bool
	// bucket is what its events are taken from; nil is no bound.
	bucket *bucket
}

var anonymous = &credential{kind: Anonymous}

// Identity is who a request is from. The nil Identity is anonymous, from
// nowhere. It is safe for concurrent use.
type Identity struct {
	*credential
	address string
	input   atomic.Pointer[map[string]any]
}

func (i *Identity) known() *credential {
	if i == nil {
		return anonymous
	}
	return i.credential
}

// Kind is how it was established.
func (i *Identity) Kind() Kind { return i.known().kind }

// Name is the key's name, the token's subject or the certificate's; "" is anonymous.
func (i *Identity) Name() string { return i.known().name }

// Roles are its roles, those that mean something only to policies among them.
// They must not be changed.
func (i *Identity) Roles() []string { return i.known().roles }

// Address is the IP address the request came from, which may be a proxy's.
func (i *Identity) Address() string {
	if i == nil {
		return ""
	}
	return i.address
}

// Has reports whether it has one of the roles.
func (i *Identity) Has(roles ...string) bool {
	for _, r := range i.known().roles {
		if slices.Contains(roles, r) {
			return true
		}
	}
	return false
}

// Input is the identity as policies see it: kind, name, roles, address and
// attributes. It must not be changed.
func (i *Identity) Input() map[string]any {
	if i == nil {
		return inputOf(anonymous, "")
	}
	if in := i.input.Load(); in != nil {
		return *in
	}
	in := inputOf(i.credential, i.address)
	i.input.Store(&in)
	return in
}

func inputOf(c *credential, address string) map[string]any {
	in := map[string]any{"kind": string(c.kind), "name": c.name, "roles": anys(c.roles)}
	if address != "" {
		in["address"] = address
	}
	if c.attributes != nil {
		in["attributes"] = c.attributes
	}
	return in
}

func anys(all []string) []any {
	out := make([]any, len(all))
	for i := range all {
		out[i] = all[i]
	}
	return out
}

// Record is the identity for the decision log: Input without the attributes,
// which are a stranger's text and may be personal. nil is anonymous from nowhere.
func (i *Identity) Record() map[string]any {
	if i == nil {
		return nil
	}
	return inputOf(&credential{kind: i.kind, name: i.name, roles: i.roles}, i.address)
}

// String names it in messages, such as "key ci".
func (i *Identity) String() string {
	c := i.known()
	if c.name == "" {
		return string(c.kind)
	}
	return fmt.Sprintf("%s %s", c.kind, c.name)
}

// RefuseEvent says why the identity itself may not emit an event; "" is that it may.
func (i *Identity) RefuseEvent(e *event.Event) string {
	c := i.known()
	switch {
	case !fits(c.sources, e.Source):
		return fmt.Sprintf("%s may not emit events of this source", i)
	case !fits(c.types, e.Type):
		return fmt.Sprintf("%s may not emit events of this type", i)
	}
	return ""
}

// fits reports whether s is one of the patterns, exact or a prefix ending in '*'.
func fits(patterns []string, s string) bool {
	for _, p := range patterns {
		prefix, isPrefix := strings.CutSuffix(p, "*")
		if p == s || isPrefix && strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return len(patterns) == 0
}

// Take takes n events from what the identity may emit; a positive answer is
// the time after which to ask again, and then nothing was taken.
func (i *Identity) Take(n int, now time.Time) time.Duration {
	return i.known().bucket.take(n, now)
}

// ended reports whether the credential is past its end.
func (c *credential) ended(now time.Time) bool { return !c.until.IsZero() && !now.Before(c.until) }

// ofKey is the credential of a key; its hash is kept beside it.
func ofKey(k *resource.Key) *credential {
	c := &credential{kind: Key, name: k.Metadata.Name, roles: k.Spec.Roles, sources: k.Spec.Sources, types: k.Spec.Types}
	c.until, _ = k.Spec.ExpiresAt()
	if len(k.Metadata.Labels) > 0 {
		labels := make(map[string]any, len(k.Metadata.Labels))
		for name, v := range k.Metadata.Labels {
			labels[name] = v
		}
		c.attributes = map[string]any{"labels": labels}
	}
	return c
}
