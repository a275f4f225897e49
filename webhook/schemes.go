package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha1" // #nosec G505 -- Twilio's scheme
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// verifierOf is the scheme of a webhook's provider.
func verifierOf(s *resource.WebhookSpec) verifier {
	tolerance := s.Tolerance.D()
	if tolerance == 0 {
		tolerance = 5 * time.Minute
	}
	switch s.Provider {
	case resource.ProviderGitHub:
		return github(s.LegacySHA1)
	case resource.ProviderGitLab:
		return token("X-Gitlab-Token")
	case resource.ProviderStripe:
		return stripe(tolerance)
	case resource.ProviderSlack:
		return hmacScheme(&resource.WebhookHMAC{
			Header: "X-Slack-Signature", Prefix: "v0=", Signed: "v0:{timestamp}:{body}", TimestampHeader: "X-Slack-Request-Timestamp",
		}, tolerance)
	case resource.ProviderShopify:
		return hmacScheme(&resource.WebhookHMAC{Header: "X-Shopify-Hmac-Sha256", Encoding: "base64"}, tolerance)
	case resource.ProviderTwilio:
		return twilio(s.PublicURL)
	case resource.ProviderStandard:
		return standard(tolerance)
	case resource.ProviderHMAC:
		return hmacScheme(s.HMAC, tolerance)
	case resource.ProviderBasic:
		return basic(s.User)
	case resource.ProviderAPIKey:
		return token(apiKeyHeader(s))
	}
	return loopbackOnly
}

func apiKeyHeader(s *resource.WebhookSpec) string {
	if s.Header == "" {
		return "X-Api-Key"
	}
	return s.Header
}

func loopbackOnly(r *Request, _ [][]byte) error {
	if !r.Loopback {
		return refuse(NotLoopback, "this webhook verifies nothing, so it is taken from this machine only")
	}
	return nil
}

// hmacScheme is a signature by a shared key as a manifest describes it.
func hmacScheme(h *resource.WebhookHMAC, tolerance time.Duration) verifier {
	algorithm, decode := algorithmOf(h.Algorithm), decoderOf(h.Encoding)
	signed := h.Signed
	if signed == "" {
		signed = "{body}"
	}
	return func(r *Request, secrets [][]byte) error {
		value, err := r.one(h.Header)
		if err != nil {
			return err
		}
		text, ok := strings.CutPrefix(value, h.Prefix)
		got, err := decode(text)
		if !ok || err != nil || len(got) == 0 {
			return refuse(Unverified, "header %s is malformed", h.Header)
		}
		stamp, id := "", ""
		if h.TimestampHeader != "" {
			if stamp, err = r.one(h.TimestampHeader); err != nil {
				return err
			}
		}
		if strings.Contains(signed, "{id}") {
			if id, err = r.one(h.IDHeader); err != nil {
				return err
			}
		}
		before, after, _ := strings.Cut(signed, "{body}")
		fill := strings.NewReplacer("{timestamp}", stamp, "{id}", id)
		head, tail := []byte(fill.Replace(before)), []byte(fill.Replace(after))
		if !anySecret(secrets, [][]byte{got}, func(s []byte) []byte { return tagged(algorithm, s, head, r.Body, tail) }) {
			return errSignature
		}
		if h.TimestampHeader == "" {
			return nil
		}
		return checkTime(h.TimestampHeader, stamp, r.Now, tolerance)
	}
}

