package webhook

import (
	"github.com/signalbox-dev/signalbox/resource"
)

// handshake answers what a provider asks before or between events. The request
// is verified already.
func (h *Hook) handshake(p *payload) (Result, bool) {
	switch h.spec.Provider {
	case resource.ProviderSlack:
		if challenge := p.text("challenge"); p.text("type") == "url_verification" && challenge != "" {
			return Result{Answer: []byte(challenge), ContentType: "text/plain; charset=utf-8"}, true
		}
	case resource.ProviderGitHub:
		if p.r.header("X-Github-Event") == "ping" {
			return Result{Answer: []byte(`{"pong":true}`), ContentType: "application/json"}, true
		}
	}
	return Result{}, false
}

// maxChallenge bounds what a GET is answered with.
const maxChallenge = 1024

// Challenge answers a GET that asks whether this webhook wants events: the
// parameters hub.mode=subscribe, hub.verify_token and hub.challenge of Meta and
// WebSub. Errors are *Refusal; NotHandshake is a GET of another kind.
func (h *Hook) Challenge(r *Request) ([]byte, error) {
	q := r.query()
	challenge := q.Get("hub.challenge")
	if h.spec.VerifyToken == "" || q.Get("hub.mode") != "subscribe" || challenge == "" || len(challenge) > maxChallenge {
		return nil, ErrNotHandshake
	}
	secret, err := h.secrets.Lookup(h.spec.VerifyToken)
	if err != nil {
		return nil, &Refusal{Reason: NoSecret, Detail: "the webhook's verify token is not set up; come again later", Cause: err}
	}
	if !equalsAny([][]byte{secret}, q.Get("hub.verify_token")) {
		return nil, refuse(Unverified, "hub.verify_token is wrong")
	}
	return []byte(challenge), nil
}
