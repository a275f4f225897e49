package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// noon is the clock of the tokens in testdata.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

type foreignToken struct{ By, Name, Want, Token string }

// foreign reads the tokens of other implementations; file holds their keys.
func foreign(t testing.TB) (file string, all []foreignToken) {
	t.Helper()
	b, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		JWKS   json.RawMessage
		Tokens []foreignToken
	}
	if err := json.Unmarshal(b, &in); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, in.JWKS, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, in.Tokens
}

func tokensOf(t testing.TB, change func(*JWTConfig)) *tokens {
	t.Helper()
	c := DefaultJWTConfig()
	c.Issuer, c.Audience, c.RolesClaim = "https://id.example", "signalbox", "realm_access.roles"
	change(&c)
	return newTokens(c, func() time.Time { return noon }, &buckets{})
}

func (t *tokens) of(token string) (*credential, error) {
	h := hash(sha256.Sum256([]byte(token)))
	return t.identify(context.Background(), []byte(token), &h)
}

func TestTokensOfOtherImplementations(t *testing.T) {
	file, all := foreign(t)
	if len(all) < 30 {
		t.Fatalf("only %d tokens", len(all))
	}
	tokens := tokensOf(t, func(c *JWTConfig) { c.KeysFile = file })
	for _, x := range all {
		for _, time := range []string{"first", "again"} {
			c, err := tokens.of(x.Token)
			switch {
			case x.Want != "":
				if err == nil || !strings.Contains(err.Error(), x.Want) {
					t.Errorf("%s, %s, %s: %v, want an error that says %q", x.By, x.Name, time, err, x.Want)
				}
			case err != nil:
				t.Errorf("%s, %s, %s: %v", x.By, x.Name, time, err)
			case c.name != "ada" || c.kind != JWT || !slices.Equal(c.roles, []string{"emitter", "staff"}):
				t.Errorf("%s, %s, %s: %+v", x.By, x.Name, time, c)
			}
		}
	}
}

// Policies take events whose authid is webhook:<name> for verified ones.
func TestNoTokenIsNamedLikeAWebhook(t *testing.T) {
	tokens := tokensOf(t, func(*JWTConfig) {})
	claims := `{"iss":"https://id.example","aud":"signalbox","exp":1900000000,"sub":"%s"}`
	if c, err := tokens.credential([]byte(fmt.Sprintf(claims, "github"))); err != nil || c.name != "github" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := tokens.credential([]byte(fmt.Sprintf(claims, "webhook:github"))); !errors.Is(err, errSubject) {
		t.Errorf("%v, want %v", err, errSubject)
	}
}

