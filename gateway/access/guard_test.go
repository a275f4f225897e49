package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

const rootKey = "a-root-key-of-at-least-32-characters"

// book is a decision log.
type book struct{ all []event.Decision }

func (b *book) Record(d event.Decision) { b.all = append(b.all, d) }

// manager answers what it is told to.
type manager struct {
	now, after Verdict
	err        error
	asked      []*Request
}

func (m *manager) Manage(_ context.Context, r *Request) (Verdict, error) {
	m.asked = append(m.asked, r)
	return m.now, m.err
}

func (m *manager) ManageAfter(_ context.Context, r *Request, _ Change) (Verdict, error) {
	m.asked = append(m.asked, r)
	return m.after, m.err
}

func guardOf(t testing.TB, change func(*Config, *Deps), keys ...*resource.Key) *Guard {
	t.Helper()
	c, d := Config{Required: true, RootKey: rootKey}, Deps{Now: func() time.Time { return noon }, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c, &d)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	g := New(c, d)
	g.LoadKeys(keys)
	return g
}

// keyOf makes a key with its token.
func keyOf(name string, change func(*resource.KeySpec), roles ...string) (*resource.Key, string) {
	token, h := NewToken(name)
	k := &resource.Key{Metadata: resource.Metadata{Name: name, Revision: 1}, Spec: resource.KeySpec{Hash: h, Roles: roles}}
	if change != nil {
		change(&k.Spec)
	}
	return k, token
}

// request is one with that Authorization; "" is none.
func request(authorization ...string) *fasthttp.RequestCtx {
	var r fasthttp.Request
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&r, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}, nil)
	return &ctx
}

func identify(g *Guard, authorization ...string) (*Identity, *problem.Problem) {
	ctx := request(authorization...)
	if err := g.Identify(ctx); err != nil {
		return nil, problem.Of(err)
	}
	return Of(ctx), nil
}

