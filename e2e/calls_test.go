//go:build e2e

package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
)

// secretsDir is a directory of secrets.
type secretsDir struct {
	t   *testing.T
	dir string
}

func newSecrets(t *testing.T, values map[string]string) *secretsDir {
	t.Helper()
	s := &secretsDir{t, t.TempDir()}
	for name, value := range values {
		s.set(name, value)
	}
	return s
}

// set replaces a secret at once, as Kubernetes does.
func (s *secretsDir) set(name, value string) {
	s.t.Helper()
	next := filepath.Join(s.dir, ".next")
	err := os.WriteFile(next, []byte(value), 0o600)
	if err == nil {
		err = os.Rename(next, filepath.Join(s.dir, name))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// calledManifest is a function whose calls present something.
func calledManifest(name, at, call, delivery string, types ...string) string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {url: %q, call: %s}\n", name, at, call) +
		fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Link\nmetadata: {name: %s.link}\nspec: {function: %s, types: [%s], delivery: %s}\n", name, name, strings.Join(types, ", "), delivery)
}

// received is a request as receive.py tells of it.
type received struct {
	Headers map[string]string
	Body    string
	Refused string
}

// receiver is a function that verifies by the vendors' libraries.
type receiver struct {
	url string
	mu  sync.Mutex
	got []received
}

func newReceiver(t *testing.T, env parts.Env, secret string) *receiver {
	t.Helper()
	cmd := exec.Command(env.Value("SIGNERS_PYTHON"), env.Client("receive.py"), secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		t.Fatal("receive.py does not say its port")
	}
	r.url = "http://127.0.0.1:" + lines.Text() + "/"
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			var one received
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				r.mu.Lock()
				r.got = append(r.got, one)
				r.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return r
}

func (r *receiver) await(t *testing.T, n int) []received {
	t.Helper()
	var got []received
	await(t, fmt.Sprintf("%d requests", n), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if got = slices.Clone(r.got); len(got) < n {
			return fmt.Errorf("%d", len(got))
		}
		return nil
	})
	return got
}

const (
	olderKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newerKey = "whsec_c2VjcmV0LW51bWJlci10d28tMDEyMzQ1"
)

// TestCallsAreSignedAsTheVendorsLibrariesVerify: deliveries in each format, and synchronous
// calls, by the key that goes and the one that comes.
func TestCallsAreSignedAsTheVendorsLibrariesVerify(t *testing.T) {
	env := parts.Up(t, "signers")
	secrets := newSecrets(t, map[string]string{"old": olderKey, "new": newerKey})
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir)...)
	older, newer := newReceiver(t, env, olderKey), newReceiver(t, env, newerKey)
	sign := "{sign: {secrets: [old, new]}}"
	s.apply(calledManifest("older", older.url, sign, "{format: binary}", "com.example.a") + calledManifest("newer", newer.url, sign, "{format: structured}", "com.example.a"))
	s.emitID("1", "com.example.a", `{"n": 1,  "text": "grüße"}`)
	s.emitID("2", "com.example.a", "[]")
	for _, r := range []*receiver{older, newer} {
		for _, one := range r.await(t, 2) {
			if one.Refused != "" || one.Headers["webhook-id"] != strings.ReplaceAll(one.Headers["idempotency-key"], ".", "_") {
				t.Errorf("%s: %+v", one.Refused, one)
			}
		}
	}
	forged := map[string]string{"Content-Type": "application/json", "Webhook-Id": "mine", "webhook-signature": "v1,AAAA", "Webhook-Timestamp": "1", "Authorization": "Basic eDp5"}
	if status, body := s.post("/function/older/below?a=1", forged, `{"sync":true}`); status != http.StatusNoContent {
		t.Errorf("a synchronous call: %d %s", status, body)
	}
	if one := older.await(t, 3)[2]; one.Headers["webhook-id"] == "mine" || one.Headers["authorization"] != "" || one.Body != `{"sync":true}` {
		t.Errorf("%+v", one)
	}

	// Rotated: the old key's place is taken by another one, which the older receiver does not know.
	secrets.set("old", newerKey)
	await(t, "the new key to be used alone", func() error {
		if status, body := s.post("/function/older", nil, "{}"); status != http.StatusBadRequest || !strings.Contains(body, "No matching signature") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	s.emitID("3", "com.example.a", "{}")
	await(t, "the dead letter of the older one", func() error {
		letters, err := s.DeadLetters(t.Context(), client.Query{Limit: 10})
		if err == nil && (len(letters) != 1 || !strings.Contains(string(letters[0]), `"function":"older"`) || !strings.Contains(string(letters[0]), "No matching signature")) {
			err = fmt.Errorf("%s", letters)
		}
		return err
	})
	if got := newer.await(t, 3); got[2].Refused != "" {
		t.Error(got[2].Refused)
	}
}

// mutualFunction wants client certificates of its authority, and notes who called.
func mutualFunction(t *testing.T, dir string) (at string, callers func() []string) {
	t.Helper()
	var mu sync.Mutex
	var names []string
	fn := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	fn.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	fn.Config.ErrorLog = log.New(io.Discard, "", 0)
	fn.StartTLS()
	t.Cleanup(fn.Close)
	return fn.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}
}

