package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// Manager decides by the policies who may manage what.
type Manager interface {
	// Manage answers for one request. An error refuses it too: a policy that
	// cannot be computed allows nobody. Safe for concurrent use.
	Manage(ctx context.Context, r *Request) (Verdict, error)
	// ManageAfter answers as Manage would after the change. An error is as in
	// Manage, or resource.Faults when the change would not be written anyhow.
	ManageAfter(ctx context.Context, r *Request, c Change) (Verdict, error)
}

// Verdict is the policies' answer.
type Verdict struct {
	Denied bool
	// Reason says why, Policy which policy; "" when none said so by name.
	Reason, Policy string
	// Ruled: a policy says who is allowed (a rule named allow), so that roles do not.
	Ruled bool
}

// Recorder keeps the decision log. It must not block, and is safe for concurrent use.
type Recorder interface{ Record(d event.Decision) }

// Request is what management policies are asked about.
type Request struct {
	Identity *Identity
	// Route is the pattern of the path, such as /api/v1/functions/:name.
	Route  string
	Method string
	Verb   Verb
	// Kind and Name say what it is about: a resource by its kind's name, else the
	// part of the path after /api/v1, such as deadletters. Name is "" for lists.
	Kind, Name string
	// Object is what is to be written, Before what is there now, where it is known
	// and the request is about one resource; nil else.
	Object, Before *resource.Object
}

// resource names what the request is about, for the decision log.
func (r *Request) resource() string {
	if r.Name == "" {
		return r.Kind
	}
	return r.Kind + "/" + r.Name
}

// Change is what a request does to the resources.
type Change struct {
	Written []resource.Object
	// Deleted are kinds and names of what is removed.
	Deleted []resource.Object
}

// policies reports whether the change touches any.
func (c *Change) policies() bool {
	for _, all := range [][]resource.Object{c.Written, c.Deleted} {
		for i := range all {
			if all[i].Kind == resource.KindPolicy {
				return true
			}
		}
	}
	return false
}

// Deps are what a Guard calls; all but Now and Logger may be nil, which is
// without policies, and without a decision log.
type Deps struct {
	Manager  Manager
	Recorder Recorder
	Now      func() time.Time
	Logger   *slog.Logger
}

// Guard knows who is who and what they may do. It is safe for concurrent use.
// The nil Guard takes everybody for anonymous and allows everything.
type Guard struct {
	config  Config
	deps    Deps
	root    *credential
	rootKey hash
	keys    keys
	tokens  *tokens
	buckets *buckets
	// failures bounds wrong credentials.
	failures failures
}

// New makes a guard; the configuration has been validated.
func New(c Config, d Deps) *Guard {
	g := &Guard{config: c, deps: d, buckets: &buckets{rate: c.Rate}}
	g.keys.buckets = g.buckets
	if c.RootKey != "" {
		g.root = &credential{kind: Key, name: rootName, roles: []string{resource.RoleAdmin}, root: true}
		g.rootKey = sha256.Sum256([]byte(c.RootKey))
		g.config.RootKey = ""
	}
	if c.Tokens != nil {
		g.tokens = newTokens(*c.Tokens, d.Now, g.buckets)
	}
	return g
}

// Required reports whether requests need credentials.
func (g *Guard) Required() bool { return g != nil && g.config.Required }

// LoadKeys swaps in the keys in force.
func (g *Guard) LoadKeys(all []*resource.Key) { g.keys.load(all) }

// Run keeps the keys of the OpenID provider fresh until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	if g == nil || g.tokens == nil || !g.config.Required {
		return
	}
	g.tokens.keys.run(ctx, g.deps.Logger)
}

// Identify finds out who a request is from and keeps it for Of. Without valid
// credentials the error is a problem document, mostly 401.
func (g *Guard) Identify(ctx *fasthttp.RequestCtx) error {
	return g.identify(ctx, func() ([]byte, error) { return bearer(&ctx.Request.Header) })
}

// IdentifyDelivery is Identify for a request that delivers events: its token may
// stand in the URL, as access_token.
func (g *Guard) IdentifyDelivery(ctx *fasthttp.RequestCtx) error {
	return g.identify(ctx, func() ([]byte, error) { return delivered(ctx) })
}