func TestWhoIsLetIn(t *testing.T) {
	ci, token := keyOf("ci", nil, "emitter")
	off, offToken := keyOf("off", func(s *resource.KeySpec) { s.Disabled = true }, "emitter")
	old, oldToken := keyOf("old", func(s *resource.KeySpec) { s.Expires = "2026-11-21T12:00:00Z" }, "emitter")
	soon, soonToken := keyOf("soon", func(s *resource.KeySpec) { s.Expires = "2026-11-21T12:00:01Z" }, "emitter")
	bare, bareToken := keyOf("bare", func(s *resource.KeySpec) { s.Hash = "" }, "admin")
	g := guardOf(t, nil, ci, off, old, soon, bare)
	for name, c := range map[string]struct {
		authorization []string
		// who is in, or why not.
		who, why string
	}{
		"a key":                          {[]string{"Bearer " + token}, "key ci", ""},
		"the scheme in other case":       {[]string{"bEARER   " + token}, "key ci", ""},
		"the root key":                   {[]string{"Bearer " + rootKey}, "key root", ""},
		"a key that ends soon":           {[]string{"Bearer " + soonToken}, "key soon", ""},
		"nothing":                        {nil, "", "credentials are needed"},
		"an empty header":                {[]string{""}, "", "want the scheme"},
		"Basic":                          {[]string{"Basic " + token}, "", "want the scheme"},
		"no token":                       {[]string{"Bearer "}, "", "and a token"},
		"two tokens":                     {[]string{"Bearer " + token + " " + token}, "", "and a token"},
		"two headers":                    {[]string{"Bearer " + token, "Bearer " + token}, "", "more than one"},
		"an unknown key":                 {[]string{"Bearer sbk_nobody_AAAA"}, "", "not known"},
		"another secret":                 {[]string{"Bearer sbk_ci_AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "", "not known"},
		"another key's name":             {[]string{"Bearer " + strings.Replace(token, "sbk_ci", "sbk_off", 1)}, "", "not known"},
		"a part of a token":              {[]string{"Bearer " + token[:len(token)-1]}, "", "not known"},
		"a disabled key":                 {[]string{"Bearer " + offToken}, "", "disabled"},
		"the name of a disabled key":     {[]string{"Bearer sbk_off_AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "", "not known"},
		"an expired key":                 {[]string{"Bearer " + oldToken}, "", "expired"},
		"a key without a hash":           {[]string{"Bearer " + bareToken}, "", "not known"},
		"a token where none are taken":   {[]string{"Bearer e30.e30.e30"}, "", "not known"},
		"a hash, shown as the token":     {[]string{"Bearer " + ci.Spec.Hash[len(resource.HashPrefix):]}, "", "not known"},
		"the hash behind the key's name": {[]string{"Bearer sbk_ci_" + ci.Spec.Hash[len(resource.HashPrefix):]}, "", "not known"},
		"a token beyond all bounds":      {[]string{"Bearer " + strings.Repeat("a", maxToken+1)}, "", "and a token"},
	} {
		id, p := identify(g, c.authorization...)
		switch {
		case c.who != "":
			if p != nil || id.String() != c.who || id.Address() != "192.0.2.7" {
				t.Errorf("%s: %v, %v", name, id, p)
			}
		case p == nil:
			t.Errorf("%s: is let in as %v", name, id)
		case p.Status != 401 || !strings.HasPrefix(p.Challenge, "Bearer") || !strings.Contains(p.Detail, c.why) || strings.Contains(p.Detail, "sbk_"):
			t.Errorf("%s: %d %q, challenge %q", name, p.Status, p.Detail, p.Challenge)
		}
	}
}

func TestRevokedKeysAreOutAtOnce(t *testing.T) {
	ci, token := keyOf("ci", nil, "emitter")
	g := guardOf(t, nil, ci)
	id, _ := identify(g, "Bearer "+token)
	if !g.Valid(id) {
		t.Error("a key in force is not valid")
	}
	g.LoadKeys([]*resource.Key{ci})
	if again, _ := identify(g, "Bearer "+token); again.credential != id.credential {
		t.Error("loading the same key again makes another identity of it")
	}
	g.LoadKeys(nil)
	if _, p := identify(g, "Bearer "+token); p == nil || g.Valid(id) {
		t.Error("a key that was deleted is let in")
	}
}

func TestBeforeTheKeysAreReadNobodyIsRefused(t *testing.T) {
	g := New(Config{Required: true}, Deps{Now: time.Now})
	if _, p := identify(g, "Bearer sbk_ci_AAAA"); p == nil || p.Status != 503 || p.RetryAfter == 0 {
		t.Errorf("%+v: a client that retries would give up", p)
	}
}

func TestWithoutAuthenticationNobodyIsAsked(t *testing.T) {
	for name, g := range map[string]*Guard{"not required": guardOf(t, func(c *Config, _ *Deps) { c.Required = false }), "no guard": nil} {
		id, p := identify(g, "Bearer whatever", "Basic x")
		if p != nil || id.Kind() != Anonymous || id.Address() != "192.0.2.7" {
			t.Errorf("%s: %v, %v", name, id, p)
		}
		if err := g.Allow(t.Context(), &Request{Identity: id, Verb: Delete, Kind: resource.KindKey}); err != nil || g.Emitter(id) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRoles(t *testing.T) {
	management := &resource.Object{Kind: resource.KindPolicy, Spec: json.RawMessage(`{"rego":"# who\npackage signalbox.management\nallow if true"}`)}
	trigger := &resource.Object{Kind: resource.KindPolicy, Spec: json.RawMessage(`{"rego":"package signalbox.trigger"}`)}
	for name, c := range map[string]struct {
		request Request
		may     string
	}{
		"read functions":             {Request{Verb: Read, Kind: resource.KindFunction}, "viewer author admin root"},
		"read the history":           {Request{Verb: Read, Kind: "events"}, "viewer author admin root"},
		"read artifacts":             {Request{Verb: Read, Kind: Artifacts}, "author admin root"},
		"upload artifacts":           {Request{Verb: Act, Kind: Artifacts}, "author admin root"},
		"read keys":                  {Request{Verb: Read, Kind: resource.KindKey}, "admin root"},
		"write links":                {Request{Verb: Write, Kind: resource.KindLink}, "author admin root"},
		"delete links":               {Request{Verb: Delete, Kind: resource.KindLink}, "author admin root"},
		"write keys":                 {Request{Verb: Write, Kind: resource.KindKey}, "admin root"},
		"redrive":                    {Request{Verb: Act, Kind: "deadletters"}, "author admin root"},
		"report":                     {Request{Verb: Act, Kind: Deliveries}, "emitter author admin root"},
		"write trigger policies":     {Request{Verb: Write, Kind: resource.KindPolicy, Object: trigger}, "author admin root"},
		"write management policies":  {Request{Verb: Write, Kind: resource.KindPolicy, Object: management}, "admin root"},
		"replace management policy":  {Request{Verb: Write, Kind: resource.KindPolicy, Object: trigger, Before: management}, "admin root"},
		"delete management policies": {Request{Verb: Delete, Kind: resource.KindPolicy, Before: management}, "admin root"},
	} {
		var may []string
		books := &book{}
		g := guardOf(t, func(_ *Config, d *Deps) { d.Recorder = books })
		for _, role := range []string{"nothing", "emitter", "viewer", "author", "admin", "root"} {
			r := c.request
			r.Identity = &Identity{credential: &credential{kind: Key, name: "k", roles: []string{role}, root: role == "root"}}
			switch err := g.Allow(t.Context(), &r); {
			case err == nil:
				may = append(may, role)
			case problem.Of(err).Status != 403:
				t.Errorf("%s, %s: %v", name, role, err)
			}
		}
		if got := strings.Join(may, " "); got != c.may || len(books.all) != 6-len(may) {
			t.Errorf("%s: %s may, %d refusals noted; want %s", name, got, len(books.all), c.may)
		}
	}
}

func TestWhatMightBeAManagementPolicy(t *testing.T) {
	for rego, want := range map[string]bool{
		"package signalbox.management":                                  true,
		"# METADATA\n# package x\n\npackage\n signalbox.management # y": true,
		"package signalbox[\"management\"]":                             true,
		"package signalbox.management;import rego.v1":                   true,
		"\t package   signalbox.management.x":                           true,
		"package signalbox.trigger\n# signalbox.management":             false,
		"package teams": false,
		"not rego":      true,
		"":              false,
		"package":       true,
	} {
		spec, _ := json.Marshal(resource.PolicySpec{Rego: rego})
		if got := isManagement(&resource.Object{Kind: resource.KindPolicy, Spec: spec}); got != want {
			t.Errorf("%q: %t", rego, got)
		}
	}
}

func TestPoliciesTakeThePlaceOfRoles(t *testing.T) {
	viewer := &Identity{credential: &credential{kind: Key, name: "v", roles: []string{"viewer"}}}
	root := &Identity{credential: &credential{kind: Key, name: "root", root: true}}
	for name, c := range map[string]struct {
		verdict Verdict
		err     error
		id      *Identity
		want    string
	}{
		"a policy allows what the role does not": {Verdict{Ruled: true}, nil, viewer, ""},
		"no policy says who is allowed":          {Verdict{}, nil, viewer, "want one of author, admin"},
		"a policy denies":                        {Verdict{Denied: true, Reason: "freeze", Policy: "p"}, nil, viewer, "freeze"},
		"a policy fails":                         {Verdict{}, errors.New("secret"), viewer, "could not be computed"},
		"a policy denies root":                   {Verdict{Denied: true}, nil, root, ""},
	} {
		books := &book{}
		g := guardOf(t, func(_ *Config, d *Deps) { d.Manager, d.Recorder = &manager{now: c.verdict, err: c.err}, books })
		err := g.Allow(t.Context(), &Request{Identity: c.id, Verb: Write, Kind: resource.KindLink, Name: "l", Route: "/r", Method: "PUT"})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		d := books.all[0]
		if d.Kind != event.DecidedManagement || d.Allowed || d.Resource != "Link/l" || d.Route != "/r" || d.Method != "PUT" || d.Identity["name"] != "v" || d.Policy != c.verdict.Policy || !strings.Contains(d.Reason, c.want) {
			t.Errorf("%s: noted %+v", name, d)
		}
	}
}

func TestNobodyLocksHimselfOut(t *testing.T) {
	author := &Identity{credential: &credential{kind: Key, name: "a", roles: []string{"author"}}}
	policy := resource.Object{Kind: resource.KindPolicy, Metadata: resource.Metadata{Name: "p"}, Spec: json.RawMessage(`{"rego":"package signalbox.trigger"}`)}
	written := Change{Written: []resource.Object{policy}}
	for name, c := range map[string]struct {
		id     *Identity
		verb   Verb
		change Change
		after  Verdict
		err    error
		locked bool
	}{
		"all is well":                    {author, Write, written, Verdict{Ruled: true}, nil, false},
		"he is denied afterwards":        {author, Write, written, Verdict{Denied: true, Reason: "no"}, nil, true},
		"roles count, and are enough":    {author, Write, written, Verdict{}, nil, false},
		"a policy that fails":            {author, Write, written, Verdict{}, errors.New("eval"), true},
		"a policy that does not compile": {author, Write, written, Verdict{}, resource.Faults{{}}, false},
		"the root key":                   {&Identity{credential: &credential{root: true}}, Write, written, Verdict{Denied: true}, nil, false},
		"no policy among them":           {author, Write, Change{Written: []resource.Object{{Kind: resource.KindLink}}}, Verdict{Denied: true}, nil, false},
		"deleting one":                   {author, Delete, Change{Deleted: []resource.Object{policy}}, Verdict{Denied: true}, nil, true},
	} {
		m := &manager{after: c.after, err: c.err}
		g := guardOf(t, func(_ *Config, d *Deps) { d.Manager = m })
		err := g.LockedOut(t.Context(), &Request{Identity: c.id, Verb: c.verb, Kind: resource.KindPolicy, Name: "p", Before: &policy}, c.change)
		if got := err != nil && problem.Of(err).Kind == problem.LockedOut; got != c.locked {
			t.Errorf("%s: %v", name, err)
		}
		if c.verb == Delete && (m.asked[0].Verb != Write || m.asked[0].Object == nil) {
			t.Errorf("%s: asked about %+v: want writing it again", name, m.asked[0])
		}
	}
}

func TestAKeyIsBoundToSourcesAndTypes(t *testing.T) {
	c := &credential{kind: Key, name: "k", sources: []string{"/ci/*", "/x"}, types: []string{"build.*"}}
	id := &Identity{credential: c}
	for _, x := range []struct {
		source, typ string
		may         bool
	}{{"/ci/1", "build.done", true}, {"/x", "build.", true}, {"/ci", "build.done", false}, {"/xx", "build.done", false}, {"/x", "built", false}} {
		if got := id.RefuseEvent(&event.Event{Source: x.source, Type: x.typ}); (got == "") != x.may {
			t.Errorf("%+v: %q", x, got)
		}
	}
	if (&Identity{credential: &credential{}}).RefuseEvent(&event.Event{Source: "any"}) != "" {
		t.Error("no patterns are all")
	}
}

func TestRates(t *testing.T) {
	b := &bucket{rate: 10, burst: 10}
	at := noon
	if w := b.take(10, at); w != 0 {
		t.Errorf("a full bucket makes wait %s", w)
	}
	if w := b.take(1, at); w != 100*time.Millisecond {
		t.Errorf("wait %s, want 100ms", w)
	}
	at = at.Add(200 * time.Millisecond)
	if w := b.take(12, at); w != 0 {
		t.Errorf("a batch larger than what is there waits for ever: %s", w)
	}
	if w := b.take(1, at); w != 1100*time.Millisecond {
		t.Errorf("wait %s: want what the batch took too much made up for", w)
	}
	at = at.Add(time.Hour)
	if b.take(1, at); b.tokens != 9 {
		t.Errorf("%v left: want no more than the burst kept", b.tokens)
	}
	if w := b.take(0, at); w != 0 {
		t.Errorf("nothing takes %s", w)
	}
}

func TestARateIsTheIdentitysWhateverItPresents(t *testing.T) {
	s := &buckets{rate: 5}
	a := s.of(JWT, "ada", 0)
	if a != s.of(JWT, "ada", 0) || a == s.of(Key, "ada", 0) || a == s.of(JWT, "bob", 0) || a.rate != 5 {
		t.Error("want one bucket for each kind and name")
	}
	if s.of(Key, "k", 2).rate != 2 || s.of(Key, "k", 3).rate != 3 || (&buckets{}).of(Key, "k", 0) != nil {
		t.Error("want the key's own rate, and none where there is none")
	}
	for n := range 3 * maxBuckets {
		s.of(JWT, string(rune('a'+n%26))+time.Duration(n).String(), 0)
	}
	if n := len(s.new) + len(s.old); n > 2*maxBuckets {
		t.Errorf("%d buckets", n)
	}
}

// TestSecretsStayOut plants a key and a root key and looks for them in all that is told.
func TestSecretsStayOut(t *testing.T) {
	key, token := keyOf("canary", nil, "viewer")
	books, logs := &book{}, &bytes.Buffer{}
	g := guardOf(t, func(c *Config, d *Deps) {
		d.Recorder, d.Logger = books, slog.New(slog.NewTextHandler(logs, nil))
	}, key)
	id, p := identify(g, "Bearer "+token)
	if p != nil {
		t.Fatal(p)
	}
	spec, _ := json.Marshal(key.Spec)
	o := &resource.Object{Kind: resource.KindKey, Metadata: key.Metadata, Spec: spec, Status: json.RawMessage(`{"token":"` + token + `"}`)}
	r := &Request{Identity: id, Verb: Write, Kind: resource.KindKey, Name: "canary", Object: o}
	told := []any{g.Allow(t.Context(), r), g.LockedOut(t.Context(), r, Change{Written: []resource.Object{*o}}), id.Input(), id.String(), Config{RootKey: rootKey + "!"}.Validate(), g.config}
	g.Done(r, o, o)
	g.RefusedEvent(id, "/events", &event.Event{ID: "1"}, "", "no")
	for _, wrong := range []string{token + "x", strings.ToLower(token), rootKey + "x"} {
		_, p := identify(g, "Bearer "+wrong)
		told = append(told, p)
	}
	told = append(told, books.all, logs.String())
	for _, x := range told {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if e, ok := x.(error); ok {
			text += e.Error()
		}
		for _, secret := range []string{token, token[len("sbk_canary_"):], rootKey, key.Spec.Hash[len(resource.HashPrefix):]} {
			if strings.Contains(text, secret) {
				t.Errorf("%q holds the secret %q", text, secret)
			}
		}
	}
	if len(books.all) != 3 {
		t.Errorf("%d decisions noted: want the refusal, the change and the event", len(books.all))
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	tokens := func(change func(*JWTConfig)) Config {
		c := DefaultJWTConfig()
		c.Issuer, c.Audience = "https://id.example", "signalbox"
		change(&c)
		return Config{Tokens: &c}
	}
	for want, c := range map[string]Config{
		"RootKey of 5":             {RootKey: "short"},
		"RootKey: want letters":    {RootKey: rootKey + " "},
		"Rate -1":                  {Rate: -1},
		"Tokens.Issuer empty":      tokens(func(c *JWTConfig) { c.Issuer, c.KeysFile = "", "f" }),
		"Tokens.Audience empty":    tokens(func(c *JWTConfig) { c.Audience = "" }),
		"want an https URL":        tokens(func(c *JWTConfig) { c.KeysURL = "http://id.example/keys" }),
		"Tokens.Issuer (without":   tokens(func(c *JWTConfig) { c.Issuer = "ada" }),
		"want one of them at most": tokens(func(c *JWTConfig) { c.KeysURL, c.KeysFile = "https://a/", "f" }),
		"Tokens.RolesClaim empty":  tokens(func(c *JWTConfig) { c.RolesClaim = "" }),
		"Tokens.Skew 1h0m0s":       tokens(func(c *JWTConfig) { c.Skew = time.Hour }),
		"Tokens.Refresh 1s":        tokens(func(c *JWTConfig) { c.Refresh = time.Second }),
		"Tokens.MinRefetch 0s":     tokens(func(c *JWTConfig) { c.MinRefetch = 0 }),
		"Tokens.Timeout 1h0m0s":    tokens(func(c *JWTConfig) { c.Timeout = time.Hour }),
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, c := range []Config{{}, {RootKey: rootKey}, tokens(func(*JWTConfig) {}), tokens(func(c *JWTConfig) { c.KeysURL = "http://[::1]:80/keys" })} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9": true, "[::1]:80": true, "::1": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "localhost.example:80": false, "": false, "127.0.0.1.example:80": false,
	} {
		if Loopback(address) != want {
			t.Errorf("%q: %t", address, !want)
		}
	}
}

// FuzzAuthorization: whatever a stranger sends is refused with 401.
func FuzzAuthorization(f *testing.F) {
	key, token := keyOf("ci", nil, "admin")
	g := guardOf(f, func(c *Config, _ *Deps) {
		jwt := DefaultJWTConfig()
		jwt.Issuer, jwt.Audience, jwt.KeysFile = "https://id.example", "signalbox", "testdata/none.json"
		c.Tokens = &jwt
	}, key)
	for _, s := range []string{"Bearer " + token[:20], "Bearer sbk__", "Bearer sbk_ci_", "Basic Zm86YmFy", "bearer\t", "Bearer e30.e30.e30", "Bearer \x00", "Bearer sbk_\xff_a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		ctx := request()
		ctx.Request.Header.SetBytesV("Authorization", value)
		if strings.Contains(string(value), token) {
			return
		}
		err := g.Identify(ctx)
		if err == nil {
			t.Fatalf("%q is %v", value, Of(ctx))
		}
		if p := problem.Of(err); p.Status != 401 && p.Status != 429 && p.Status != 503 {
			t.Fatalf("%q: %v", value, err)
		}
	})
}
