package outbound

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strings"
	"time"
)

// The headers of Standard Webhooks, and that of tokens.
const (
	headerID            = "webhook-id"
	headerTimestamp     = "webhook-timestamp"
	headerSignature     = "webhook-signature"
	headerAuthorization = "Authorization"
)

// Caller is what the calls of one function present at the moment. It never
// changes, and is safe for concurrent use.
type Caller struct {
	signers []*signer
	// authorization is the header's value; nil is none.
	authorization []byte
	tls           *tls.Config
	// source gives the tokens, by the client's secret; nil where there are none.
	source *source
	secret string
	token  *token
}

// TLS is what connections are made by, without a server's name, and without
// authorities where those of all functions hold; nil is the caller's default. As long as the certificates are the same it is the same
// pointer, and connections made by another one must not be used.
func (c *Caller) TLS() *tls.Config { return c.tls }

// Present adds the headers of a call: id names the delivery (its dots, which
// separate what is signed, become '_'), body is what is sent, at the time now. add
// must copy the value.
func (c *Caller) Present(id, body []byte, at time.Time, add func(name string, value []byte)) {
	if c.authorization != nil {
		add(headerAuthorization, c.authorization)
	}
	if len(c.signers) > 0 {
		sign(c.signers, id, body, at, add)
	}
}

// Refused is told of an answer 401. It reports whether another call may be let
// in: the token was not fresh, and is not used again.
func (c *Caller) Refused() bool { return c.source != nil && c.source.drop(c.token) }

// Redact returns text without the token, which a function's answer may repeat.
func (c *Caller) Redact(text []byte) []byte {
	secret := bytes.TrimPrefix(c.authorization, []byte(bearerPrefix))
	if len(secret) == 0 || !bytes.Contains(text, secret) {
		return text
	}
	return bytes.ReplaceAll(text, secret, []byte("[redacted]"))
}

// strip takes out the headers that a call presents, whoever put them there.
func (c *Caller) strip(h http.Header) {
	if c.authorization != nil {
		h.Del(headerAuthorization)
	}
	if len(c.signers) == 0 {
		return
	}
	for name := range h {
		if strings.HasPrefix(strings.ToLower(name), "webhook-") {
			delete(h, name)
		}
	}
}
