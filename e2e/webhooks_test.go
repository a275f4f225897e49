//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// vendor is a provider whose own library signs.
type vendor struct {
	name, provider, secret string
	// more is what its Webhook says beside provider and secrets.
	more string
	body string
	// header is sent beside what the library makes.
	header map[string]string
	// id and typ are the event's. timed: the signature holds a time.
	id, typ string
	timed   bool
}

const twilioURL = "https://hooks.example.com/webhooks/twilio"

var vendors = []vendor{
	{name: "github", provider: "github", secret: "It's a Secret to Everybody", body: `{"action":"opened","issue":{"number":7},"repository":{"url":"https://api.github.com/repos/o/r"},"title":"grüße"}`,
		header: map[string]string{"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e"}, id: "72d3162e", typ: "com.github.issue.opened"},
	{name: "stripe", provider: "stripe", secret: "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH", body: `{"id":"evt_1","type":"invoice.paid","created":1790000000,"data":{"object":{"id":"in_1"}}}`,
		id: "evt_1", typ: "com.stripe.invoice.paid", timed: true},
	{name: "slack", provider: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5", body: `{"type":"event_callback","team_id":"T1","event_id":"Ev1","event":{"type":"message","channel":"C1"}}`,
		id: "Ev1", typ: "com.slack.message", timed: true},
	{name: "twilio", provider: "twilio", secret: "12345", more: ", publicURL: " + twilioURL, body: "From=%2B1415&To=%2B1800&Body=hello+you&MessageSid=SM1&SmsStatus=received",
		id: "SM1-received", typ: "com.twilio.message.received"},
	{name: "standard", provider: "standard", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body: `{"type":"user.created","data":{"id":1}}`, id: "msg_1", typ: "user.created", timed: true},
	{name: "svix", provider: "standard", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body: `{"type":"user.deleted"}`, id: "msg_2", typ: "user.deleted", timed: true},
}

func (v *vendor) envName() string { return "SIGNALBOX_SECRET_" + strings.ToUpper(v.name) + "_KEY" }

// manifest is the webhook and, so that a secret can be rotated, one that nobody signs with any more.
func (v *vendor) manifest() string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: %s}\nspec: {provider: %s, secrets: [gone-by, %s-key]%s}\n", v.name, v.provider, v.name, v.more)
}

// sign asks the provider's library for the headers.
func (v *vendor) sign(t *testing.T, env parts.Env, at time.Time) map[string]string {
	t.Helper()
	command := []string{env.Value("SIGNERS_PYTHON"), env.Client("sign.py"), v.name, v.secret, fmt.Sprint(at.Unix()), twilioURL}
	if v.name == "github" {
		command = []string{"node", env.Client("sign.mjs"), env.Value("SIGNERS_NODE_MODULES"), v.secret}
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(v.body)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	headers := map[string]string{"Content-Type": "application/json"}
	if err == nil {
		err = json.Unmarshal(out, &headers)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, out, errOut.Bytes())
	}
	maps.Copy(headers, v.header)
	return headers
}

func TestWebhooksThatTheProvidersOwnLibrariesSign(t *testing.T) {
	env := parts.Up(t, "signers")
	environ := append(os.Environ(), "SIGNALBOX_SECRET_GONE_BY=whsec_b2xk")
	for _, v := range vendors {
		environ = append(environ, v.envName()+"="+v.secret)
	}
	s := startProgram(t, environ, []string{binary(t)}, embeddedArgs(t))
	fn := newRecorder(t, nil)
	manifests := functionManifest("sink", fn.URL, `"*"`)
	for _, v := range vendors {
		manifests += v.manifest()
	}
	s.apply(manifests)
	for i, v := range vendors {
		t.Run(v.name, func(t *testing.T) {
			path, signed := "/webhooks/"+v.name, v.sign(t, env, time.Now())
			if status, answer := s.post(path, signed, v.body); status/100 != 2 {
				t.Fatalf("%d %s", status, answer)
			}
			got := fn.awaitCalls(t, i+1)[i]
			if got.body != v.body || got.id() != v.id || got.header.Get("Ce-Type") != v.typ || got.header.Get("Ce-Authid") != "webhook:"+v.name {
				t.Errorf("the function got %v\n%s", got.header, got.body)
			}
			v.refused(t, s, env, path, signed)
			if status, _ := s.post(path, signed, v.body); status/100 != 2 {
				t.Errorf("a redelivery: %d", status)
			}
		})
	}
	s.awaitDuplicates(len(vendors))
	if n := len(fn.all()); n != len(vendors) {
		t.Errorf("%d calls for %d webhooks and their redeliveries", n, len(vendors))
	}
	for _, v := range vendors {
		if strings.Contains(s.out.String(), v.secret) {
			t.Errorf("the log holds the secret of %s", v.name)
		}
	}
}

