//go:build e2e && long

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// realm is one of Keycloak's, with the clients staff (a service account with the role
// events-admins) and caller.
type realm struct {
	t           *testing.T
	base, name  string
	adminSecret string
}

const (
	staffSecret  = "canary-staff-secret"
	callerSecret = "canary-caller-secret"
)

func newRealm(t *testing.T) *realm {
	t.Helper()
	env := parts.Up(t, "keycloak")
	r := &realm{t: t, base: env.Value("KEYCLOAK_URL"), name: unique(t), adminSecret: env.Value("KEYCLOAK_PASSWORD")}
	audience := func(name string) []any {
		return []any{map[string]any{"name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper", "config": map[string]any{"included.custom.audience": name, "access.token.claim": "true"}}}
	}
	r.admin("POST", "", map[string]any{
		"realm": r.name, "enabled": true, "sslRequired": "none",
		"roles": map[string]any{"realm": []any{map[string]any{"name": "events-admins"}}},
		"clients": []any{
			map[string]any{"clientId": "staff", "secret": staffSecret, "serviceAccountsEnabled": true, "protocolMappers": audience("signalbox")},
			map[string]any{"clientId": "caller", "secret": callerSecret, "serviceAccountsEnabled": true, "protocolMappers": audience("functions")},
		},
		"users": []any{map[string]any{"username": "service-account-staff", "enabled": true, "serviceAccountClientId": "staff", "realmRoles": []any{"events-admins"}}},
	})
	return r
}

func (r *realm) issuer() string { return r.base + "/realms/" + r.name }

// token is one by a grant.
func (r *realm) token(issuer string, form url.Values) string {
	r.t.Helper()
	resp, err := http.PostForm(issuer+"/protocol/openid-connect/token", form)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	var a struct {
		Token string `json:"access_token"`
	}
	if err != nil || json.Unmarshal(b, &a) != nil || a.Token == "" {
		r.t.Fatalf("no token: %v %s", err, b)
	}
	return a.Token
}

func (r *realm) staff() string {
	r.t.Helper()
	return r.token(r.issuer(), url.Values{"grant_type": {"client_credentials"}, "client_id": {"staff"}, "client_secret": {staffSecret}})
}

// admin sends a request to the API of administrators, below /admin/realms.
func (r *realm) admin(method, path string, body any) {
	r.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	token := r.token(r.base+"/realms/master", url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {r.adminSecret}})
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+"/admin/realms"+path, bytes.NewReader(b))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
}

func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	var h struct{ Kid string }
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func TestKeycloakLetsIn(t *testing.T) {
	r := newRealm(t)
	s := start(t, append(withAuth(embeddedArgs(t)), "--oidc-issuer", r.issuer(), "--oidc-audience", "signalbox", "--oidc-roles-claim", "realm_access.roles", "--oidc-role-map", "events-admins=admin")...)
	keys := kindOf(t, "keys")
	old := r.staff()
	if _, err := s.as(old).List(t.Context(), keys, ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.as(r.token(r.issuer(), url.Values{"grant_type": {"client_credentials"}, "client_id": {"caller"}, "client_secret": {callerSecret}})).List(t.Context(), keys, "")
	refused(t, err, 401, "another audience")
	r.admin("POST", "/"+r.name+"/components", map[string]any{
		"name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": map[string]any{"priority": []string{"1000"}, "enabled": []string{"true"}, "active": []string{"true"}, "algorithm": []string{"RS256"}},
	})
	fresh := r.staff()
	if kid(t, fresh) == kid(t, old) {
		t.Fatal("the key was not changed")
	}
	await(t, "the new key to be fetched", func() error {
		_, err := s.as(fresh).List(t.Context(), keys, "")
		return err
	})
	if _, err := s.as(old).List(t.Context(), keys, ""); err != nil {
		t.Errorf("by the key before, which is still published: %v", err)
	}
	s.holdsNone(rootKey, old, fresh)
}

func TestKeycloakGivesTokensForCalls(t *testing.T) {
	r := newRealm(t)
	set, err := jwk.Fetch(t.Context(), r.issuer()+"/protocol/openid-connect/certs")
	if err != nil {
		t.Fatal(err)
	}
	fn := newRecorder(t, func(w http.ResponseWriter, c call) {
		if _, err := jwt.Parse([]byte(strings.TrimPrefix(c.header.Get("Authorization"), "Bearer ")), jwt.WithKeySet(set), jwt.WithIssuer(r.issuer()), jwt.WithAudience("functions")); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})
	secrets := newSecrets(t, map[string]string{"client": "wrong"})
	s := start(t, append(embeddedArgs(t), "--secrets-dir", secrets.dir)...)
	text := ""
	for _, auth := range []string{resource.ClientAuthBasic, resource.ClientAuthPost} {
		text += calledManifest(auth, fn.URL, fmt.Sprintf("{bearer: {oidc: {tokenURL: %q, clientID: caller, clientSecret: client, clientAuth: %s}}}", r.issuer()+"/protocol/openid-connect/token", auth), "{attempts: 1}", "com.example.a")
	}
	s.apply(text)
	s.emitID("1", "com.example.a", "{}")
	await(t, "the wrong secret to be told", func() error {
		if out := s.out.String(); !strings.Contains(out, "unauthorized_client") {
			return errors.New(out)
		}
		return nil
	})
	secrets.set("client", callerSecret)
	begun := time.Now()
	fn.awaitCalls(t, 2)
	t.Logf("called %s after the secret was put right", time.Since(begun).Round(time.Millisecond))
	await(t, "two deliveries without an attempt more", func() error {
		runs, err := s.Runs(t.Context(), client.Query{Limit: 10})
		if err == nil && (len(runs) != 2 || runs[0].Outcome != event.Delivered || runs[1].Outcome != event.Delivered || runs[0].Attempt != 1) {
			err = fmt.Errorf("%+v", runs)
		}
		return err
	})
	s.holdsNone(staffSecret, callerSecret)
}
