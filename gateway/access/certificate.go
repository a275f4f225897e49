package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// What is taken from a certificate: whoever issues them chooses the text.
const (
	maxText             = 256
	maxCertificateNames = 32
)

// ofCertificate is the identity of a verified client certificate. Its name is
// its first URI (a SPIFFE id, say), else its first DNS name, else its first mail
// address, else its common name; its roles are the organizations (O) of its
// subject. A name of "" is a certificate that names nobody, or not fit to be one.
func ofCertificate(cert *x509.Certificate) *credential {
	uris := make([]string, 0, len(cert.URIs))
	for _, u := range cert.URIs {
		uris = append(uris, u.String())
	}
	c := &credential{kind: Certificate, until: cert.NotAfter, roles: texts(cert.Subject.Organization)}
	for _, names := range [][]string{uris, cert.DNSNames, cert.EmailAddresses, {cert.Subject.CommonName}} {
		if len(names) > 0 {
			c.name = ownName(names[0])
			break
		}
	}
	sum := sha256.Sum256(cert.Raw)
	c.attributes = map[string]any{
		"subject": text(cert.Subject.String()), "issuer": text(cert.Issuer.String()), "fingerprint": hex.EncodeToString(sum[:]),
		"uris": anys(texts(uris)), "dns": anys(texts(cert.DNSNames)), "emails": anys(texts(cert.EmailAddresses)),
	}
	return c
}

// texts are those of all that are fit to be names.
func texts(all []string) []string {
	var out []string
	for _, s := range all[:min(len(all), maxCertificateNames)] {
		if s = text(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// text is s if it is fit for names, logs and JSON: valid UTF-8 without control
// characters, and not long. Else it is "": a text that were cut or mended could
// be somebody else's.
func text(s string) string {
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, unfit) {
		return ""
	}
	return s
}

// webhookNames are what the names begin with by which events name verified webhooks (authid).
const webhookNames = "webhook:"

// ownName is s if it is fit to name somebody by a token or a certificate: fit for a text, and not what
// events call a webhook, for which policies would take him.
func ownName(s string) string {
	if strings.HasPrefix(s, webhookNames) {
		return ""
	}
	return text(s)
}

// unfit are control characters and noncharacters, which attributes of events
// must not hold either.
func unfit(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}
