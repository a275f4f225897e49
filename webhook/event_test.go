package webhook

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

const repo = `"repository":{"url":"https://api.github.com/repos/o/r","name":"r","owner":{"url":"https://api.github.com/users/o"}}`

// want is an event in one line: type, source, subject, time; "now" is the time of receipt.
func line(e *event.Event) string {
	at := e.Time
	if at == now.UTC().Format(time.RFC3339Nano) {
		at = "now"
	}
	return strings.Join([]string{e.Type, e.Source, e.Subject, at}, " ")
}

// Rows of cloudevents/adapters/github.md.
func TestGitHubBecomesWhatTheAdapterDocumentSays(t *testing.T) {
	const r = "https://api.github.com/repos/o/r"
	h := compileSpec(t, `{"provider":"github","secrets":["new"]}`, secretsOf)
	for _, c := range []struct{ event, body, want string }{
		{"check_run", `{"action":"completed","check_run":{"id":4,"completed_at":"2019-05-15T15:21:12Z","started_at":"2019-05-15T15:20:00Z"},` + repo + `}`, "com.github.check_run.completed " + r + " 4 2019-05-15T15:21:12Z"},
		{"check_run", `{"action":"created","check_run":{"id":4,"completed_at":null,"started_at":"2019-05-15T15:20:00Z"},` + repo + `}`, "com.github.check_run.created " + r + " 4 2019-05-15T15:20:00Z"},
		{"commit_comment", `{"action":"created","comment":{"id":33,"url":"https://api.github.com/repos/o/r/comments/33","commit_id":"6113","updated_at":"2019-05-15T15:20:39Z"},` + repo + `}`, "com.github.commit_comment.created https://api.github.com/repos/o/r/comments/33/6113 33 2019-05-15T15:20:39Z"},
		{"create", `{"ref":"simple-tag","ref_type":"tag",` + repo + `}`, "com.github.create.tag " + r + " simple-tag now"},
		{"delete", `{"ref":"b","ref_type":"branch",` + repo + `}`, "com.github.delete.branch " + r + " b now"},
		{"deploy_key", `{"action":"deleted","key":{"id":1,"created_at":"2019-01-01T00:00:00Z","deleted_at":"2019-02-01T00:00:00Z"},` + repo + `}`, "com.github.deploy_key.deleted " + r + " 1 2019-02-01T00:00:00Z"},
		{"deployment", `{"action":"created","deployment":{"id":145,"updated_at":"2019-05-15T15:20:53Z"},` + repo + `}`, "com.github.deployment " + r + " 145 2019-05-15T15:20:53Z"},
		{"deployment_status", `{"deployment":{"url":"https://api.github.com/d/1"},"deployment_status":{"state":"success","url":"https://api.github.com/d/1/statuses/2","updated_at":"2019-05-15T15:20:53Z"},` + repo + `}`, "com.github.deployment_status.success https://api.github.com/d/1 https://api.github.com/d/1/statuses/2 2019-05-15T15:20:53Z"},
		{"github_app_authorization", `{"action":"revoked","sender":{"url":"https://api.github.com/users/o"}}`, "com.github.github_app_authorization https://api.github.com/users/o  now"},
		{"installation_repositories", `{"action":"added","installation":{"id":2,"account":{"url":"https://api.github.com/users/o"},"updated_at":1557933591}}`, "com.github.installation_repository.added https://api.github.com/users/o 2 2019-05-15T15:19:51Z"},
		{"issues", `{"action":"edited","issue":{"number":1,"updated_at":"2019-05-15T15:20:18Z"},` + repo + `}`, "com.github.issue.edited " + r + " 1 2019-05-15T15:20:18Z"},
		{"issue_comment", `{"action":"created","issue":{"url":"https://api.github.com/repos/o/r/issues/1"},"comment":{"id":49,"updated_at":"2019-05-15T15:20:21Z"},` + repo + `}`, "com.github.issue_comment.created https://api.github.com/repos/o/r/issues/1 49 2019-05-15T15:20:21Z"},
		{"marketplace_purchase", `{"action":"purchased","effective_date":"2017-10-25T00:00:00+00:00","sender":{"url":"https://api.github.com/users/o"},"marketplace_purchase":{"account":{"login":"acme"}}}`, "com.github.marketplace_purchase.purchased https://api.github.com/users acme 2017-10-25T00:00:00Z"},
		{"membership", `{"action":"removed","scope":"team","member":{"login":"me"},"team":{"url":"https://api.github.com/teams/3"}}`, "com.github.membership.team.removed https://api.github.com/teams/3 me now"},
		{"public", `{` + repo + `}`, "com.github.public https://api.github.com/users/o r now"},
		{"pull_request_review", `{"action":"submitted","review":{"id":23,"submitted_at":"2019-05-15T15:20:38Z"},"pull_request":{"url":"https://api.github.com/p/2"},` + repo + `}`, "com.github.pull_request_review.submitted https://api.github.com/p/2 23 2019-05-15T15:20:38Z"},
		{"push", `{"ref":"refs/heads/main",` + repo + `}`, "com.github.push " + r + " refs/heads/main now"},
		{"release", `{"action":"published","release":{"id":17,"published_at":"2019-05-15T15:20:53Z","created_at":"2019-05-15T15:19:25Z"},` + repo + `}`, "com.github.release.published " + r + " 17 2019-05-15T15:20:53Z"},
		{"security_advisory", `{"action":"published","security_advisory":{"ghsa_id":"GHSA-1","updated_at":"2018-09-05T15:10:53Z"}}`, "com.github.security_advisory.published github.com GHSA-1 2018-09-05T15:10:53Z"},
		{"star", `{"action":"created","starred_at":"2019-05-15T15:20:40Z",` + repo + `}`, "com.github.star.created " + r + "  2019-05-15T15:20:40Z"},
		{"watch", `{"action":"started",` + repo + `}`, "com.github.watch.started " + r + "  now"},
		{"workflow_run", `{"action":"completed",` + repo + `}`, "com.github.workflow_run.completed " + r + "  now"}, // younger than the document
		{"issues", `[]`, "com.github.issue https://github.com  now"},
	} {
		got, err := h.Preview(request(headers{}.set("X-GitHub-Event", c.event, "X-GitHub-Delivery", "d-1", "Content-Type", "application/json"), "", c.body))
		if err != nil {
			t.Errorf("%s: %v", c.event, err)
			continue
		}
		if e := got.Event; line(e) != c.want || e.ID != "d-1" || string(e.Data) != c.body || e.DataContentType != "application/json" {
			t.Errorf("%s\n got %s\nwant %s (%+v)", c.event, line(e), c.want, e)
		}
	}
}

