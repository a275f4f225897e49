package access

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// What a client without credentials, or with wrong ones, is told (RFC 6750, section 3).
const (
	challenge        = `Bearer realm="signalbox"`
	challengeInvalid = `Bearer realm="signalbox", error="invalid_token"`
)

// maxToken bounds a token, in bytes; what is larger is no token of ours.
const maxToken = 12 << 10

// unauthorized is an answer to a request without credentials.
func unauthorized(detail string) *problem.Problem {
	p := problem.New(problem.Unauthorized, "%s", detail)
	p.Challenge = challenge
	return p
}

// invalid is an answer to credentials that are refused. The detail never holds
// what was presented.
func invalid(detail string) *problem.Problem {
	p := problem.New(problem.Unauthorized, "%s", detail)
	p.Challenge = challengeInvalid
	return p
}

// bearer returns the token of the Authorization header; nil is that there is
// no such header. Two of them are refused: which one counts would be a guess.
func bearer(h *fasthttp.RequestHeader) ([]byte, error) {
	all := h.PeekAll(fasthttp.HeaderAuthorization)
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return parseBearer(all[0])
	}
	return nil, invalid("more than one Authorization header")
}

// parseBearer reads "Bearer <token>"; the scheme is in any case.
func parseBearer(value []byte) ([]byte, error) {
	scheme, token, ok := bytes.Cut(value, []byte(" "))
	if !ok || !bytes.EqualFold(scheme, []byte("bearer")) {
		return nil, invalid("Authorization: want the scheme Bearer")
	}
	token = bytes.TrimLeft(token, " ")
	if len(token) == 0 || len(token) > maxToken {
		return nil, invalid("Authorization: want Bearer and a token")
	}
	for _, c := range token {
		if !tokenChar(c) {
			return nil, invalid("Authorization: want Bearer and a token")
		}
	}
	return token, nil
}

// tokenChar reports whether c may stand in a token68 (RFC 9110, section 11.2).
func tokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '='
}