func (g *Guard) identify(ctx *fasthttp.RequestCtx, presented func() ([]byte, error)) error {
	if !g.Required() {
		return nil
	}
	c, err := g.credential(ctx, presented)
	if err != nil {
		return err
	}
	ctx.SetUserValue(userKey{}, identity(ctx, c))
	return nil
}

// credential: the token that is presented counts alone, else the connection's
// certificate does.
func (g *Guard) credential(ctx *fasthttp.RequestCtx, presented func() ([]byte, error)) (*credential, error) {
	token, err := presented()
	if err != nil {
		return nil, err
	}
	if token != nil {
		return g.ofToken(token, Source(ctx.RemoteAddr()))
	}
	c := certificateOf(ctx)
	switch {
	case c == nil:
		return nil, unauthorized("credentials are needed: Authorization: Bearer and a key's token")
	case c.name == "":
		return nil, unauthorized("the client certificate names nobody")
	case c.ended(g.deps.Now()):
		return nil, unauthorized("the client certificate has expired")
	}
	return c, nil
}

func (g *Guard) ofToken(token []byte, source netip.Addr) (*credential, error) {
	h := hash(sha256.Sum256(token))
	if g.root != nil && subtle.ConstantTimeCompare(h[:], g.rootKey[:]) == 1 {
		return g.root, nil
	}
	if name, ok := tokenName(token); ok {
		if !g.keys.loaded() {
			return nil, problem.New(problem.Unavailable, "the keys are not read yet")
		}
		c, err := g.ofKey(name, &h)
		if err != nil {
			return nil, g.failed(source, name, err)
		}
		return c, nil
	}
	if g.tokens == nil {
		return nil, g.failed(source, nil, invalid(errToken.Error()))
	}
	return g.ofJWT(token, &h, source)
}

// ofJWT verifies a token that was not verified before; from an address that sent too
// many wrong ones, in its turn: a signature of P-521 takes 2 ms.
func (g *Guard) ofJWT(token []byte, h *hash, source netip.Addr) (*credential, error) {
	if c, err := g.tokens.known(h); c != nil || err != nil {
		return c, asInvalid(err)
	}
	var c *credential
	err := g.doubted(g.failures.of(source.String()), doubt{source: source, detail: wrongCredentials}, func() (err error) {
		// The deadline is that of the fetch of keys, which alone may take time.
		c, err = g.tokens.identify(context.Background(), token, h)
		if errors.Is(err, errKeysMissing) {
			return problem.New(problem.Unavailable, "%s", err)
		}
		return asInvalid(err)
	}, wrongToken)
	return c, err
}

// wrongToken: the other errors are none of the token's.
func wrongToken(err error) bool {
	return problem.Of(err).Kind == problem.Unauthorized
}

func asInvalid(err error) error {
	if err == nil {
		return nil
	}
	return invalid(err.Error())
}

// ofKey tells only who has the token that the key is disabled or has expired.
func (g *Guard) ofKey(name []byte, h *hash) (*credential, error) {
	e := g.keys.find(name, h)
	switch {
	case e == nil:
		return nil, invalid(errToken.Error())
	case e.disabled:
		return nil, invalid("the key is disabled")
	case e.ended(g.deps.Now()):
		return nil, invalid("the key has expired")
	}
	return e.credential, nil
}

// Valid reports whether an identity would still be let in: its key is in force
// and has not ended. It is for what lasts longer than a request.
func (g *Guard) Valid(id *Identity) bool {
	if !g.Required() || id.known().root {
		return true
	}
	c := id.known()
	if c.ended(g.deps.Now()) {
		return false
	}
	return c.kind != Key || g.keys.inForce(c)
}

// Allow refuses with 403 what an identity may not do, and notes it in the
// decision log. The root key may do everything.
func (g *Guard) Allow(ctx context.Context, r *Request) error {
	if g == nil || r.Identity.known().root {
		return nil
	}
	var v Verdict
	if g.deps.Manager != nil {
		var err error
		if v, err = g.deps.Manager.Manage(ctx, r); err != nil {
			v = Verdict{Denied: true, Reason: "the management policy could not be computed"}
		}
	}
	if v = g.roles(r, v); !v.Denied {
		return nil
	}
	g.record(r, event.Decision{Policy: v.Policy, Reason: v.Reason})
	return problem.New(problem.Forbidden, "%s", orNoReason(v.Reason))
}