// github is X-Hub-Signature-256; with legacy also X-Hub-Signature, where the
// former is missing. Its signature has no time: what protects against a replay
// is that the delivery's id becomes the event's.
func github(legacy bool) verifier {
	newer := hmacScheme(&resource.WebhookHMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="}, 0)
	older := hmacScheme(&resource.WebhookHMAC{Header: "X-Hub-Signature", Prefix: "sha1=", Algorithm: "sha1"}, 0)
	return func(r *Request, secrets [][]byte) error {
		if legacy && len(r.Values("X-Hub-Signature-256")) == 0 {
			return older(r, secrets)
		}
		return newer(r, secrets)
	}
}

// token is a secret that stands in a header as it is.
func token(header string) verifier {
	return func(r *Request, secrets [][]byte) error {
		value, err := r.one(header)
		if err != nil {
			return err
		}
		if !equalsAny(secrets, value) {
			return refuse(Unverified, "header %s is wrong", header)
		}
		return nil
	}
}

// basic is HTTP's Basic authentication (RFC 7617).
func basic(user string) verifier {
	return func(r *Request, secrets [][]byte) error {
		value, err := r.one("Authorization")
		if err != nil {
			return err
		}
		scheme, encoded, _ := strings.Cut(value, " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
		name, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok || !strings.EqualFold(scheme, "Basic") {
			return refuse(Unverified, "header Authorization is malformed: want Basic")
		}
		right := equalsAny(secrets, password)
		if subtle.ConstantTimeCompare([]byte(name), []byte(user)) != 1 || !right {
			return refuse(Unverified, "user or password is wrong")
		}
		return nil
	}
}

// What one header may hold: signatures by shared keys, which cost a comparison
// each, and by ed25519, which cost a pass over the body each.
const (
	maxSignatures       = 20
	maxPublicSignatures = 4
)

// stripe is Stripe-Signature: t=<seconds>,v1=<hex>[,v1=…]; other schemes are
// ignored. The key is the whole secret, with whsec_.
func stripe(tolerance time.Duration) verifier {
	const header = "Stripe-Signature"
	return func(r *Request, secrets [][]byte) error {
		value, err := r.one(header)
		if err != nil {
			return err
		}
		var stamp string
		var signatures [][]byte
		for part := range strings.SplitSeq(value, ",") {
			name, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "t":
				if stamp != "" {
					return refuse(Unverified, "header %s: t stands twice", header)
				}
				stamp = v
			case "v1":
				if got, err := hex.DecodeString(v); err == nil && len(signatures) < maxSignatures {
					signatures = append(signatures, got)
				}
			}
		}
		if stamp == "" || len(signatures) == 0 {
			return refuse(Unverified, "header %s is malformed: want t and v1", header)
		}
		head := []byte(stamp + ".")
		if !anySecret(secrets, signatures, func(s []byte) []byte { return tagged(sha256.New, s, head, r.Body) }) {
			return errSignature
		}
		return checkTime(header, stamp, r.Now, tolerance)
	}
}

// standardHeaders are the names of Standard Webhooks and those of Svix.
var standardHeaders = [...]string{"Webhook-", "Svix-"}

// standardPrefix finds which names a request uses.
func standardPrefix(r *Request) string {
	for _, p := range standardHeaders {
		if len(r.Values(p+"Signature")) > 0 {
			return p
		}
	}
	return standardHeaders[0]
}

// standard is Standard Webhooks 1.0.0: v1 by a shared key (whsec_), v1a by
// ed25519, for which the secret holds the public key (whpk_).
func standard(tolerance time.Duration) verifier {
	return func(r *Request, secrets [][]byte) error {
		prefix := standardPrefix(r)
		var parts [3]string
		for i, name := range [...]string{"Id", "Timestamp", "Signature"} {
			v, err := r.one(prefix + name)
			if err != nil {
				return err
			}
			parts[i] = v
		}
		head := []byte(parts[0] + "." + parts[1] + ".")
		if !standardSigned(head, r.Body, parts[2], secrets) {
			return errSignature
		}
		return checkTime(prefix+"Timestamp", parts[1], r.Now, tolerance)
	}
}

// standardSigned reports whether one of the secrets made one of the signatures of
// the list. The body is hashed once for each secret, however many signatures a
// stranger lists; by ed25519 it has to be hashed for each of them.
func standardSigned(head, body []byte, list string, secrets [][]byte) bool {
	var shared, public [][]byte
	for one := range strings.FieldsSeq(list) {
		version, encoded, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case err != nil:
		case version == "v1" && len(shared) < maxSignatures:
			shared = append(shared, got)
		case version == "v1a" && len(public) < maxPublicSignatures && len(got) == ed25519.SignatureSize:
			public = append(public, got)
		}
	}
	ok := len(shared) > 0 && anySecret(secrets, shared, func(s []byte) []byte {
		key, valid := symmetricKey(s)
		if !valid {
			return nil
		}
		return tagged(sha256.New, key, head, body)
	})
	return len(public) > 0 && anyPublicKey(secrets, public, slices.Concat(head, body)) || ok
}

