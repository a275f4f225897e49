//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/resource"
)

// canaries are secrets by where they were planted.
type canaries map[string]string

// plant makes one, of nothing but letters and digits, so that no encoding hides it.
func (c canaries) plant(where string) string {
	c[where] = "canary" + strings.ToLower(rand.Text())
	return c[where]
}

// key makes one that is a key of signatures.
func (c canaries) key(where string) string {
	c[where] = base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	return "whsec_" + c[where]
}

// foundIn are the places whose secret the text holds, as it is or in base64.
func (c canaries) foundIn(text string) []string {
	var found []string
	for where, secret := range c {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			if strings.Contains(text, form) {
				found = append(found, where)
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// quiet fails the test where the text holds a secret.
func (c canaries) quiet(t *testing.T, place, text string) {
	t.Helper()
	for _, where := range c.foundIn(text) {
		at := strings.Index(text, c[where])
		t.Errorf("%s tells the secret of %s: …%.200s", place, where, text[max(0, at-100):])
	}
}

// nest is a server with a secret in every place that takes one.
type nest struct {
	*server
	canaries canaries
	env      parts.Env
	secrets  *secretsDir
	token    string // of an admin
}

const canaryProgram = `import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class F(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print("the token is", os.environ["TOKEN"], flush=True)
        print(json.dumps(dict(os.environ)), file=sys.stderr, flush=True)
        self.send_response(500 if self.headers.get("ce-type") == "com.example.fails" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), F).serve_forever()
`

func newNest(t *testing.T) *nest {
	env := parts.Up(t, "kafka", "redis-tls", "oauth", "jaeger")
	n := &nest{canaries: canaries{}, env: env}
	c := n.canaries
	_, c["the password of Kafka"] = env.KafkaUser()
	root := c.plant("the root key") + c["the root key"]
	n.secrets = newSecrets(t, map[string]string{
		"sign": c.key("the key of signatures"), "bearer": c.plant("the bearer token"), "client": c.plant("the client of OpenID"),
		"github": c.plant("the webhook's key"), "user": c.plant("the webhook's password"), "api": c.plant("the webhook's token"), "env": c.plant("a function's variable"),
	})
	dir := newCA(t)
	certificate(t, dir, "client", "/CN=client", "extendedKeyUsage=clientAuth")
	n.secrets.set("cert", read(t, dir, "client.pem"))
	n.secrets.set("cert.key", read(t, dir, "client.key"))
	c["the key of the client's certificate"] = strings.Split(read(t, dir, "client.key"), "\n")[1]
	c["the key of the server's certificate"] = strings.Split(read(t, dir, "server.key"), "\n")[1]
	at := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	user, _ := env.KafkaUser()
	redis, err := url.Parse(env.RedisTLSURL())
	if err != nil {
		t.Fatal(err)
	}
	c["the password of Redis"], _ = redis.User.Password()
	name := unique(t)
	config := at("config.yaml", fmt.Sprintf("redis: %q\nroot-key: %q\notlp: %q\n", env.RedisTLSURL(), root, env.JaegerOTLP()))
	environ := []string{
		"SIGNALBOX_KAFKA_PASSWORD=" + c["the password of Kafka"], "SIGNALBOX_SECRET_ENVIRONMENT=" + c.plant("the environment"),
		"OTEL_EXPORTER_OTLP_HEADERS=x-token=" + c.plant("the headers of traces"),
	}
	n.server = &server{t: t, addr: freeAddr(t), program: []string{binary(t)}, environ: environ}
	n.args = []string{
		"serve", "--config", config, "--data", t.TempDir(), "--http", n.addr, "--kafka", strings.Join(env.KafkaSASLBrokers(), ","), "--kafka-ca", env.KafkaCA(), "--kafka-sasl", "SCRAM-SHA-512", "--kafka-user", user,
		"--redis-ca", env.RedisTLSCA(), "--topic-prefix", name + ".", "--redis-prefix", name + ":", "--auth", "required", "--secrets-dir", n.secrets.dir, "--log-level", "debug", "--trace-sample", "1",
		"--oidc-issuer", env.OAuth() + "/signalbox", "--oidc-audience", "signalbox", "--function-ca", filepath.Join(dir, "ca.pem"),
		"--policy-bundle", "b=http://127.0.0.1:9/bundle.tgz", "--policy-bundle-token", at("bundle-token", c.plant("the token of bundles")),
	}
	n.launch()
	t.Cleanup(func() {
		if n.cmd.ProcessState == nil {
			n.kill()
		}
	})
	await(t, "the server to be ready", func() error {
		if text := n.out.String(); !strings.Contains(text, "msg=ready") {
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	n.token = root
	_, n.token, err = n.as(root).CreateKey(t.Context(), "boss", resource.KeySpec{Roles: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	c["the token of a key"] = n.token[strings.LastIndexByte(n.token, '_')+1:]
	mutual, _ := mutualFunction(t, dir)
	n.manifests(t, dir, mutual)
	return n
}

// manifests apply a function for each thing that a call can present, and one that repeats it.
func (n *nest) manifests(t *testing.T, dir, mutual string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "program.py"), []byte(canaryProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	parrot := newRecorder(t, func(w http.ResponseWriter, c call) {
		if c.header.Get("Ce-Type") == "com.example.fails" || c.header.Get("Signalbox-Link") == "invoke:parrot" {
			w.WriteHeader(http.StatusBadRequest)
		}
		if c.header.Get("Ce-Type") == "com.example.fails" {
			fmt.Fprintln(w, c.header)
		}
	})
	oidc := fmt.Sprintf("{bearer: {oidc: {tokenURL: %q, clientID: me, clientSecret: client, audience: f}}}", n.env.OAuth()+"/signalbox/token")
	broken := "{bearer: {oidc: {tokenURL: \"http://127.0.0.1:9/token\", clientID: me, clientSecret: client}}}"
	types, once := []string{"com.example.works", "com.example.fails"}, "{attempts: 1, maxAge: 2s}"
	text := calledManifest("parrot", parrot.URL, "{sign: {secrets: [sign, environment-key]}, bearer: {secret: bearer}}", once, types...)
	text = strings.Replace(text, ", environment-key", "", 1) + calledManifest("other", parrot.URL, "{bearer: {secret: environment}}", once, types...) +
		calledManifest("oidc", parrot.URL, oidc, once, types...) + calledManifest("broken", parrot.URL, broken, once, types...) +
		calledManifest("mutual", mutual, "{tls: {clientCert: cert, clientKey: cert.key}}", once, types...) + functionManifest("plain", mutual, types...) +
		fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: program}\nspec: {command: [python3, program.py], dir: %q, env: [{name: TOKEN, secret: env}], on: [com.example.works, com.example.fails]}\n", dir) +
		"---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: github}\nspec: {provider: github, secrets: [github]}\n" +
		"---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: basic}\nspec: {provider: basic, user: me, secrets: [user]}\n" +
		"---\napiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: token}\nspec: {provider: apikey, secrets: [api]}\n"
	objects, err := resource.Decode("test", []byte(text))
	if err == nil {
		_, err = n.as(n.token).Apply(t.Context(), objects, false)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// send sends a request with headers and returns the status and the answer.
func (n *nest) send(method, path string, header map[string]string, body string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+n.addr+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil && n.t.Context().Err() == nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// traffic uses every secret, rightly and wrongly, and looks at every answer.
func (n *nest) traffic(t *testing.T) {
	c := n.canaries
	bearer := map[string]string{"Authorization": "Bearer " + n.token}
	jwt := n.jwt(t)
	look := func(want int, method, path string, header map[string]string, body string) {
		t.Helper()
		status, answer := n.send(method, path, header, body)
		if status != want {
			t.Errorf("%s %s: %d, want %d: %s", method, path, status, want, answer)
		}
		c.quiet(t, method+" "+path, answer)
	}
	event := func(id, typ string) map[string]string {
		h := binaryHeader(id, typ)
		h["Authorization"] = bearer["Authorization"]
		return h
	}
	await(t, "the provider's keys", func() error {
		if status, answer := n.send("GET", "/api/v1/links", map[string]string{"Authorization": "Bearer " + jwt}, ""); status != 403 {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	look(202, "POST", "/events?access_token="+c.plant("a token in a query"), event("works", "com.example.works"), "{}")
	look(202, "POST", "/events", event("fails", "com.example.fails"), "{}")
	for name, credentials := range map[string]string{
		"a wrong key": "Bearer sbk_boss_" + strings.ToUpper(c.plant("a wrong key")), "a wrong token": "Bearer " + jwt[:len(jwt)-20] + c.plant("a wrong token"), "a wrong root key": "Bearer " + c.plant("a wrong root key"),
		"another scheme": "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+c.plant("another scheme"))),
	} {
		t.Log(name)
		look(401, "GET", "/api/v1/links", map[string]string{"Authorization": credentials}, "")
	}
	look(403, "GET", "/api/v1/links", map[string]string{"Authorization": "Bearer " + jwt}, "")
	await(t, "the program to have started", func() error {
		if status, answer := n.send("POST", "/function/program", bearer, "{}"); status != 200 {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	for _, fn := range []string{"parrot", "other", "oidc", "mutual", "program"} {
		want := 200
		if fn == "parrot" {
			want = 400
		}
		look(want, "POST", "/function/"+fn, bearer, "{}")
	}
	look(503, "POST", "/function/broken", bearer, "{}")
	look(502, "POST", "/function/plain", bearer, "{}")

	mac := hmac.New(sha256.New, []byte(c["the webhook's key"]))
	mac.Write([]byte(`{"action":"opened"}`))
	github := map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-GitHub-Event": "issues", "X-GitHub-Delivery": "1", "Content-Type": "application/json"}
	look(202, "POST", "/webhooks/github?token="+c.plant("a token in a webhook's query"), github, `{"action":"opened"}`)
	github["X-Hub-Signature-256"] = "sha256=" + strings.Repeat("0", 64)
	look(401, "POST", "/webhooks/github", github, `{}`)
	basic := func(password string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+password)), "Content-Type": "application/json"}
	}
	look(202, "POST", "/webhooks/basic", basic(c["the webhook's password"]), `{"id":1}`)
	look(401, "POST", "/webhooks/basic", basic(c.plant("a wrong password")), `{}`)
	look(202, "POST", "/webhooks/token", map[string]string{"X-Api-Key": c["the webhook's token"], "Content-Type": "application/json"}, `{"id":2}`)
	look(401, "POST", "/webhooks/token", map[string]string{"X-Api-Key": c.plant("a wrong webhook's token"), "Content-Type": "application/json"}, `{}`)

	for _, wrong := range []string{
		"spec: {url: 'http://me:" + c.plant("a URL of a function") + "@f.example/'}", "spec: {url: 'ftp://me:" + c.plant("a URL of another scheme") + "@f.example/'}",
		"spec: {url: 'http://f.example/', call: {bearer: {secret: 'Bearer " + c.plant("a token for a name") + "'}}}",
		"spec: {url: 'http://f.example/', call: {bearer: {oidc: {tokenURL: 'ftp://me:" + c.plant("a token endpoint") + "@f/', clientID: a, clientSecret: b}}}}",
	} {
		look(400, "POST", "/api/v1/apply", map[string]string{"Authorization": bearer["Authorization"], "Content-Type": "application/yaml"}, "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: wrong}\n"+wrong)
	}
	await(t, "what fails to have failed", func() error {
		_, letters := n.send("GET", "/api/v1/deadletters", bearer, "")
		for _, fn := range []string{"parrot", "other", "oidc", "broken", "plain"} {
			if !strings.Contains(letters, `"function":"`+fn+`"`) {
				return fmt.Errorf("no dead letter of %s: %s", fn, letters)
			}
		}
		return nil
	})
}

// jwt is a token of the provider that lets in and may do nothing.
func (n *nest) jwt(t *testing.T) string {
	t.Helper()
	resp, err := http.PostForm(n.env.OAuth()+"/signalbox/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"staff"}, "client_secret": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || a.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	n.canaries["an OpenID token"] = a.Token[strings.LastIndexByte(a.Token, '.')+1:]
	return a.Token
}

// routes asks every GET route of the API.
func (n *nest) routes(t *testing.T) {
	_, document := n.send("GET", "/openapi.json", nil, "")
	var api struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(document), &api); err != nil {
		t.Fatal(err)
	}
	bearer := map[string]string{"Authorization": "Bearer " + n.token}
	names := map[string][]string{
		"functions": {"parrot", "other", "oidc", "broken", "mutual", "plain", "program"}, "webhooks": {"github", "basic", "token"}, "keys": {"boss"}, "links": {"parrot.link"}, "types": {"com.example.fails"},
	}
	asked := 0
	for path, methods := range api.Paths {
		if methods["get"] == nil || path == "/subscribe" || strings.HasPrefix(path, "/function") || path == "/webhooks/{name}" {
			continue
		}
		paths := []string{path + "?limit=1000&since=1h"}
		if kind, is := strings.CutSuffix(strings.TrimPrefix(path, "/api/v1/"), "/{name}"); is {
			paths = nil
			for _, name := range append(names[kind], "nobody") {
				paths = append(paths, "/api/v1/"+kind+"/"+name)
			}
		}
		for _, id := range []string{"works", "fails"} {
			paths = append(paths, strings.NewReplacer("{id}", id).Replace(path)+"?id="+id)
		}
		for _, p := range paths {
			asked++
			_, answer := n.send("GET", p, bearer, "")
			n.canaries.quiet(t, "GET "+p, answer)
		}
	}
	var letters struct{ Items []struct{ ID string } }
	_, answer := n.send("GET", "/api/v1/deadletters", bearer, "")
	if err := json.Unmarshal([]byte(answer), &letters); err != nil || len(letters.Items) == 0 {
		t.Fatalf("%v: %s", err, answer)
	}
	for _, l := range letters.Items {
		_, answer := n.send("GET", "/api/v1/deadletters/"+l.ID, bearer, "")
		n.canaries.quiet(t, "a dead letter", answer)
	}
	if asked < 30 {
		t.Errorf("only %d routes were asked", asked)
	}
}

// commands runs what shows something.
func (n *nest) commands(t *testing.T) {
	for _, args := range [][]string{
		{"get", "functions", "-o", "yaml"}, {"describe", "function", "parrot"}, {"describe", "function", "program"}, {"describe", "webhook", "basic"}, {"describe", "key", "boss"}, {"explain", "fails"}, {"runs"},
		{"logs", "program"}, {"trace", "fails"}, {"deadletters", "list"}, {"decisions", "-o", "yaml"}, {"keys", "list"}, {"types"},
	} {
		cmd := exec.CommandContext(t.Context(), binary(t), append(args, "--server", "http://"+n.addr, "--token", n.token)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v %s", args, err, out)
		}
		n.canaries.quiet(t, strings.Join(args, " "), string(out))
	}
	for _, args := range [][]string{{"serve", "--help"}, {"dev", "--help"}, {"get", "links"}, {"keys", "create", "x", "--role", "none", "--server", "http://me:" + n.canaries.plant("a URL of the server") + "@127.0.0.1:9"}} {
		cmd := exec.CommandContext(t.Context(), binary(t), args...)
		cmd.Env = append(os.Environ(), append(n.environ, "SIGNALBOX_ROOT_KEY="+n.canaries["the root key"], "SIGNALBOX_TOKEN="+n.token, "SIGNALBOX_REDIS="+n.env.RedisTLSURL(), "SIGNALBOX_SERVER=http://127.0.0.1:9")...)
		out, _ := cmd.CombinedOutput()
		if len(out) == 0 {
			t.Errorf("%v says nothing", args)
		}
		n.canaries.quiet(t, strings.Join(args, " "), string(out))
	}
}

// topics reads every record of every topic.
func (n *nest) topics(t *testing.T) {
	t.Helper()
	prefix := flagValue(n.args, "--topic-prefix")
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.env.KafkaBrokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, start := 0, map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if strings.HasPrefix(o.Topic, prefix) && o.Offset > 0 {
			want += int(o.Offset)
			if start[o.Topic] == nil {
				start[o.Topic] = map[int32]kgo.Offset{}
			}
			start[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		}
	})
	cl.AddConsumePartitions(start)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	got, seen := 0, map[string]bool{}
	for got < want && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			got++
			seen[strings.TrimPrefix(r.Topic, prefix)] = true
			var b bytes.Buffer
			for _, h := range r.Headers {
				fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
			}
			n.canaries.quiet(t, "a record of "+r.Topic, b.String()+string(r.Key)+"\n"+string(r.Value))
		})
	}
	for _, topic := range []string{"events", "dead", "runs", "resources", "decisions", "logs"} {
		if !seen[topic] {
			t.Errorf("nothing in %s was looked at", topic)
		}
	}
	if got < want {
		t.Errorf("%d of %d records were read", got, want)
	}
}

func TestNoSecretIsTold(t *testing.T) {
	n := newNest(t)
	n.traffic(t)
	n.routes(t)
	n.commands(t)
	await(t, "traces", func() error {
		resp, err := http.Get(n.env.JaegerQuery() + "/api/traces?service=signalbox&limit=1000&lookback=1h")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && !bytes.Contains(b, []byte("parrot")) {
			err = fmt.Errorf("nothing of this test among %d bytes", len(b))
		}
		n.canaries.quiet(t, "a trace", string(b))
		return err
	})
	n.topics(t)
	// A dump of all goroutines, in the middle of calls.
	_ = n.cmd.Process.Signal(syscall.SIGQUIT)
	<-n.done
	out := n.out.String()
	if !strings.Contains(out, "goroutine ") || !strings.Contains(out, "level=DEBUG") {
		t.Errorf("no dump, or no debug lines, in the output: %.2000s", out)
	}
	n.canaries.quiet(t, "the output", out)
}

// TestStartsThatFailTellNoSecret: what cannot be used is named without what is secret of it.
func TestStartsThatFailTellNoSecret(t *testing.T) {
	env := parts.Up(t, "kafka", "redis-tls")
	user, _ := env.KafkaUser()
	nobody := freeAddr(t)
	c := canaries{}
	at := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	redis := func(where, host string) string { return "rediss://signalbox:" + c.plant(where) + "@" + host }
	host := env.RedisTLSURL()[strings.LastIndexByte(env.RedisTLSURL(), '@')+1:]
	tests := map[string][]string{
		"a wrong password of Kafka":      {"--kafka", env.KafkaSASLBrokers()[0], "--kafka-ca", env.KafkaCA(), "--kafka-sasl", "SCRAM-SHA-512", "--kafka-user", user, "--kafka-password", c.plant("a password of Kafka")},
		"credentials in Kafka's address": {"--kafka", "me:" + c.plant("Kafka's address") + "@" + nobody},
		"a wrong password of Redis":      {"--redis", redis("a password of Redis", host), "--redis-ca", env.RedisTLSCA()},
		"no Redis there":                 {"--redis", redis("an address of nobody", nobody)},
		"no URL of Redis":                {"--redis", redis("a port that is none", "127.0.0.1:port/0")},
		"a scheme that Redis lacks":      {"--redis", strings.Replace(redis("a scheme", host), "rediss", "https", 1)},
		"a broken escape":                {"--redis", "redis://me:%zz" + c.plant("an escape") + "@" + host},
		"a short root key":               {"--auth", "required", "--root-key", c.plant("a short root key")[:20]},
		"an unusable file of a key":      {"--tls-cert", at("no"), "--tls-key", at(c.plant("a TLS key"))},
		"traces by another scheme":       {"--otlp", "ftp://me:" + c.plant("traces") + "@" + nobody},
		"traces nowhere":                 {"--otlp", "http://me:" + c.plant("traces nowhere") + "@[::1"},
		"a bundle's URL":                 {"--policy-bundle", "b=ftp://me:" + c.plant("a bundle") + "@" + nobody},
		"an issuer's URL":                {"--auth", "required", "--oidc-audience", "a", "--oidc-issuer", "ftp://me:" + c.plant("an issuer") + "@" + nobody},
		"an issuer's keys":               {"--auth", "required", "--oidc-audience", "a", "--oidc-issuer", "https://id.example", "--oidc-jwks-url", "http://me:" + c.plant("keys") + "@id.example"},
		"an unknown option in the file":  {"--config", at("kafka-passwort: " + c.plant("a misspelt option") + "\n")},
		"a file that is no YAML":         {"--config", at("kafka-password: [" + c.plant("a broken file") + "\n")},
	}
	c["a short root key"] = c["a short root key"][:20]
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out := runFailing(t, append(append(embeddedArgs(t), "--log-level", "debug"), args...))
			if code == 0 || !strings.Contains(out, "signalbox: ") {
				t.Errorf("exit %d: %s", code, out)
			}
			c.quiet(t, "the output", out)
		})
	}
}