func TestAFormOfGitHubCarriesJSON(t *testing.T) {
	h := compileSpec(t, `{"provider":"github","secrets":["new"]}`, secretsOf)
	got, err := h.Preview(request(headers{}.set("X-GitHub-Event", "push", "X-GitHub-Delivery", "d", "Content-Type", "application/x-www-form-urlencoded"), "", "payload=%7B%22ref%22%3A%22r%22%7D"))
	if err != nil || string(got.Event.Data) != `{"ref":"r"}` || got.Event.DataContentType != "application/json" || got.Event.Subject != "r" {
		t.Errorf("%+v %v", got.Event, err)
	}
}

// Rows of adapters/gitlab.md.
func TestGitLabBecomesWhatTheAdapterDocumentSays(t *testing.T) {
	h := compileSpec(t, `{"provider":"gitlab","secrets":["new"]}`, secretsOf)
	const r = `"repository":{"homepage":"http://g/r"},"project":{"web_url":"http://g/p"}`
	for _, c := range []struct{ body, want string }{
		{`{"object_kind":"push","checkout_sha":"da15",` + r + `}`, "com.gitlab.push http://g/r da15 now"},
		{`{"object_kind":"tag_push","ref":"refs/tags/v1",` + r + `}`, "com.gitlab.tag_push http://g/r refs/tags/v1 now"},
		{`{"object_kind":"issue","object_attributes":{"iid":23,"state":"opened"},` + r + `}`, "com.gitlab.issue.opened http://g/r 23 now"},
		{`{"object_kind":"note","object_attributes":{"id":1243,"noteable_type":"Commit","created_at":"2015-05-17 18:08:09 UTC"},"commit":{"url":"http://g/c/1"},` + r + `}`, "com.gitlab.note.commit http://g/c/1 1243 2015-05-17T18:08:09Z"},
		{`{"object_kind":"note","object_attributes":{"id":5,"noteable_type":"MergeRequest","url":"http://g/mr/1#note_5","created_at":"2015-05-17 18:08:09 +0200"},` + r + `}`, "com.gitlab.note.merge_request http://g/mr/1 5 2015-05-17T16:08:09Z"},
		{`{"object_kind":"merge_request","object_attributes":{"iid":1,"action":"open","created_at":"2013-12-03T17:23:34Z"},` + r + `}`, "com.gitlab.merge_request.open http://g/r 1 2013-12-03T17:23:34Z"},
		{`{"object_kind":"wiki_page","object_attributes":{"slug":"a/b","action":"create"},` + r + `}`, "com.gitlab.wiki_page.create http://g/p a/b now"},
		{`{"object_kind":"pipeline","object_attributes":{"id":31,"status":"success"},` + r + `}`, "com.gitlab.pipeline.success http://g/p 31 now"},
		{`{"object_kind":"build","build_id":9,"build_status":"created",` + r + `}`, "com.gitlab.job.created http://g/r 9 now"},
		{`{"object_kind":"deployment",` + r + `}`, "com.gitlab.deployment http://g/r  now"},
	} {
		got, err := h.Preview(request(headers{}.set("X-Gitlab-Event", "Push Hook", "Content-Type", "application/json"), "", c.body))
		if err != nil || line(got.Event) != c.want {
			t.Errorf("%s\n got %s %v\nwant %s", c.body, line(got.Event), err, c.want)
		}
	}
}