// anyPublicKey reports whether a signature is by one of the secrets that are public keys.
func anyPublicKey(secrets, signatures [][]byte, signed []byte) bool {
	ok := false
	for _, s := range secrets {
		key, valid := publicKey(s)
		for _, got := range signatures {
			ok = valid && ed25519.Verify(key, signed, got) || ok
		}
	}
	return ok
}

// symmetricKey decodes a secret, which is base64, after whsec_ if it has that.
func symmetricKey(secret []byte) ([]byte, bool) {
	if bytes.HasPrefix(secret, []byte("whpk_")) {
		return nil, false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), "whsec_"))
	return key, err == nil && len(key) > 0
}

func publicKey(secret []byte) (ed25519.PublicKey, bool) {
	encoded, ok := strings.CutPrefix(string(secret), "whpk_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	return key, ok && err == nil && len(key) == ed25519.PublicKeySize
}

// twilio is X-Twilio-Signature: HMAC-SHA1 over the URL it calls, and then the
// names and values of the form, sorted. A body that is no form is bound by its
// hash, bodySHA256 in the query. publicURL is what Twilio was told to call: the
// Host that a request names is anybody's.
func twilio(publicURL string) verifier {
	const header = "X-Twilio-Signature"
	return func(r *Request, secrets [][]byte) error {
		value, err := r.one(header)
		if err != nil {
			return err
		}
		got, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return refuse(Unverified, "header %s is malformed", header)
		}
		called, _, _ := strings.Cut(publicURL, "?")
		if r.Query != "" {
			called += "?" + r.Query
		}
		signed := []byte(called)
		if hash := r.query().Get("bodySHA256"); hash != "" {
			sum := sha256.Sum256(r.Body)
			if want, err := hex.DecodeString(hash); err != nil || subtle.ConstantTimeCompare(want, sum[:]) != 1 {
				return errSignature
			}
		} else if signed, err = appendForm(signed, r); err != nil {
			return err
		}
		variants := twilioURLs(signed, called)
		ok := false
		for _, v := range variants {
			ok = anySecret(secrets, [][]byte{got}, func(s []byte) []byte { return tagged(sha1.New, s, v) }) || ok
		}
		if !ok {
			return errSignature
		}
		return nil
	}
}

// appendForm adds every name with each of its values, without repeating one.
func appendForm(signed []byte, r *Request) ([]byte, error) {
	if !r.isForm() {
		if len(r.Body) > 0 {
			return nil, refuse(Unverified, "a body that is no form needs bodySHA256 in the query")
		}
		return signed, nil
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, refuse(Unverified, "the form is malformed")
	}
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			signed = append(append(signed, name...), v...)
		}
	}
	return signed, nil
}

// twilioURLs are what may have been signed: Twilio writes the URL with its
// port or without.
func twilioURLs(signed []byte, called string) [][]byte {
	all := [][]byte{signed}
	u, err := url.Parse(called)
	if err != nil {
		return all
	}
	other := *u
	switch {
	case u.Port() != "":
		other.Host = u.Hostname()
	case u.Scheme == "https":
		other.Host += ":443"
	default:
		other.Host += ":80"
	}
	return append(all, slices.Concat([]byte(other.String()), signed[len(called):]))
}
