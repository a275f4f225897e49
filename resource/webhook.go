package resource

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// KindWebhook takes a third party's webhook at /webhooks/<name>.
const KindWebhook = "Webhook"

// The providers a webhook can be of.
const (
	ProviderGitHub   = "github"
	ProviderGitLab   = "gitlab"
	ProviderStripe   = "stripe"
	ProviderSlack    = "slack"
	ProviderShopify  = "shopify"
	ProviderTwilio   = "twilio"
	ProviderStandard = "standard" // Standard Webhooks, also under Svix's header names
	ProviderHMAC     = "hmac"
	ProviderBasic    = "basic"
	ProviderAPIKey   = "apikey"
	ProviderNone     = "none" // no verification; from loopback addresses only
)

// Providers lists them all, in the order of the documentation.
func Providers() []string {
	return []string{
		ProviderGitHub, ProviderGitLab, ProviderStripe, ProviderSlack, ProviderShopify, ProviderTwilio,
		ProviderStandard, ProviderHMAC, ProviderBasic, ProviderAPIKey, ProviderNone,
	}
}

// WebhookSpec says how a webhook is verified and which event it becomes.
type WebhookSpec struct {
	// Provider says who sends it, and so how it is signed and what the event's
	// attributes are: github, gitlab, stripe, slack, shopify, twilio, standard
	// (Standard Webhooks and Svix), hmac, basic, apikey or none.
	Provider string `json:"provider"`
	// Secrets are names of secrets; a webhook that any of them verifies is taken,
	// so that they can be rotated.
	Secrets []string `json:"secrets,omitempty"`
	// Tolerance is how far the time of a signature may be from now, where there is
	// one; default 5m, 1s to 1h.
	Tolerance Duration `json:"tolerance,omitzero"`
	// PublicURL is the URL the provider calls; twilio signs it.
	PublicURL string `json:"publicURL,omitempty"`
	// LegacySHA1 also takes github's older signature, where the newer one is missing.
	LegacySHA1 bool `json:"legacySHA1,omitempty"`
	// HMAC describes the signature of provider hmac.
	HMAC *WebhookHMAC `json:"hmac,omitempty"`
	// Header is where provider apikey looks for the key; default X-Api-Key.
	Header string `json:"header,omitempty"`
	// User is the user name of provider basic; the secrets are passwords.
	User string `json:"user,omitempty"`
	// VerifyToken names the secret that a GET with hub.mode=subscribe must bring
	// as hub.verify_token for its hub.challenge to be answered (Meta, WebSub).
	VerifyToken string `json:"verifyToken,omitempty"`
	// Event sets attributes otherwise than the provider's rules do.
	Event WebhookEvent `json:"event,omitzero"`
}

// WebhookHMAC describes a signature by a shared key.
type WebhookHMAC struct {
	// Header holds the signature.
	Header string `json:"header"`
	// Algorithm is sha256 (default), sha384, sha512 or sha1.
	Algorithm string `json:"algorithm,omitempty"`
	// Encoding is hex (default), base64 or base64url.
	Encoding string `json:"encoding,omitempty"`
	// Prefix stands before the signature in the header, such as "sha256=".
	Prefix string `json:"prefix,omitempty"`
	// Signed is what is signed: {body} (default), with {timestamp} and {id} as the
	// headers hold them and any text between, such as "v0:{timestamp}:{body}".
	Signed string `json:"signed,omitempty"`
	// TimestampHeader holds the time of the signature in Unix seconds, which is
	// checked against Tolerance; "" is none.
	TimestampHeader string `json:"timestampHeader,omitempty"`
	// IDHeader holds the id of the delivery, which becomes the event's; "" is none.
	IDHeader string `json:"idHeader,omitempty"`
}