func TestRepetitionsOfGitLabKeepTheirID(t *testing.T) {
	h := compileSpec(t, `{"provider":"gitlab","secrets":["new"]}`, secretsOf)
	id := func(body string, pairs ...string) string {
		got, err := h.Preview(request(headers{}.set(pairs...), "", body))
		if err != nil {
			t.Fatal(err)
		}
		return got.Event.ID
	}
	if id("{}", "Idempotency-Key", "k", "X-Gitlab-Event-UUID", "u") != "k" {
		t.Error("the idempotency key is not the id")
	}
	first, again, other := id("{}", "X-Gitlab-Event-UUID", "u"), id("{}", "X-Gitlab-Event-UUID", "u"), id("[]", "X-Gitlab-Event-UUID", "u")
	if first != again || first == other {
		t.Error("want one id for a repetition, and another for an event that shares the UUID")
	}
	if one, two := id("{}"), id("{}"); one == two {
		t.Error("without any id: want new ones")
	}
}

func TestTheOtherProviders(t *testing.T) {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, c := range map[string]struct {
		provider, body string
		headers        []string
		want, id       string
	}{
		"stripe":            {"stripe", `{"id":"evt_1","type":"invoice.paid","created":1557933591,"account":"acct_9","data":{"object":{"id":"in_1"}}}`, nil, "com.stripe.invoice.paid https://api.stripe.com/v1/accounts/acct_9 in_1 2019-05-15T15:19:51Z", "evt_1"},
		"slack event":       {"slack", `{"type":"event_callback","team_id":"T1","event_id":"Ev1","event_time":1557933591,"event":{"type":"app_mention","channel":"C1"}}`, nil, "com.slack.app_mention https://slack.com/teams/T1 C1 2019-05-15T15:19:51Z", "Ev1"},
		"slack command":     {"slack", "command=%2Fdeploy&team_id=T1&trigger_id=13.4", form, "com.slack.slash_command https://slack.com/teams/T1 /deploy now", "13.4"},
		"slack interaction": {"slack", "payload=%7B%22type%22%3A%22block_actions%22%2C%22team%22%3A%7B%22id%22%3A%22T1%22%7D%2C%22trigger_id%22%3A%221.2%22%7D", form, "com.slack.block_actions https://slack.com/teams/T1  now", "1.2"},
		"shopify":           {"shopify", `{"id":820982911946154508,"updated_at":"2021-12-31T19:00:00-05:00"}`, []string{"X-Shopify-Topic", "orders/create", "X-Shopify-Shop-Domain", "s.myshopify.com", "X-Shopify-Webhook-Id", "w"}, "com.shopify.orders.create https://s.myshopify.com 820982911946154508 2022-01-01T00:00:00Z", "w"},
		"twilio message":    {"twilio", "MessageSid=SM1&AccountSid=AC1&MessageStatus=delivered", form, "com.twilio.message.delivered https://api.twilio.com/2010-04-01/Accounts/AC1 SM1 now", "SM1-delivered"},
		"twilio repetition": {"twilio", "CallSid=CA1&CallStatus=ringing", append([]string{"I-Twilio-Idempotency-Token", "tok"}, form...), "com.twilio.call.ringing /webhooks/w CA1 now", "tok"},
		"standard":          {"standard", `{"type":"user.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{}}`, []string{"webhook-id", "msg_1", "webhook-timestamp", "1557933591"}, "user.created /webhooks/w  2022-11-03T20:26:10.344522Z", "msg_1"},
		"svix":              {"standard", `{"type":"user.created"}`, []string{"svix-id", "msg_2", "svix-timestamp", "1557933591", "svix-signature", "x"}, "user.created /webhooks/w  2019-05-15T15:19:51Z", "msg_2"},
	} {
		spec := `{"provider":"` + c.provider + `","secrets":["new"]}`
		if c.provider == "twilio" {
			spec = schemes["twilio"].spec
		}
		got, err := compileSpec(t, spec, secretsOf).Preview(request(headers{}.set(c.headers...), "", c.body))
		if err != nil || line(got.Event) != c.want || got.Event.ID != c.id {
			t.Errorf("%s\n got %s id %s %v\nwant %s", name, line(got.Event), got.Event.ID, err, c.want)
		}
	}
}

