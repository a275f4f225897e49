package resource

import (
	"net/url"
	"strings"
)

// Call says what calls of a function present, so that it knows who calls it.
// Everything secret is named here and kept elsewhere.
type Call struct {
	// Sign signs each call by Standard Webhooks.
	Sign *CallSign `json:"sign,omitempty"`
	// Bearer is presented in the Authorization header.
	Bearer *CallBearer `json:"bearer,omitempty"`
	// TLS is for functions by https.
	TLS *CallTLS `json:"tls,omitempty"`
}

// CallSign are signatures in the headers webhook-id, webhook-timestamp and
// webhook-signature over the bytes that are sent.
type CallSign struct {
	// Secrets are names of secrets: whsec_ and a key in base64 (HMAC-SHA256), or
	// whsk_ and a key (Ed25519). There is a signature by each, so that a key can be changed.
	Secrets []string `json:"secrets"`
}

// CallBearer is a token: exactly one of Secret and OIDC.
type CallBearer struct {
	// Secret is the name of a secret that is the token.
	Secret string `json:"secret,omitempty"`
	// OIDC gets tokens by OAuth 2.0 client credentials.
	OIDC *CallOIDC `json:"oidc,omitempty"`
}

// CallOIDC is a client of an OAuth 2.0 token endpoint.
type CallOIDC struct {
	// TokenURL is the endpoint, http or https.
	TokenURL string `json:"tokenURL"`
	ClientID string `json:"clientID"`
	// ClientSecret is the name of a secret.
	ClientSecret string `json:"clientSecret"`
	// ClientAuth is how the client is known: basic (default; the Authorization header)
	// or post (in the body).
	ClientAuth string `json:"clientAuth,omitempty"`
	// Scopes and Audience are asked for; none is the endpoint's default.
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
}

// How a client is known to a token endpoint (RFC 6749, section 2.3.1).
const (
	ClientAuthBasic = "basic"
	ClientAuthPost  = "post"
)

// CallTLS names secrets that hold PEM: the certificate that calls present, with
// its chain, its key, and the authorities that the function's certificate is checked
// against, which then are the only ones.
type CallTLS struct {
	ClientCert string `json:"clientCert,omitempty"`
	ClientKey  string `json:"clientKey,omitempty"`
	CA         string `json:"ca,omitempty"`
}

// maxCallSecrets bounds the signatures of one call.
const maxCallSecrets = 4

func (c *Call) validate(f *Faults, s *FunctionSpec) {
	if c == nil {
		return
	}
	if c.Sign == nil && c.Bearer == nil && c.TLS == nil {
		f.add("spec.call", "empty: want sign, bearer or tls")
	}
	if c.Sign != nil {
		c.Sign.validate(f)
	}
	if c.Bearer != nil {
		c.Bearer.validate(f)
	}
	if c.TLS != nil {
		c.TLS.validate(f)
		s.validateCallTLS(f)
	}
}

// validateCallTLS refuses what would never be used: a certificate for calls without TLS.
func (s *FunctionSpec) validateCallTLS(f *Faults) {
	switch s.Runtime() {
	case RuntimeURL:
		if u, err := url.Parse(s.URL); err == nil && u.Scheme == "http" {
			f.add("spec.call.tls", "the function's url begins with http: want https")
		}
	case RuntimeCommand, RuntimeScripts, RuntimeJob, PlatformDocker:
		f.add("spec.call.tls", "what Signalbox runs itself is called without TLS: want url, knative, or an image on another platform")
	}
}

func (c *CallSign) validate(f *Faults) {
	if len(c.Secrets) == 0 || len(c.Secrets) > maxCallSecrets {
		f.add("spec.call.sign.secrets", "%d names: want 1 to %d", len(c.Secrets), maxCallSecrets)
	}
	seen := map[string]bool{}
	for i, name := range c.Secrets {
		field := index("spec.call.sign.secrets", i)
		validateSecret(f, field, name)
		if seen[name] {
			f.add(field, "%q stands twice", name)
		}
		seen[name] = true
	}
}

func (c *CallBearer) validate(f *Faults) {
	switch {
	case (c.Secret == "") == (c.OIDC == nil):
		f.add("spec.call.bearer", "want exactly one of secret, oidc")
	case c.Secret != "":
		validateSecret(f, "spec.call.bearer.secret", c.Secret)
	}
	if c.OIDC != nil {
		c.OIDC.validate(f)
	}
}

func (c *CallOIDC) validate(f *Faults) {
	const at = "spec.call.bearer.oidc."
	u, err := url.Parse(c.TokenURL)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Fragment != "":
		f.add(at+"tokenURL", "%q: want an absolute http or https URL without a fragment", c.TokenURL)
	case u.User != nil:
		f.add(at+"tokenURL", "a URL with a user name or password: credentials do not belong in a manifest")
	}
	if !plainText(c.ClientID, 1, 256) {
		f.add(at+"clientID", "%q: want 1 to 256 printable ASCII characters", c.ClientID)
	}
	validateSecret(f, at+"clientSecret", c.ClientSecret)
	if c.ClientAuth != "" && c.ClientAuth != ClientAuthBasic && c.ClientAuth != ClientAuthPost {
		f.add(at+"clientAuth", "%q: want basic or post", c.ClientAuth)
	}
	for i, s := range c.Scopes {
		if !plainText(s, 1, 256) || strings.ContainsAny(s, ` "\`) {
			f.add(index(at+"scopes", i), "%q: want a scope (RFC 6749): printable ASCII without space, '\"' and '\\'", s)
		}
	}
	if !plainText(c.Audience, 0, 1024) {
		f.add(at+"audience", "%q: want at most 1024 printable ASCII characters", c.Audience)
	}
}

func (c *CallTLS) validate(f *Faults) {
	if (c.ClientCert == "") != (c.ClientKey == "") {
		f.add("spec.call.tls", "want clientCert and clientKey, or neither")
	}
	if c.ClientCert == "" && c.ClientKey == "" && c.CA == "" {
		f.add("spec.call.tls", "empty: want clientCert and clientKey, ca, or all of them")
	}
	for _, s := range []struct{ field, name string }{{"clientCert", c.ClientCert}, {"clientKey", c.ClientKey}, {"ca", c.CA}} {
		if s.name != "" {
			validateSecret(f, "spec.call.tls."+s.field, s.name)
		}
	}
}

// plainText reports whether s has low to high characters, all of printable ASCII.
func plainText(s string, low, high int) bool {
	if len(s) < low || len(s) > high {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
