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

// tokenParam is the parameter of the URL that may hold the token of a delivery.
const tokenParam = "access_token"

// delivered returns the token of a request that delivers events, which may stand in the
// URL, too (RFC 6750, section 2.3; the CloudEvents webhook specification, section 3.2, wants
// both taken). nil is that there is none. The header counts alone where it is there.
func delivered(ctx *fasthttp.RequestCtx) ([]byte, error) {
	token, err := bearer(&ctx.Request.Header)
	if token != nil || err != nil || len(ctx.URI().QueryString()) == 0 {
		return token, err
	}
	switch all := ctx.QueryArgs().PeekMulti(tokenParam); {
	case len(all) == 0:
		return nil, nil
	case len(all) > 1:
		return nil, invalid("more than one token")
	default:
		return checkToken(all[0], tokenParam+": want a token")
	}
}

// parseBearer reads "Bearer <token>"; the scheme is in any case.
func parseBearer(value []byte) ([]byte, error) {
	scheme, token, ok := bytes.Cut(value, []byte(" "))
	if !ok || !bytes.EqualFold(scheme, []byte("bearer")) {
		return nil, invalid("Authorization: want the scheme Bearer")
	}
	return checkToken(bytes.TrimLeft(token, " "), "Authorization: want Bearer and a token")
}

// checkToken returns what may be a token, or refuses.
func checkToken(token []byte, refusal string) ([]byte, error) {
	if len(token) == 0 || len(token) > maxToken || bytes.ContainsFunc(token, func(r rune) bool { return r > '~' || !tokenChar(byte(r)) }) {
		return nil, invalid(refusal)
	}
	return token, nil
}

// tokenChar reports whether c may stand in a token68 (RFC 9110, section 11.2).
func tokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '='
}
