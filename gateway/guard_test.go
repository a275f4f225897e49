package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/resource"
)

const rootKey = "a-root-key-of-at-least-32-characters"

// ledgerOfDecisions is a decision log.
type ledgerOfDecisions struct {
	mu  sync.Mutex
	all []event.Decision
}

func (l *ledgerOfDecisions) Record(d event.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *ledgerOfDecisions) take() []event.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// guardedRig is a gateway that needs credentials, with a key for each role.
type guardedRig struct {
	*rig
	decisions *ledgerOfDecisions
	tokens    map[string]string
	keys      []*resource.Key
}

func startGuarded(t testing.TB, change func(*Config, *Deps)) *guardedRig {
	t.Helper()
	g := &guardedRig{decisions: &ledgerOfDecisions{}, tokens: map[string]string{"root": rootKey}}
	g.rig = start(t, func(c *Config, d *Deps) {
		c.Access = access.Config{Required: true, RootKey: rootKey}
		d.Recorder = g.decisions
		withMetrics(c, d)
		if change != nil {
			change(c, d)
		}
	})
	for _, role := range []string{"nothing", "emitter", "viewer", "author", "admin"} {
		g.key(role, resource.KeySpec{Roles: []string{role}})
	}
	return g
}

// key adds a key and remembers its token by its name.
func (g *guardedRig) key(name string, spec resource.KeySpec) {
	var token string
	token, spec.Hash = access.NewToken(name)
	g.keys = append(g.keys, &resource.Key{Metadata: resource.Metadata{Name: name, Revision: uint64(len(g.keys) + 1)}, Spec: spec})
	g.tokens[name] = token
	g.server.LoadKeys(g.keys)
}

// as asks with the token of a key; "" is none.
func (g *guardedRig) as(who, method, path, body string, headers ...string) answer {
	g.t.Helper()
	if who != "" {
		headers = append(headers, "Authorization", "Bearer "+g.tokens[who])
	}
	return g.do(method, path, body, headers...)
}

// bodies are what each kind is written as.
func bodies(name string) map[string]string {
	all := map[string]string{}
	for kind, spec := range map[string]string{
		resource.KindFunction: `{"url":"http://127.0.0.1:1/"}`, resource.KindLink: `{"function":"f","types":["t"]}`, resource.KindPolicy: `{"rego":"package signalbox.trigger"}`,
		resource.KindSchema: `{"types":["t"],"schema":{}}`, resource.KindReplay: `{"link":"l","from":"earliest"}`, resource.KindKey: `{"roles":["viewer"]}`,
		resource.KindWebhook: `{"provider":"none"}`,
	} {
		all[kind] = `{"apiVersion":"signalbox.dev/v1","kind":"` + kind + `","metadata":{"name":"` + name + `"},"spec":` + spec + `}`
	}
	return all
}

// call is a request that a route takes.
func (g *guardedRig) call(who string, r route) answer {
	path := strings.NewReplacer(":name", "x", ":id", "1-1-0000000000000000", ":token", "f~l~0~1~1").Replace(r.path)
	body, headers := "", []string(nil)
	rule := ruleOf(r.method, r.path)
	switch {
	case r.path == "/events":
		body, headers = structured, []string{"Content-Type", event.ContentTypeJSON}
	case r.path == "/api/v1/apply":
		body, headers = bodies("x")[resource.KindLink], []string{"Content-Type", asJSON}
	case r.method == "PATCH":
		body, headers = "{}", []string{"Content-Type", asPatch}
	case rule.inside && r.method != "DELETE":
		body, headers = bodies("x")[rule.kind], []string{"Content-Type", asJSON}
	}
	return g.as(who, r.method, path, body, headers...)
}

func TestEveryRouteButTheOpenOnesNeedsCredentials(t *testing.T) {
	g := startGuarded(t, nil)
	open := []string{"OPTIONS /events", "GET /", "GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json"}
	for _, r := range g.server.routes {
		name := r.method + " " + r.path
		if strings.HasPrefix(r.path, "/webhooks/") {
			continue // asks for signatures
		}
		a := g.call("", r)
		if slices.Contains(open, name) {
			if a.StatusCode != 200 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
			continue
		}
		if a.refused(t, 401, "unauthorized"); a.Header.Get("WWW-Authenticate") != `Bearer realm="signalbox"` {
			t.Errorf("%s: WWW-Authenticate %q", name, a.Header.Get("WWW-Authenticate"))
		}
		if a := g.do("HEAD", r.path, ""); r.method == "GET" && a.StatusCode != 401 {
			t.Errorf("HEAD %s: %d", r.path, a.StatusCode)
		}
	}
	if all := g.decisions.take(); len(all) > 0 {
		t.Errorf("%d decisions noted: strangers must not fill the log", len(all))
	}
	if len(g.log.Records()) > 0 {
		t.Error("an event of nobody is in the log")
	}
}