// WebhookEvent are templates of the event's attributes. Text stands for itself;
// {body.a.b[0]} is a value of the JSON body, {form.a} of a form, {header.X-Name}
// of the request, {query.a} of the URL and {name} the webhook's name. Of
// {a | b | "text"} the first that is there is taken. An attribute with a value
// that is not there is left out, or is an error where the event needs it.
type WebhookEvent struct {
	ID         string            `json:"id,omitempty"`
	Type       string            `json:"type,omitempty"`
	Source     string            `json:"source,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Time       string            `json:"time,omitempty"`
	Extensions map[string]string `json:"extensions,omitempty"`
}

// Webhook is a resource of kind Webhook.
type Webhook struct {
	Metadata Metadata
	Spec     WebhookSpec
}

var (
	secretRE     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)
	headerNameRE = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,128}$")
)

func (s *WebhookSpec) validate(Metadata) Faults {
	var f Faults
	if !slices.Contains(Providers(), s.Provider) {
		f.add("spec.provider", "%q: want one of %s", s.Provider, strings.Join(Providers(), ", "))
		return f
	}
	s.validateSecrets(&f)
	if s.Tolerance != 0 && (s.Tolerance.D() < time.Second || s.Tolerance.D() > time.Hour) {
		f.add("spec.tolerance", "%s: want 1s to 1h", s.Tolerance)
	}
	s.validateOwn(&f)
	if s.HMAC != nil {
		s.HMAC.validate(&f)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Event.Extensions)) {
		if !validAttributeName(name) || slices.Contains([]string{"id", "source", "type", "subject", "time", "specversion", "datacontenttype", "dataschema"}, name) {
			f.add("spec.event.extensions", "%q: want the name of an extension: lower-case letters and digits", name)
		}
	}
	return f
}

func (s *WebhookSpec) validateSecrets(f *Faults) {
	switch {
	case s.Provider == ProviderNone && len(s.Secrets) > 0:
		f.add("spec.secrets", "provider none verifies nothing: want none")
	case s.Provider != ProviderNone && len(s.Secrets) == 0:
		f.add("spec.secrets", "empty: want the name of at least one secret")
	case len(s.Secrets) > 10:
		f.add("spec.secrets", "%d secrets: want at most 10", len(s.Secrets))
	}
	for i, name := range s.Secrets {
		validateSecret(f, index("spec.secrets", i), name)
	}
	if s.VerifyToken != "" {
		validateSecret(f, "spec.verifyToken", s.VerifyToken)
	}
}

// ValidSecretName reports whether name can be that of a secret: 1 to 63 lower-case
// letters, digits, '-' and '.', beginning and ending with a letter or digit, and
// never two dots in a row.
func ValidSecretName(name string) bool {
	return secretRE.MatchString(name) && !strings.Contains(name, "..")
}

// validateSecret checks the name of a secret. What is none is not repeated: it may
// be the secret itself.
func validateSecret(f *Faults, field, name string) {
	if !ValidSecretName(name) {
		f.add(field, "%d characters: want the name of a secret: lower-case letters, digits, '-' and '.', at most 63", len(name))
	}
}

// validateOwn checks the fields that belong to one provider.
func (s *WebhookSpec) validateOwn(f *Faults) {
	only := func(field, provider string, set bool) bool {
		if set && s.Provider != provider {
			f.add(field, "only with provider %s", provider)
		}
		return s.Provider == provider
	}
	if only("spec.publicURL", ProviderTwilio, s.PublicURL != "") {
		u, err := url.Parse(s.PublicURL)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
			f.add("spec.publicURL", "%q: want the http or https URL that twilio calls, which is what it signs", s.PublicURL)
		}
	}
	only("spec.legacySHA1", ProviderGitHub, s.LegacySHA1)
	if only("spec.hmac", ProviderHMAC, s.HMAC != nil) && s.HMAC == nil {
		f.add("spec.hmac", "missing: want header, and how it is signed")
	}
	if only("spec.header", ProviderAPIKey, s.Header != "") && s.Header != "" {
		validateHeader(f, "spec.header", s.Header)
	}
	if only("spec.user", ProviderBasic, s.User != "") && (s.User == "" || strings.Contains(s.User, ":")) {
		f.add("spec.user", "%q: want a user name without ':'", s.User)
	}
}

func (h *WebhookHMAC) validate(f *Faults) {
	oneOf := func(field, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			f.add("spec.hmac."+field, "%q: want one of %s", value, strings.Join(allowed, ", "))
		}
	}
	oneOf("algorithm", h.Algorithm, "sha256", "sha384", "sha512", "sha1")
	oneOf("encoding", h.Encoding, "hex", "base64", "base64url")
	validateHeader(f, "spec.hmac.header", h.Header)
	if h.TimestampHeader != "" {
		validateHeader(f, "spec.hmac.timestampHeader", h.TimestampHeader)
	}
	if h.IDHeader != "" {
		validateHeader(f, "spec.hmac.idHeader", h.IDHeader)
	}
	h.validateSigned(f)
}

// validateSigned refuses what would not bind the body, or a time or id that nothing signs.
func (h *WebhookHMAC) validateSigned(f *Faults) {
	const field = "spec.hmac.signed"
	signed := h.Signed
	if signed == "" {
		signed = "{body}"
	}
	if strings.Count(signed, "{body}") != 1 {
		f.add(field, "%q: want {body} in it, once", h.Signed)
	}
	for _, part := range []struct{ name, header, field string }{{"{timestamp}", h.TimestampHeader, "timestampHeader"}, {"{id}", h.IDHeader, "idHeader"}} {
		switch has := strings.Contains(signed, part.name); {
		case has && part.header == "":
			f.add(field, "%s is signed: want spec.hmac.%s, which holds it", part.name, part.field)
		case !has && part.header != "" && part.field == "timestampHeader":
			f.add(field, "the timestamp is not signed, so anybody could change it: want {timestamp} in it")
		}
	}
	if rest := strings.NewReplacer("{body}", "", "{timestamp}", "", "{id}", "").Replace(signed); strings.ContainsAny(rest, "{}") {
		f.add(field, "%q: want {body}, {timestamp} and {id} only", h.Signed)
	}
}

func validateHeader(f *Faults, field, name string) {
	if !headerNameRE.MatchString(name) {
		f.add(field, "%q: want the name of a header, such as %s", name, http.CanonicalHeaderKey("x-signature"))
	}
}