func TestShortKeysOfRSAArePassedOver(t *testing.T) {
	jwk.Configure(jwk.WithMinRSAModulusBits(0)) // as OPA does
	t.Cleanup(func() { jwk.Configure(jwk.WithMinRSAModulusBits(minRSA)) })
	for bits, want := range map[int]bool{1024: false, 2048: true} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		b := fmt.Sprintf(`{"kty":"RSA","e":"AQAB","n":"%s"}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
		if _, taken := parsePublicKey([]byte(b)); taken != want {
			t.Errorf("%d bits: %v", bits, taken)
		}
	}
}

func TestRolesAreMapped(t *testing.T) {
	file, all := foreign(t)
	tokens := tokensOf(t, func(c *JWTConfig) { c.KeysFile, c.RoleMap = file, map[string]string{"staff": "viewer"} })
	c, err := tokens.of(all[0].Token)
	if err != nil || !slices.Equal(c.roles, []string{"viewer"}) {
		t.Errorf("%+v, %v: what is not in the map is no role", c, err)
	}
}

func TestAClaimOfRoles(t *testing.T) {
	for name, c := range map[string]struct {
		claims, path string
		want         []string
	}{
		"a list":             {`{"roles":["a","b",1]}`, "roles", []string{"a", "b"}},
		"a text":             {`{"scope":"a  b"}`, "scope", []string{"a", "b"}},
		"a path":             {`{"x":{"y":{"z":["a"]}}}`, "x.y.z", []string{"a"}},
		"a name with dots":   {`{"https://a.example/roles":["a"],"x":1}`, "https://a.example/roles", []string{"a"}},
		"nothing there":      {`{"x":{"y":1}}`, "x.z", nil},
		"no object":          {`{"x":1}`, "x.y", nil},
		"control characters": {`{"roles":["a\nb","c"]}`, "roles", []string{"c"}},
	} {
		parsed, err := parseClaims([]byte(c.claims))
		if got := parsed.names(c.path); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestWhatIsNoSetOfClaims(t *testing.T) {
	for _, s := range []string{``, `null`, `[]`, `1`, `{"a":1} {}`, `{"a"`} {
		if _, err := parseClaims([]byte(s)); err == nil {
			t.Errorf("%s passes", s)
		}
	}
	for _, s := range []string{`{"exp":"1"}`, `{"exp":-1}`, `{"exp":1e300}`, `{"exp":null}`} {
		c, err := parseClaims([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.time("exp"); err == nil {
			t.Errorf("%s passes", s)
		}
	}
}

// issuer is an OpenID provider whose keys change.
type issuer struct {
	*httptest.Server
	keys    atomic.Pointer[[]byte]
	fetched atomic.Int32
	config  func() string
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprint(w, i.config())
		case "/keys":
			i.fetched.Add(1)
			_, _ = w.Write(*i.keys.Load())
		case "/moved":
			http.Redirect(w, r, "/keys", http.StatusFound)
		}
	}))
	t.Cleanup(i.Close)
	i.config = func() string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys") }
	return i
}

// publish makes a key and publishes it alone.
func (i *issuer) publish(t testing.TB, kid string) jwk.Key {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	_ = key.Set(jwk.KeyIDKey, kid)
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		t.Fatal(err)
	}
	i.keys.Store(&b)
	return key
}

func (i *issuer) token(t testing.TB, key jwk.Key, sub string) string {
	t.Helper()
	tok, err := jwt.NewBuilder().Issuer(i.URL).Audience([]string{"signalbox"}).Subject(sub).Expiration(noon.Add(time.Hour)).Claim("roles", []string{"viewer"}).Build()
	if err != nil {
		t.Fatal(err)
	}
	b, err := jwt.Sign(tok, jwt.WithKey(jwa.ES256(), key))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeysRotate(t *testing.T) {
	i := newIssuer(t)
	clock := noon
	c := DefaultJWTConfig()
	c.Issuer, c.Audience = i.URL, "signalbox"
	tokens := newTokens(c, func() time.Time { return clock }, &buckets{})

	first := i.token(t, i.publish(t, "1"), "ada")
	if c, err := tokens.of(first); err != nil || c.name != "ada" {
		t.Fatalf("the first token fetches the keys: %+v, %v", c, err)
	}
	key := i.publish(t, "2")
	second := i.token(t, key, "bob")
	if _, err := tokens.of(second); !errors.Is(err, errUnknownKey) {
		t.Errorf("a fetch was a moment ago: %v", err)
	}
	if n := i.fetched.Load(); n != 1 {
		t.Errorf("%d fetches: want those for unknown keys bounded", n)
	}
	clock = clock.Add(11 * time.Second)
	if c, err := tokens.of(second); err != nil || c.name != "bob" || i.fetched.Load() != 2 {
		t.Errorf("%+v, %v: a key that is not known is fetched", c, err)
	}
	if _, err := tokens.of(first); !errors.Is(err, errUnknownKey) {
		t.Errorf("%v: a token of a key that was withdrawn was remembered", err)
	}
	clock = clock.Add(2 * time.Hour)
	if _, err := tokens.of(second); !errors.Is(err, errExpired) {
		t.Errorf("%v: a token that was remembered outlives its end", err)
	}
}

func TestAnotherKeyByTheSameNameIsFetched(t *testing.T) {
	i := newIssuer(t)
	clock := noon
	c := DefaultJWTConfig()
	c.Issuer, c.Audience = i.URL, "signalbox"
	tokens := newTokens(c, func() time.Time { return clock }, &buckets{})
	first := i.token(t, i.publish(t, "1"), "ada")
	if _, err := tokens.of(first); err != nil {
		t.Fatal(err)
	}
	second := i.token(t, i.publish(t, "1"), "bob")
	if _, err := tokens.of(second); !errors.Is(err, errSignature) || i.fetched.Load() != 1 {
		t.Errorf("a fetch was a moment ago: %v, %d fetches", err, i.fetched.Load())
	}
	clock = clock.Add(11 * time.Second)
	if c, err := tokens.of(second); err != nil || c.name != "bob" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := tokens.of(first); !errors.Is(err, errSignature) {
		t.Errorf("%v: a token of the key before", err)
	}
}

func TestATokenWithoutKidIsTakenWhereOneKeyFits(t *testing.T) {
	i := newIssuer(t)
	key := i.publish(t, "1")
	_ = key.Remove(jwk.KeyIDKey)
	tokens := tokensOf(t, func(c *JWTConfig) { c.Issuer, c.RolesClaim = i.URL, "roles" })
	if c, err := tokens.of(i.token(t, key, "ada")); err != nil || !slices.Equal(c.roles, []string{"viewer"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnIssuerThatIsAwayIsNoRefusal(t *testing.T) {
	i := newIssuer(t)
	token := i.token(t, i.publish(t, "1"), "ada")
	published := *i.keys.Load()
	for name, c := range map[string]struct{ config, keys, url string }{
		"another issuer":    {`{"issuer":"https://evil.example","jwks_uri":"` + i.URL + `/keys"}`, "", ""},
		"keys without TLS":  {`{"issuer":"` + i.URL + `","jwks_uri":"http://keys.example/"}`, "", ""},
		"no JSON":           {`<html>`, "", ""},
		"no keys":           {"", `{"keys":[]}`, i.URL + "/keys"},
		"keys without end":  {"", `{"keys":["` + strings.Repeat("x", maxKeySet) + `"]}`, i.URL + "/keys"},
		"a redirect":        {"", "", i.URL + "/moved"},
		"nobody there":      {"", "", "http://127.0.0.1:1/"},
		"symmetric, hidden": {"", `{"keys":[{"kty":"oct","kid":"1","k":"c2VjcmV0"}]}`, i.URL + "/keys"},
	} {
		i.config = func() string { return c.config }
		b := published
		if c.keys != "" {
			b = []byte(c.keys)
		}
		i.keys.Store(&b)
		tokens := tokensOf(t, func(j *JWTConfig) { j.Issuer, j.KeysURL = i.URL, c.url })
		for _, when := range []string{"at first", "a moment later, when the keys are not asked for again"} {
			if _, err := tokens.of(token); !errors.Is(err, errKeysMissing) {
				t.Errorf("%s, %s: %v", name, when, err)
			}
		}
	}
}

func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	var c tokenCache
	set, found := &published{}, &credential{}
	for n := range 3 * maxTokens {
		h := hash(sha256.Sum256([]byte(fmt.Sprint(n))))
		c.keep(set, &h, found)
	}
	if n := len(c.new) + len(c.old); n > 2*maxTokens {
		t.Errorf("%d tokens", n)
	}
	h := hash(sha256.Sum256([]byte(fmt.Sprint(3*maxTokens - 1))))
	if c.find(set, &h) == nil || c.find(&published{}, &h) != nil {
		t.Error("want the last one, of that set of keys only")
	}
}

// FuzzToken: whatever a stranger presents as a token is refused in words that do
// not repeat it.
func FuzzToken(f *testing.F) {
	file, all := foreign(f)
	for _, x := range all {
		if x.Want != "" {
			f.Add([]byte(x.Token))
		}
	}
	f.Add([]byte("e30.e30."))
	f.Add([]byte("..."))
	f.Add([]byte("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"))
	good := map[string]bool{}
	for _, x := range all {
		good[x.Token] = x.Want == ""
	}
	tokens := tokensOf(f, func(c *JWTConfig) { c.KeysFile = file })
	f.Fuzz(func(t *testing.T, token []byte) {
		c, err := tokens.of(string(token))
		if good[string(token)] {
			return
		}
		if err == nil {
			t.Fatalf("%q is %+v", token, c)
		}
		if len(token) > 20 && strings.Contains(err.Error(), string(token)) {
			t.Fatalf("%v repeats the token", err)
		}
	})
}