// roles completes the policies' verdict where none of them says who is allowed.
func (g *Guard) roles(r *Request, v Verdict) Verdict {
	if v.Denied || v.Ruled || !g.config.Required {
		return v
	}
	reason := lacks(r.Identity, rolesFor(r))
	return Verdict{Denied: reason != "", Reason: reason}
}

// LockedOut refuses with 422 a change of policies after which its author could
// not make the same change once more, and so not undo it.
func (g *Guard) LockedOut(ctx context.Context, r *Request, c Change) error {
	if g == nil || g.deps.Manager == nil || r.Identity.known().root || !c.policies() {
		return nil
	}
	again := *r
	if again.Verb == Delete { // what could not be put back
		again.Verb, again.Method, again.Object = Write, fasthttp.MethodPut, again.Before
	}
	v, err := g.deps.Manager.ManageAfter(ctx, &again, c)
	var faults resource.Faults
	if errors.As(err, &faults) || errors.Is(err, problem.ErrUnavailable) {
		return nil // the write itself will say so
	}
	if err != nil {
		v = Verdict{Denied: true, Reason: "the management policy could not be computed"}
	}
	if v = g.roles(&again, v); !v.Denied {
		return nil
	}
	return problem.New(problem.LockedOut, "after this change %s could not change %s again (%s); with force=true it is made all the same",
		r.Identity, again.resource(), orNoReason(v.Reason))
}

// Emitter says why an identity may not emit where no admission policy says who
// may; "" is that it may.
func (g *Guard) Emitter(id *Identity) string {
	if !g.Required() {
		return ""
	}
	return lacks(id, emitters())
}

// RefusedEvent notes an event that was refused.
func (g *Guard) RefusedEvent(id *Identity, route string, e *event.Event, policy, reason string) {
	if g == nil || g.deps.Recorder == nil {
		return
	}
	g.deps.Recorder.Record(event.Decision{
		Kind: event.DecidedAdmission, Time: g.deps.Now().UTC(), Identity: id.Record(), Route: route, Policy: policy, Reason: reason,
		Event: &event.DecidedEvent{Source: strings.Clone(e.Source), ID: strings.Clone(e.ID), Type: strings.Clone(e.Type), Size: len(e.Data)},
	})
}

// Done notes that a request was carried out, with the resource before and after.
func (g *Guard) Done(r *Request, before, after *resource.Object) {
	if g == nil || g.deps.Recorder == nil {
		return
	}
	g.record(r, Changed(before, after))
}

// DoneSaying is Done of what changed no resource, or one that the handler names,
// with what was asked for.
func (g *Guard) DoneSaying(r *Request, before, after *resource.Object, asked string) {
	if g == nil || g.deps.Recorder == nil {
		return
	}
	d := Changed(before, after)
	d.Reason = asked
	g.record(r, d)
}

func (g *Guard) record(r *Request, d event.Decision) {
	if g.deps.Recorder == nil {
		return
	}
	d.Kind, d.Time, d.Identity = event.DecidedManagement, g.deps.Now().UTC(), r.Identity.Record()
	d.Route, d.Method, d.Resource = r.Route, r.Method, r.resource()
	g.deps.Recorder.Record(d)
}

// recorded is a resource for the decision log, without what is secret of it.
func recorded(o *resource.Object) json.RawMessage {
	if o == nil {
		return nil
	}
	shown := *o
	shown.Status = nil
	if o.Kind == resource.KindKey {
		var s resource.KeySpec
		if json.Unmarshal(o.Spec, &s) != nil {
			return nil
		}
		if s.Hash != "" {
			s.Hash = resource.HashPrefix + "…"
		}
		shown.Spec, _ = json.Marshal(s)
	}
	b, err := json.Marshal(shown)
	if err != nil {
		return nil
	}
	return b
}

func orNoReason(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