func TestEveryRouteButTheOpenOnesNeedsARole(t *testing.T) {
	g := startGuarded(t, nil)
	for _, body := range bodies("x") {
		var o resource.Object
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.ledger.Put(t.Context(), o, Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range g.server.routes {
		if ruleOf(r.method, r.path).open {
			continue
		}
		a := g.call("nothing", r)
		a.refused(t, 403, "forbidden")
		if all := g.decisions.take(); len(all) != 1 || all[0].Allowed || all[0].Identity["name"] != "nothing" || all[0].Route != r.path {
			t.Errorf("%s %s: noted %+v", r.method, r.path, all)
		}
	}
	g.as("nothing", "DELETE", "/api/v1/links/absent", "").refused(t, 403, "forbidden") // nor whether there is one
	if len(g.log.Records()) > 0 {
		t.Error("an event of an identity without a role is in the log")
	}
}

func TestWhatEachRoleDoes(t *testing.T) {
	g := startGuarded(t, nil)
	for _, x := range []struct{ method, path, kind, may string }{
		{"POST", "/events", "", "emitter admin root"},
		{"GET", "/api/v1/events", "", "viewer author admin root"},
		{"GET", "/api/v1/keys", "", "admin root"},
		{"PUT", "/api/v1/keys/x", resource.KindKey, "admin root"},
		{"PUT", "/api/v1/links/x", resource.KindLink, "author admin root"},
		{"POST", "/api/v1/deadletters/drop?all=true", "", "author admin root"},
		{"POST", "/api/v1/deliveries/f~l~0~1~1/complete", "", "emitter author admin root"},
	} {
		var may []string
		for _, who := range []string{"nothing", "emitter", "viewer", "author", "admin", "root"} {
			body, contentType := bodies("x")[x.kind], asJSON
			if x.path == "/events" {
				body, contentType = structured, event.ContentTypeJSON
			}
			a := g.as(who, x.method, x.path, body, "Content-Type", contentType)
			switch a.StatusCode {
			case 200, 201, 202:
				may = append(may, who)
			case 403:
			default:
				t.Errorf("%s %s as %s: %d %s", x.method, x.path, who, a.StatusCode, a.body)
			}
		}
		if got := strings.Join(may, " "); got != x.may {
			t.Errorf("%s %s: %s may, want %s", x.method, x.path, got, x.may)
		}
	}
}

func TestATokenIsShownOnce(t *testing.T) {
	g := startGuarded(t, nil)
	a := g.as("admin", "POST", "/api/v1/keys", bodies("ci")[resource.KindKey])
	var made struct {
		Metadata resource.Metadata
		Spec     resource.KeySpec
		Status   struct{ Token string }
	}
	if err := json.Unmarshal(a.body, &made); err != nil || a.StatusCode != 201 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s %v", a.StatusCode, a.body, a.Header)
	}
	if !strings.HasPrefix(made.Status.Token, "sbk_ci_") || access.HashOf(made.Status.Token) != made.Spec.Hash {
		t.Fatalf("%s", a.body)
	}
	secret := strings.TrimPrefix(made.Status.Token, "sbk_ci_")
	for _, x := range [][2]string{{"GET", "/api/v1/keys/ci"}, {"GET", "/api/v1/keys"}} {
		if a := g.as("admin", x[0], x[1], ""); a.StatusCode != 200 || strings.Contains(string(a.body), secret) {
			t.Errorf("%v: %d %s", x, a.StatusCode, a.body)
		}
	}
	g.keys = append(g.keys, &resource.Key{Metadata: made.Metadata, Spec: made.Spec})
	g.server.LoadKeys(g.keys)
	g.tokens["ci"] = made.Status.Token
	if a := g.as("ci", "GET", "/api/v1/links", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}

	for name, x := range map[string][3]string{
		"put":   {"PUT", "/api/v1/keys/ci", strings.Replace(bodies("ci")[resource.KindKey], "viewer", "author", 1)},
		"apply": {"POST", "/api/v1/apply", strings.Replace(bodies("ci")[resource.KindKey], "viewer", "emitter", 1)},
	} {
		a := g.as("admin", x[0], x[1], x[2], "Content-Type", asJSON)
		if a.StatusCode != 200 || !strings.Contains(string(a.body), made.Spec.Hash) || strings.Contains(string(a.body), "token") {
			t.Errorf("%s: %d %s: want the key's hash kept", name, a.StatusCode, a.body)
		}
	}
	if a := g.as("admin", "PATCH", "/api/v1/keys/ci", `{"spec":{"disabled":true}}`, "Content-Type", asPatch); a.StatusCode != 200 || !strings.Contains(string(a.body), made.Spec.Hash) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := g.as("admin", "POST", "/api/v1/apply", bodies("two")[resource.KindKey]+"\n---\n"+bodies("l")[resource.KindLink], "Content-Type", "application/yaml"); a.StatusCode != 200 || !strings.Contains(string(a.body), "sbk_two_") {
		t.Errorf("%d %s: want the token of a key that is applied", a.StatusCode, a.body)
	}
	if a := g.as("admin", "POST", "/api/v1/apply?dryRun=true", bodies("three")[resource.KindKey], "Content-Type", asJSON); strings.Contains(string(a.body), "sha256") {
		t.Errorf("%s: a dry run makes no token", a.body)
	}
	for _, d := range g.decisions.take() {
		b, _ := json.Marshal(d)
		if strings.Contains(string(b), secret) || strings.Contains(string(b), made.Spec.Hash) || strings.Contains(string(b), "sbk_") {
			t.Errorf("the decision log holds it: %s", b)
		}
	}
	if strings.Contains(g.logs.String(), secret) {
		t.Errorf("the log holds it: %s", g.logs)
	}
}

func TestChangesAreNoted(t *testing.T) {
	g := startGuarded(t, nil)
	link := bodies("l")[resource.KindLink]
	changed := strings.Replace(link, `["t"]`, `["u"]`, 1)
	for _, x := range []struct{ method, path, body, contentType, want string }{
		{"POST", "/api/v1/links", link, asJSON, "Link/l, t after"},
		{"POST", "/api/v1/links", link, asJSON, ""},
		{"PUT", "/api/v1/links/l", changed, asJSON, "Link/l, t before, u after"},
		{"PATCH", "/api/v1/links/l", `{"spec":{"types":["v"]}}`, asPatch, "Link/l, u before, v after"},
		{"POST", "/api/v1/apply", link, asJSON, "Link/l, v before, t after"},
		{"POST", "/api/v1/apply?dryRun=true", changed, asJSON, ""},
		{"GET", "/api/v1/links/l", "", "", ""},
		{"DELETE", "/api/v1/links/l", "", "", "Link/l, t before"},
		{"DELETE", "/api/v1/links/l", "", "", ""},
		{"POST", "/api/v1/deadletters/drop?all=true", "", "", "deadletters"},
		{"POST", "/api/v1/deliveries/f~l~0~1~1/complete", "", "", ""},
	} {
		g.as("author", x.method, x.path, x.body, "Content-Type", x.contentType)
		got := ""
		for _, d := range g.decisions.take() {
			if d.Kind != event.DecidedManagement || !d.Allowed || d.Identity["name"] != "author" || d.Method != x.method || d.Time.IsZero() {
				t.Errorf("%s %s: %+v", x.method, x.path, d)
			}
			got = d.Resource + typesIn(d.Before, "before") + typesIn(d.After, "after")
		}
		if got != x.want {
			t.Errorf("%s %s: noted %q, want %q", x.method, x.path, got, x.want)
		}
	}
}

// typesIn shows the types of a link in the decision log.
func typesIn(b json.RawMessage, when string) string {
	var o struct{ Spec resource.LinkSpec }
	if b == nil || json.Unmarshal(b, &o) != nil {
		return ""
	}
	return ", " + strings.Join(o.Spec.Types, " ") + " " + when
}

// lockingManager denies everything once a policy named lock is written.
type lockingManager struct{ seen []ManageRequest }

func (m *lockingManager) Manage(_ context.Context, r *ManageRequest) (ManageVerdict, error) {
	m.seen = append(m.seen, *r)
	return ManageVerdict{}, nil
}

func (m *lockingManager) ManageAfter(_ context.Context, r *ManageRequest, c ManageChange) (ManageVerdict, error) {
	for _, o := range append(c.Written, c.Deleted...) {
		if o.Metadata.Name == "lock" {
			return ManageVerdict{Denied: true, Reason: "closed"}, nil
		}
	}
	return ManageVerdict{}, nil
}

func TestAPolicyThatLocksItsAuthorOutIsRefused(t *testing.T) {
	m := &lockingManager{}
	r := start(t, func(_ *Config, d *Deps) { d.Manager = m })
	lock, other := bodies("lock")[resource.KindPolicy], bodies("other")[resource.KindPolicy]
	for _, x := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/v1/policies", other, 201},
		{"POST", "/api/v1/policies", lock, 422},
		{"PUT", "/api/v1/policies/lock", lock, 422},
		{"POST", "/api/v1/apply", lock, 422},
		{"POST", "/api/v1/policies?force=maybe", lock, 400},
		{"POST", "/api/v1/policies?force=true", lock, 201},
		{"DELETE", "/api/v1/policies/lock", "", 422},
		{"DELETE", "/api/v1/policies/lock?force=true", "", 204},
		{"DELETE", "/api/v1/policies/lock", "", 404},
	} {
		a := r.do(x.method, x.path, x.body, "Content-Type", asJSON)
		if a.StatusCode != x.status {
			t.Errorf("%s %s: %d %s, want %d", x.method, x.path, a.StatusCode, a.body, x.status)
		}
		if x.status == 422 {
			if p := a.refused(t, 422, "locked-out"); !strings.Contains(p["detail"].(string), "closed") || !strings.Contains(p["detail"].(string), "force=true") {
				t.Errorf("%v", p)
			}
		}
	}
	first := m.seen[0]
	if first.Verb != access.Write || first.Kind != resource.KindPolicy || first.Name != "other" || first.Route != "/api/v1/policies" || first.Object == nil || first.Identity.Kind() != access.Anonymous {
		t.Errorf("asked about %+v", first)
	}
}