// refused sends what is not signed right; none of it may become an event.
func (v *vendor) refused(t *testing.T, s *server, env parts.Env, path string, signed map[string]string) {
	t.Helper()
	check := func(what string, headers map[string]string, body string) {
		t.Helper()
		if status, answer := s.post(path, headers, body); status != http.StatusUnauthorized || strings.Contains(answer, v.secret) {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	check("another body", signed, v.body+" ")
	for name := range signed {
		if name == "Content-Type" || v.header[name] != "" {
			continue
		}
		without := maps.Clone(signed)
		delete(without, name)
		check("no "+name, without, v.body)
		without[name] = "0" + signed[name]
		check("another "+name, without, v.body)
	}
	if v.timed {
		check("an old one", v.sign(t, env, time.Now().Add(-time.Hour)), v.body)
		check("one of the future", v.sign(t, env, time.Now().Add(time.Hour)), v.body)
	}
}

// awaitDuplicates waits until so many copies were dropped.
func (s *server) awaitDuplicates(n int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d copies to be dropped", n), func() error {
		runs, err := s.Runs(s.t.Context(), client.Query{Limit: 1000})
		found := 0
		for _, r := range runs {
			if strings.HasPrefix(r.Reason, "duplicate") {
				found++
			}
		}
		if err == nil && found != n {
			err = fmt.Errorf("%d", found)
		}
		return err
	})
}

func TestHandshakesOfWebhooks(t *testing.T) {
	t.Setenv("SIGNALBOX_SECRET_META", "let me in")
	s := start(t, embeddedArgs(t)...)
	s.apply("---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: meta}\nspec: {provider: hmac, secrets: [meta], verifyToken: meta, hmac: {header: X-Hub-Signature-256, prefix: sha256=}}\n")
	get := func(query string) (int, string, string) {
		resp, err := http.Get("http://" + s.addr + "/webhooks/meta?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		return resp.StatusCode, b.String(), resp.Header.Get("Content-Type")
	}
	if status, body, contentType := get("hub.mode=subscribe&hub.verify_token=let+me+in&hub.challenge=%3Cb%3E1"); status != 200 || body != "<b>1" || !strings.HasPrefix(contentType, "text/plain") {
		t.Errorf("%d %q %s", status, body, contentType)
	}
	if status, _, _ := get("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1"); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", status)
	}
	if status, _, _ := get(""); status != http.StatusNotFound {
		t.Errorf("no handshake: %d", status)
	}
	if status, answer := s.post("/webhooks/none", nil, "{}"); status != http.StatusNotFound {
		t.Errorf("no such webhook: %d %s", status, answer)
	}
}

func TestAWebhookWhoseSecretIsMissingIsToComeAgain(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	s.apply("---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: w}\nspec: {provider: apikey, secrets: [nowhere]}\n")
	status, answer := s.post("/webhooks/w", map[string]string{"X-Api-Key": "x"}, "{}")
	if status != http.StatusServiceUnavailable || strings.Contains(answer, "nowhere") || strings.Contains(answer, "SIGNALBOX_SECRET") {
		t.Errorf("%d %s", status, answer)
	}
	await(t, "the log to say where the secret was looked for", func() error { return s.printed("SIGNALBOX_SECRET_NOWHERE") })
}