func TestAnEventSaysWhoSentIt(t *testing.T) {
	got, err := compileSpec(t, `{"provider":"github","secrets":["new"]}`, secretsOf).Preview(request(headers{}.set("X-GitHub-Event", "push"), "", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"authtype": "service_account", "authid": "webhook:w", "authscheme": "github"} {
		if v, _ := got.Event.Extension(name); v != want {
			t.Errorf("%s is %q, want %s", name, v, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	r := request(headers{}.set("X-Tenant", "acme", "Content-Type", "application/json"), "q=1", `{"a":{"b":[{"c d":"x"},2]},"t":true,"n":1.50,"z":null,"o":{}}`)
	for src, want := range map[string]string{
		`text`: "text", `{body.a.b[0]["c d"]}`: "x", `{body.a.b[1]}`: "2", `{body.t}-{body.n}`: "true-1.50",
		`{body.none | header.x-tenant}`: "acme", `{ body.z|body.o | "a \"|} b" }`: `a "|} b`, `com.{name}.{query.q}`: "com.w.1",
		`{body["a"].b[1]}`: "2", `{body.none}`: "", `{body.a}`: "", `{body.a.b[9]}`: "", `{body.a[0]}`: "", `{form.x}`: "",
	} {
		c, err := compileTemplate(src, "w")
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, ok := c.make(&payload{r: r}); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t; want %q", src, got, ok, want)
		}
	}
	for _, src := range []string{`{`, `{}`, `{body.}`, `{body.a..b}`, `{body.a[x]}`, `{body.a[-1]}`, `{body.a]}`, `{foo.a}`, `{"a}`, `{body.a|}`, `{body.a[0]b}`, `{form}`, `{header.Authorization}`, `{header.x-gitlab-token}`} {
		if _, err := compileTemplate(src, "w"); err == nil {
			t.Errorf("%s: no error", src)
		}
	}
}

func TestTemplatesGoBeforeTheRules(t *testing.T) {
	spec := `{"provider":"hmac","secrets":["new"],"hmac":{"header":"X-Sig"},"event":{"id":"{header.X-Id}","type":"com.acme.{body.kind}","source":"/acme/{body.account}","subject":"{body.none}","time":"{body.at}","extensions":{"tenant":"{body.account}","none":"{body.none}"}}}`
	h := compileSpec(t, spec, secretsOf)
	got, err := h.Preview(request(headers{}.set("X-Id", "7"), "", `{"kind":"made","account":"a1","at":1557933591000}`))
	if err != nil {
		t.Fatal(err)
	}
	tenant, _ := got.Event.Extension("tenant")
	if _, has := got.Event.Extension("none"); has || line(got.Event) != "com.acme.made /acme/a1  2019-05-15T15:19:51Z" || got.Event.ID != "7" || tenant != "a1" {
		t.Errorf("%+v", got.Event)
	}
	for body, want := range map[string]string{`{"account":"a"}`: "type", `{"kind":"a b\u0001","account":"a"}`: "type", `{"kind":"k","account":"a b"}`: "source", `no JSON`: "event"} {
		if _, err := h.Preview(request(headers{}.set("X-Id", "7"), "", body)); err == nil || refusal(t, err) != Malformed || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestExtensionsThatOnlySignalboxSets(t *testing.T) {
	w := &resource.Webhook{Spec: resource.WebhookSpec{Provider: "none", Event: resource.WebhookEvent{Extensions: map[string]string{"authid": "x"}, Type: "{"}}}
	if _, faults := Compile(w, vault{}); len(faults) != 2 {
		t.Errorf("%v", faults)
	}
}

func TestHandshakes(t *testing.T) {
	s := schemes["slack"]
	body := `{"type":"url_verification","challenge":"3eZb","token":"x"}`
	h := compileSpec(t, s.spec, secretsOf)
	if got, err := h.Take(request(s.headers(body, now), "", body)); err != nil || string(got.Answer) != "3eZb" || got.Event != nil {
		t.Errorf("slack: %+v %v", got, err)
	}
	if _, err := h.Take(request(s.headers(s.body, now), "", body)); err == nil {
		t.Error("slack: a challenge is answered that nobody signed")
	}
	g := schemes["github"]
	ping := g.headers("{}", now).set("X-GitHub-Event", "ping")
	if got, err := compileSpec(t, g.spec, secretsOf).Take(request(ping, "", "{}")); err != nil || got.Answer == nil || got.Event != nil {
		t.Errorf("github: %+v %v", got, err)
	}
	meta := compileSpec(t, `{"provider":"hmac","secrets":["new"],"hmac":{"header":"X-Hub-Signature-256","prefix":"sha256="},"verifyToken":"old"}`, secretsOf)
	challenge := func(query string) (string, error) {
		b, err := meta.Challenge(request(headers{}, query, ""))
		return string(b), err
	}
	if got, err := challenge("hub.mode=subscribe&hub.verify_token=the+old+one&hub.challenge=11"); err != nil || got != "11" {
		t.Errorf("meta: %q %v", got, err)
	}
	if _, err := challenge("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=11"); err == nil || refusal(t, err) != Unverified {
		t.Errorf("meta, wrong token: %v", err)
	}
	for _, q := range []string{"", "hub.mode=unsubscribe&hub.challenge=1", "hub.mode=subscribe", "hub.mode=subscribe&hub.challenge=" + strings.Repeat("x", 2000)} {
		if _, err := challenge(q); !errors.Is(err, ErrNotHandshake) {
			t.Errorf("%.40s: %v", q, err)
		}
	}
}

func FuzzTake(f *testing.F) {
	hooks := map[string]*Hook{}
	for name, s := range schemes {
		hooks[name] = compileSpec(f, s.spec, secretsOf)
		f.Add(name, s.body, s.query, "application/json", "x")
	}
	f.Add("github", "payload=%7B", "", "application/x-www-form-urlencoded", "sha256=00")
	f.Fuzz(func(t *testing.T, name, body, query, contentType, value string) {
		h := hooks[name]
		if h == nil {
			return
		}
		r := request(nil, query, body)
		r.Values = func(header string) []string {
			if header == "Content-Type" {
				return []string{contentType}
			}
			return []string{value}
		}
		if got, err := h.Take(r); err == nil && h.Provider() != "none" && got.Answer == nil {
			t.Errorf("taken: %q", value)
		}
		if got, err := h.Preview(r); err == nil && got.Event != nil {
			if err := got.Event.Validate(); err != nil {
				t.Errorf("the event is not valid: %v", err)
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`{body.a.b[0]["c d"]|"x"}`, `{header.x}`, `{"\"}`, `a{b`} {
		f.Add(s, `{"a":{"b":[1]}}`)
	}
	f.Fuzz(func(_ *testing.T, src, body string) {
		if c, err := compileTemplate(src, "w"); err == nil {
			c.make(&payload{r: request(headers{}, "", body)})
		}
	})
}