func newCA(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=test")
	certificate(t, dir, "server", "/CN=server", "subjectAltName=IP:127.0.0.1")
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFunctionsThatWantClientCertificates are called with one, whose secret changes under traffic.
func TestFunctionsThatWantClientCertificates(t *testing.T) {
	dir := newCA(t)
	certificate(t, dir, "ada", "/CN=ada", "extendedKeyUsage=clientAuth")
	certificate(t, dir, "grace", "/CN=grace", "extendedKeyUsage=clientAuth")
	secrets := newSecrets(t, map[string]string{"cert": read(t, dir, "ada.pem"), "key": read(t, dir, "ada.key"), "ca": read(t, dir, "ca.pem")})
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir, "--function-ca", filepath.Join(dir, "ca.pem"))...)
	at, callers := mutualFunction(t, dir)
	once := "{attempts: 1}"
	s.apply(calledManifest("with", at, "{tls: {clientCert: cert, clientKey: key}}", once, "com.example.a") +
		calledManifest("own-ca", at, "{tls: {clientCert: cert, clientKey: key, ca: ca}}", once, "com.example.a") +
		calledManifest("late", at, "{tls: {clientCert: cert, clientKey: missing}}", "{attempts: 1, maxAge: 1h}", "com.example.a") +
		functionManifest("without", at, "com.example.b"))
	s.emitID("1", "com.example.a", "{}")
	if status, body := s.post("/function/with", nil, "{}"); status != http.StatusOK {
		t.Errorf("a synchronous call: %d %s", status, body)
	}
	await(t, "three calls", func() error {
		if got := callers(); len(got) != 3 || slices.ContainsFunc(got, func(n string) bool { return n != "ada" }) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	if status, body := s.post("/function/without", nil, "{}"); status != http.StatusBadGateway {
		t.Errorf("without a certificate: %d %s", status, body)
	}
	if status, body := s.post("/function/late", nil, "{}"); status != http.StatusServiceUnavailable || strings.Contains(body, "missing") {
		t.Errorf("without its key: %d %s", status, body)
	}
	secrets.set("cert", read(t, dir, "grace.pem"))
	secrets.set("key", read(t, dir, "grace.key"))
	secrets.set("missing", read(t, dir, "grace.key"))
	await(t, "the delivery that had no key, by the new certificate", func() error {
		if got := callers(); len(got) != 4 || got[3] != "grace" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	letters, err := s.DeadLetters(t.Context(), client.Query{Limit: 10})
	if err != nil || len(letters) > 0 {
		t.Errorf("dead letters %s, %v", letters, err)
	}
}

// TestFunctionsVerifyTokensOfAProvider that is somebody else's: fetched by client credentials, one for
// all, renewed, and no attempt is spent while the provider is away.
func TestFunctionsVerifyTokensOfAProvider(t *testing.T) {
	env := parts.Up(t, "oauth")
	away, asked := &atomic.Bool{}, &atomic.Int32{}
	upstream, err := url.Parse(env.OAuth())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") && asked.Add(1) > 0 && away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer gate.Close()
	away.Store(true)

	issuer := gate.URL + "/signalbox"
	keys, err := jwk.Fetch(t.Context(), issuer+"/jwks")
	if err != nil {
		t.Fatal(err)
	}
	refused := &atomic.Pointer[string]{}
	fn := newRecorder(t, func(w http.ResponseWriter, c call) {
		raw := strings.TrimPrefix(c.header.Get("Authorization"), "Bearer ")
		_, err := jwt.Parse([]byte(raw), jwt.WithKeySet(keys), jwt.WithAudience("https://fn.example"), jwt.WithIssuer(issuer), jwt.WithSubject("me"))
		if err != nil {
			text := err.Error()
			refused.Store(&text)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	const secret = "canary-client-secret"
	secrets := newSecrets(t, map[string]string{"client": secret})
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir)...)
	call := fmt.Sprintf(`{bearer: {oidc: {tokenURL: "%s/token", clientID: me, clientSecret: client, audience: "https://fn.example", scopes: [a]}}}`, issuer)
	s.apply(calledManifest("one", fn.URL, call, "{attempts: 1}", "com.example.a") + calledManifest("two", fn.URL, call, "{attempts: 1}", "com.example.a"))
	for i := range 5 {
		s.emitID(fmt.Sprint(i), "com.example.a", "{}")
	}
	await(t, "the failure to be told", func() error {
		if !strings.Contains(s.out.String(), "no token for calls of functions") {
			return errors.New(s.out.String())
		}
		return nil
	})
	if status, body := s.post("/function/one", nil, "{}"); status != http.StatusServiceUnavailable {
		t.Errorf("while the provider is away: %d %s", status, body)
	}
	if len(fn.all()) > 0 {
		t.Error("called without a token")
	}
	away.Store(false)
	tokens := map[string]bool{}
	for _, c := range fn.awaitCalls(t, 10) {
		tokens[c.header.Get("Authorization")] = true
	}
	if r := refused.Load(); r != nil || len(tokens) != 1 {
		t.Errorf("refused: %v; %d tokens, want one for all", r, len(tokens))
	}
	if status, body := s.post("/function/two", map[string]string{"Authorization": "Bearer mine"}, "{}"); status != http.StatusOK {
		t.Errorf("a synchronous call: %d %s", status, body)
	}
	for token := range tokens {
		s.holdsNone(secret, strings.TrimPrefix(token, "Bearer "), base64.StdEncoding.EncodeToString([]byte("me:"+secret)))
	}
	letters, err := s.DeadLetters(t.Context(), client.Query{Limit: 10})
	if err != nil || len(letters) > 0 {
		t.Errorf("dead letters %s, %v", letters, err)
	}
	if n := asked.Load(); n > 8 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// TestTokensOfAnotherProviderLetIn: identities by a provider that is not ours, whose key changes.
func TestTokensOfAnotherProviderLetIn(t *testing.T) {
	before, after := parts.Up(t, "oauth"), parts.UpPrivate(t, "oauth")
	now := &atomic.Pointer[url.URL]{}
	use := func(env parts.Env) {
		u, err := url.Parse(env.OAuth())
		if err != nil {
			t.Fatal(err)
		}
		now.Store(u)
	}
	name := unique(t)
	use(before)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", now.Load().Host }})
	defer proxy.Close()
	fetch := func(issuer string) string {
		t.Helper()
		resp, err := http.PostForm(proxy.URL+"/"+issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"staff"}, "client_secret": {"x"}, "scope": {"signalbox"}})
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
		return a.Token
	}
	fetch("first-" + name) // takes the first key, which the other instance gives to this issuer
	s := start(t, append(withAuth(embeddedArgs(t)), "--oidc-issuer", proxy.URL+"/"+name, "--oidc-audience", "signalbox", "--oidc-roles-claim", "sub", "--oidc-role-map", "staff=viewer")...)
	links := kindOf(t, "links")
	old := fetch(name)
	await(t, "the keys of the provider, which makes them when they are asked for", func() error {
		_, err := s.as(old).List(t.Context(), links, "")
		return err
	})
	_, err := s.as(fetch("another")).List(t.Context(), links, "")
	refused(t, err, 401, "does not publish")
	use(after)
	fresh := fetch(name)
	begun := time.Now()
	await(t, "the new key to be fetched", func() error {
		_, err := s.as(fresh).List(t.Context(), links, "")
		return err
	})
	t.Logf("let in by the new key after %s", time.Since(begun).Round(time.Millisecond))
	s.refusesToken(old, "signature")
	s.holdsNone(rootKey, old, fresh)
}
