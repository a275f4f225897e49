//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

const rootKey = "canary-root-key-0123456789-0123456789"

// withAuth are the arguments of a server that needs credentials.
func withAuth(args []string) []string {
	return append(args, "--auth", "required", "--root-key", rootKey)
}

// as is a client with a token.
func (s *server) as(token string) *client.Client {
	s.t.Helper()
	c, err := client.New("http://"+s.addr, client.WithToken(token))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// key makes a key by the root key and returns its token.
func (s *server) key(name string, roles ...string) string {
	s.t.Helper()
	_, token, err := s.as(rootKey).CreateKey(s.t.Context(), name, resource.KeySpec{Roles: roles})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// refused checks that an error is a refusal of that status whose text holds part.
func refused(t testing.TB, err error, status int, part string) {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != status || !strings.Contains(p.Error(), part) {
		t.Errorf("%v: want %d with %q", err, status, part)
	}
}

// refusesToken waits until a token is refused for what it is: before, there may have been too many wrong ones.
func (s *server) refusesToken(token, part string) {
	s.t.Helper()
	var err error
	await(s.t, "a token to be refused for what it is", func() error {
		_, err = s.as(token).List(s.t.Context(), kindOf(s.t, "links"), "")
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusTooManyRequests {
			return err
		}
		return nil
	})
	refused(s.t, err, http.StatusUnauthorized, part)
}

func kindOf(t testing.TB, name string) resource.Kind {
	t.Helper()
	k, err := resource.LookupKind(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func manifest(t *testing.T, text string) []resource.Object {
	t.Helper()
	objects, err := resource.Decode("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func regoPolicy(name, rego string) string {
	return "---\napiVersion: signalbox.dev/v1\nkind: Policy\nmetadata: {name: " + name + "}\nspec:\n  rego: |\n    " + strings.ReplaceAll(rego, "\n", "\n    ") + "\n"
}

func TestKeysLetInWhomTheyShould(t *testing.T) {
	for _, env := range []environment{{"embedded", embeddedArgs}, {"real", realArgs}} {
		t.Run(env.name, func(t *testing.T) { keysLetIn(t, start(t, withAuth(env.args(t))...)) })
	}
}

func keysLetIn(t *testing.T, s *server) {
	fn := newRecorder(t, nil)
	emitter, author := s.key("emitter", "emitter"), s.key("author", "author")
	e := &event.Event{ID: "1", Source: "/s", Type: "com.example.a"}
	refused(t, s.Emit(t.Context(), e), 401, "credentials are needed")
	refused(t, s.as(author).Emit(t.Context(), e), 403, "want one of emitter, admin")
	_, err := s.as(emitter).Apply(t.Context(), manifest(t, functionManifest("f", fn.URL, "com.example.a")), false)
	refused(t, err, 403, "want one of author, admin")
	if _, err := s.as(author).Apply(t.Context(), manifest(t, functionManifest("f", fn.URL, "com.example.a")), false); err != nil {
		t.Fatal(err)
	}
	if err := s.as(emitter).Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if c := fn.awaitCalls(t, 1)[0]; c.header.Get("ce-authid") != "emitter" || c.header.Get("ce-authtype") != "api_key" {
		t.Errorf("the function is not told who sent the event: %v", c.header)
	}

	s.kill()
	s.launch()
	s.awaitReady()
	if _, err := s.as(author).List(t.Context(), kindOf(t, "functions"), ""); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := s.as(rootKey).Delete(t.Context(), kindOf(t, "keys"), "author"); err != nil {
		t.Fatal(err)
	}
	await(t, "the key to be out", func() error {
		if _, err := s.as(author).List(t.Context(), kindOf(t, "functions"), ""); err == nil {
			return errors.New("it is let in")
		}
		return nil
	})
	s.holdsNone(rootKey, emitter, author)
}

// holdsNone looks for secrets in everything that the server tells.
func (s *server) holdsNone(secrets ...string) {
	s.t.Helper()
	told := map[string]string{"output": s.out.String()}
	for _, path := range []string{"/metrics", "/openapi.json", "/readyz", "/api/v1/decisions?limit=1000", "/api/v1/events?since=1h", "/api/v1/runs?since=1h", "/api/v1/keys", "/api/v1/policies"} {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+rootKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			s.t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
		told[path] = b.String()
	}
	for where, text := range told {
		for _, secret := range secrets {
			if strings.Contains(text, secretPart(secret)) {
				s.t.Errorf("%s holds a secret", where)
			}
		}
	}
}

// secretPart is the random part of a key's token, or all of another secret: OpenID tokens
// may have a '_' anywhere, even before the last character.
func secretPart(secret string) string {
	if strings.HasPrefix(secret, "sbk_") {
		return secret[strings.LastIndexByte(secret, '_')+1:]
	}
	return secret
}

func TestAKeyIsInForceOnEveryReplica(t *testing.T) {
	args := withAuth(realArgs(t))
	one, two := start(t, args...), start(t, append(args, "--roles", "gateway")...)
	token := one.key("ci", "viewer")
	links := kindOf(t, "links")
	await(t, "the other replica to know the key", func() error {
		_, err := two.as(token).List(t.Context(), links, "")
		return err
	})
	if err := two.as(rootKey).Delete(t.Context(), kindOf(t, "keys"), "ci"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	await(t, "the other replica to refuse it", func() error {
		if _, err := one.as(token).List(t.Context(), links, ""); err == nil {
			return errors.New("it is let in")
		}
		return nil
	})
	t.Logf("revoked on the other replica after %s", time.Since(begun).Round(time.Millisecond))
}

func TestPoliciesSayWhoMayEmitAndManage(t *testing.T) {
	s := start(t, withAuth(embeddedArgs(t))...)
	root := s.as(rootKey)
	team, other, admin := s.key("team", "author", "emitter"), s.key("other", "author", "emitter"), s.key("boss", "admin")
	admission := regoPolicy("payments", `package signalbox.admission
import rego.v1
deny contains "only team may say so" if { startswith(input.event.type, "payment."); input.identity.name != "team" }`)
	management := regoPolicy("teams", `package signalbox.management
import rego.v1
allow if "admin" in input.identity.roles
allow if { input.identity.name == "team"; input.resource.kind in {"Function", "Link"} }
deny contains "frozen" if { input.verb != "read"; input.resource.name == "frozen" }`)
	_, err := s.as(team).Apply(t.Context(), manifest(t, management), false)
	refused(t, err, 403, "want admin")
	if _, err := s.as(admin).Apply(t.Context(), manifest(t, admission+management), false); err != nil {
		t.Fatal(err)
	}

	pay := func(token, id string) error {
		return s.as(token).Emit(t.Context(), &event.Event{ID: id, Source: "/s", Type: "payment.made"})
	}
	if err := pay(team, "1"); err != nil {
		t.Error(err)
	}
	refused(t, pay(other, "2"), 403, "only team may say so")
	fn := functionManifest("f", "http://127.0.0.1:9/", "t")
	if _, err := s.as(team).Apply(t.Context(), manifest(t, fn), false); err != nil {
		t.Error(err)
	}
	_, err = s.as(other).Apply(t.Context(), manifest(t, fn), false)
	refused(t, err, 403, "no management policy allows it")
	_, err = s.as(team).Runs(t.Context(), client.Query{})
	refused(t, err, 403, "no management policy allows it")
	_, err = s.as(admin).Apply(t.Context(), manifest(t, functionManifest("frozen", "http://127.0.0.1:9/", "t")), false)
	refused(t, err, 403, "frozen")

	lock := regoPolicy("lock", "package signalbox.management\nimport rego.v1\ndeny contains \"closed\"")
	_, err = s.as(admin).Apply(t.Context(), manifest(t, lock), false)
	refused(t, err, 422, "could not change Policy/lock again")
	if _, err := root.Apply(t.Context(), manifest(t, lock), false); err != nil {
		t.Errorf("the root key is locked out: %v", err)
	}
	_, err = s.as(admin).List(t.Context(), kindOf(t, "links"), "")
	refused(t, err, 403, "closed")
	if err := root.Delete(t.Context(), kindOf(t, "policies"), "lock"); err != nil {
		t.Errorf("the root key cannot get back in: %v", err)
	}
	await(t, "the decision log", func() error {
		for _, want := range []string{"only team may say so", "frozen", "closed", `"resource":"Policy/teams"`} {
			if !strings.Contains(s.decisions(), want) {
				return fmt.Errorf("%q is missing in %s", want, s.decisions())
			}
		}
		return nil
	})
	s.holdsNone(rootKey, team, other, admin)
}

// decisions is the decision log as JSON.
func (s *server) decisions() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr+"/api/v1/decisions?limit=1000", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+rootKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// provider is an OpenID provider whose key changes.
type provider struct {
	*httptest.Server
	key atomic.Pointer[jwk.Key]
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.rotate(t, "1")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/keys")
			return
		}
		public, err := (*p.key.Load()).PublicKey()
		if err == nil {
			err = json.NewEncoder(w).Encode(map[string]any{"keys": []any{public}})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) rotate(t *testing.T, kid string) {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(raw)
	if err == nil {
		err = key.Set(jwk.KeyIDKey, kid)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.key.Store(&key)
}

func (p *provider) token(t *testing.T, sub, audience string, groups ...string) string {
	t.Helper()
	tok, err := jwt.NewBuilder().Issuer(p.URL).Audience([]string{audience}).Subject(sub).IssuedAt(time.Now()).Expiration(time.Now().Add(time.Hour)).Claim("groups", groups).Build()
	if err != nil {
		t.Fatal(err)
	}
	b, err := jwt.Sign(tok, jwt.WithKey(jwa.ES256(), *p.key.Load()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOpenIDTokensLetIn(t *testing.T) {
	p := newProvider(t)
	s := start(t, append(withAuth(embeddedArgs(t)), "--oidc-issuer", p.URL, "--oidc-audience", "signalbox", "--oidc-roles-claim", "groups", "--oidc-role-map", "staff=viewer")...)
	links := kindOf(t, "links")
	ada := p.token(t, "ada", "signalbox", "staff", "admin")
	if _, err := s.as(ada).List(t.Context(), links, ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.as(ada).List(t.Context(), kindOf(t, "keys"), "")
	refused(t, err, 403, "jwt ada has viewer")
	_, err = s.as(p.token(t, "ada", "another", "staff")).List(t.Context(), links, "")
	refused(t, err, 401, "another audience")
	p.rotate(t, "2")
	bob := p.token(t, "bob", "signalbox", "staff")
	await(t, "the new key to be fetched", func() error {
		_, err := s.as(bob).List(t.Context(), links, "")
		return err
	})
	s.refusesToken(ada, "does not publish")
	s.holdsNone(rootKey, ada, bob)
}

// openssl runs a command of OpenSSL in a directory.
func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// certificate issues one by the CA of the directory.
func certificate(t *testing.T, dir, name, subject, extension string) {
	t.Helper()
	openssl(t, dir, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", subject)
	if err := os.WriteFile(filepath.Join(dir, "ext"), []byte(extension), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, dir, "x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-out", name+".pem", "-extfile", "ext")
}

// TestTLSWithCertificatesOfOpenSSL talks to the server by the command line and by curl.
func TestTLSWithCertificatesOfOpenSSL(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=test")
	certificate(t, dir, "server", "/CN=server", "subjectAltName=IP:127.0.0.1")
	certificate(t, dir, "viewer", "/O=viewer/CN=ada", "extendedKeyUsage=clientAuth")
	at := func(name string) string { return filepath.Join(dir, name) }
	s := startTLS(t, append(withAuth(embeddedArgs(t)), "--tls-cert", at("server.pem"), "--tls-key", at("server.key"), "--tls-client-ca", at("ca.pem")))
	url := "https://" + s.addr

	cli := func(args ...string) (string, error) {
		cmd := exec.Command(binary(t), append(args, "--server", url, "--ca", at("ca.pem"))...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := cli("get", "links", "--client-cert", at("viewer.pem"), "--client-key", at("viewer.key")); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if out, err := cli("keys", "list", "--client-cert", at("viewer.pem"), "--client-key", at("viewer.key")); err == nil || !strings.Contains(out, "certificate ada has viewer: want admin") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := cli("get", "links"); err == nil || !strings.Contains(out, "credentials are needed") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := cli("keys", "create", "ci", "--role", "emitter", "--token", rootKey); err != nil || !strings.Contains(out, "sbk_ci_") {
		t.Errorf("%v %s", err, out)
	}
	curl := exec.Command("curl", "-sS", "--cacert", at("ca.pem"), "--cert", at("viewer.pem"), "--key", at("viewer.key"), "-o", "/dev/null", "-w", "%{http_code} %{ssl_verify_result}", url+"/api/v1/links")
	if out, err := curl.CombinedOutput(); err != nil || string(out) != "200 0" {
		t.Errorf("curl: %v %s", err, out)
	}

	certificate(t, dir, "server", "/CN=renewed", "subjectAltName=IP:127.0.0.1")
	await(t, "the renewed certificate", func() error {
		cmd := exec.Command("openssl", "s_client", "-connect", s.addr, "-CAfile", at("ca.pem"))
		out, err := cmd.CombinedOutput()
		if !bytes.Contains(out, []byte("CN = renewed")) && !bytes.Contains(out, []byte("CN=renewed")) {
			return fmt.Errorf("%v: %.300s", err, out)
		}
		return nil
	})
}

// startTLS is start of a server that speaks TLS.
func startTLS(t *testing.T, args []string) *server {
	t.Helper()
	s := &server{t: t, addr: freeAddr(t), program: []string{binary(t)}}
	s.args = append(args, "--http", s.addr)
	s.launch()
	await(t, "the server to be ready", func() error {
		if strings.Contains(s.out.String(), "msg=ready") {
			return nil
		}
		return errors.New(s.out.String())
	})
	t.Cleanup(func() { s.stop() })
	return s
}

func TestAnOpenNetworkIsSaidInPlainWords(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	args := append(embeddedArgs(t), "--http", "0.0.0.0:0")
	out, err := exec.CommandContext(ctx, binary(t), args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "anyone who reaches this address may do everything") || !strings.Contains(string(out), "--allow-unauthenticated-network") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFunctionsAreCalledWhereTheyMayBe(t *testing.T) {
	s := start(t, append(embeddedArgs(t), "--function-networks", "public,private")...)
	fn := newRecorder(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(fn.URL, "http://"), ":")
	for name, host := range map[string]string{"plain": "127.0.0.1", "mapped": "[::ffff:127.0.0.1]", "named": "localhost", "metadata": "169.254.169.254"} {
		s.apply(functionManifest(name, "http://"+host+":"+port+"/", "com.example.a") + "---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: " + name + "}\nspec: {function: " + name + ", types: [com.example.a], delivery: {attempts: 1}}\n")
	}
	s.emitID("1", "com.example.a", "{}")
	await(t, "four dead letters", func() error {
		runs, err := s.Runs(t.Context(), client.Query{ID: "1"})
		if err != nil {
			return err
		}
		refused := 0
		for _, r := range runs {
			if strings.Contains(r.Reason, "may not be called") {
				refused++
			}
		}
		if refused < 4 {
			return fmt.Errorf("%d runs, %d refused: %+v", len(runs), refused, runs)
		}
		return nil
	})
	if n := len(fn.count()); n > 0 {
		t.Errorf("it was called %d times", n)
	}
}