// gate refuses by what it is told, and remembers who asked.
type gate struct {
	mu   sync.Mutex
	v    Verdict
	seen []Admission
}

func (g *gate) Admit(_ context.Context, a Admission) (Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, a)
	return g.v, nil
}

func TestAdmissionKnowsWhoAsks(t *testing.T) {
	policy := &gate{}
	g := startGuarded(t, func(_ *Config, d *Deps) { d.Admitter = policy })
	g.key("ci", resource.KeySpec{Roles: []string{"emitter", "team.a"}, Sources: []string{"/ci/*"}, Types: []string{"build.*"}})
	emit := func(who, source, typ string) answer {
		return g.as(who, "POST", "/events", `{"specversion":"1.0","id":"1","source":"`+source+`","type":"`+typ+`"}`, "Content-Type", event.ContentTypeJSON)
	}
	if a := emit("ci", "/ci/1", "build.done"); a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	in := policy.seen[0].Identity.Input()
	if in["kind"] != "key" || in["name"] != "ci" || in["address"] != "127.0.0.1" || len(in["roles"].([]any)) != 2 {
		t.Errorf("policies see %v", in)
	}
	emit("ci", "/elsewhere", "build.done").refused(t, 403, "denied")
	emit("ci", "/ci/1", "deploy").refused(t, 403, "denied")
	emit("viewer", "/ci/1", "build.done").refused(t, 403, "forbidden")
	policy.v = Verdict{Ruled: true}
	if a := emit("viewer", "/ci/1", "build.done"); a.StatusCode != 202 {
		t.Errorf("%d %s: a policy that says who is allowed takes the place of the roles", a.StatusCode, a.body)
	}
	policy.v = Verdict{Denied: true, Reason: "not on Sundays", Policy: "sunday"}
	emit("admin", "/ci/1", "build.done").refused(t, 403, "denied")
	var noted []string
	for _, d := range g.decisions.take() {
		noted = append(noted, string(d.Kind)+" "+d.Identity["name"].(string)+" "+d.Event.Type+" "+d.Policy)
	}
	if want := []string{"admission ci build.done ", "admission ci deploy ", "admission viewer build.done ", "admission admin build.done sunday"}; !slices.Equal(noted, want) {
		t.Errorf("noted %q\nwant  %q", noted, want)
	}
}

func TestAnIdentityIsBoundToItsRate(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) // for ever: the wait is told in whole seconds
	g := startGuarded(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return noon } })
	g.key("slow", resource.KeySpec{Roles: []string{"emitter"}, Rate: 0.1})
	g.key("free", resource.KeySpec{Roles: []string{"emitter"}})
	h := []string{"Content-Type", event.ContentTypeJSON}
	if a := g.as("slow", "POST", "/events", structured, h...); a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a := g.as("slow", "POST", "/events", structured, h...)
	a.refused(t, 429, "rate-limited")
	if a.Header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	for range 20 {
		if a := g.as("free", "POST", "/events", structured, h...); a.StatusCode != 202 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
}

func TestAStreamEndsWithTheKeyItWasOpenedBy(t *testing.T) {
	g := startGuarded(t, func(c *Config, _ *Deps) { c.Subscribe.Heartbeat = 100 * time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a stream that goes on fails the test, and does not hang it
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", g.url+"/subscribe", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.tokens["viewer"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // it has begun
	g.server.LoadKeys(nil)
	last := ""
	for lines.Scan() {
		if s := lines.Text(); s != "" {
			last = s
		}
	}
	if !strings.Contains(last, "no longer valid") {
		t.Errorf("it ends with %q", last)
	}
}

func TestTheDocumentSaysWhichCredentialsAreTaken(t *testing.T) {
	for _, required := range []bool{false, true} {
		g := startGuarded(t, func(c *Config, _ *Deps) { c.Access.Required = required })
		doc := g.document()
		schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
		if len(schemes) != 2 {
			t.Errorf("schemes %v", schemes)
		}
		for path, item := range doc["paths"].(map[string]any) {
			for method, op := range item.(map[string]any) {
				o := op.(map[string]any)
				security, answers := o["security"].([]any), o["responses"].(map[string]any)
				want := 2
				if !required {
					want = 3
				}
				if ruleOf(strings.ToUpper(method), strings.NewReplacer("{", ":", "}", "").Replace(path)).open {
					want = 0
				} else if answers["401"] == nil || answers["403"] == nil {
					t.Errorf("%s %s: 401 or 403 is missing", method, path)
				}
				if len(security) != want {
					t.Errorf("%s %s: security %v", method, path, security)
				}
			}
		}
	}
}

func TestADeliveryMayBringItsTokenInTheURL(t *testing.T) {
	root := strings.Repeat("k", 32)
	r := start(t, func(c *Config, _ *Deps) { c.Access.Required, c.Access.RootKey = true, root })
	const body = `{"specversion":"1.0","id":"1","source":"/a","type":"t"}`
	for name, x := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"the right one":             {"POST", "/events?access_token=" + root, nil, 202},
		"a wrong one":               {"POST", "/events?access_token=" + root + "k", nil, 401},
		"none":                      {"POST", "/events?access_token=", nil, 401},
		"what is no token":          {"POST", "/events?access_token=%0a%c3%a9", nil, 401},
		"two":                       {"POST", "/events?access_token=" + root + "&access_token=" + root, nil, 401},
		"a right one in the header": {"POST", "/events?access_token=" + root + "k", []string{"Authorization", "Bearer " + root}, 202},
		"a wrong one in the header": {"POST", "/events?access_token=" + root, []string{"Authorization", "Bearer " + root + "k"}, 401},
		"another parameter":         {"POST", "/events?token=" + root, nil, 401},
		"another route":             {"GET", "/api/v1/functions?access_token=" + root, nil, 401},
	} {
		a := r.do(x.method, x.path, body, append(x.headers, "Content-Type", "application/cloudevents+json")...)
		if a.StatusCode != x.want || strings.Contains(string(a.body), root) {
			t.Errorf("%s: %d %s, want %d", name, a.StatusCode, a.body, x.want)
		}
	}
	if strings.Contains(r.logs.String(), root) {
		t.Error("the log holds the token")
	}
}
