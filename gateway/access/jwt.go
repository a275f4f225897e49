package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// Why a token is refused. The texts go to the client and hold nothing of it.
var (
	errToken       = errors.New("the token is not known here")
	errAlgorithm   = errors.New("the token is not signed by an algorithm that is accepted")
	errSignature   = errors.New("the token's signature does not verify")
	errUnknownKey  = errors.New("the token is signed by a key that the issuer does not publish")
	errExpired     = errors.New("the token has expired")
	errNotYet      = errors.New("the token is not valid yet")
	errNoExpiry    = errors.New("the token has no time of expiry (exp)")
	errIssuer      = errors.New("the token is of another issuer")
	errAudience    = errors.New("the token is for another audience")
	errSubject     = errors.New("the token has no subject (sub) that can be a name")
	errTokenType   = errors.New("the token is of another type (typ)")
	errKeysMissing = errors.New("the issuer's keys cannot be fetched at the moment")
)

// tokens verifies the tokens of one issuer.
type tokens struct {
	config  JWTConfig
	keys    *keySet
	now     func() time.Time
	buckets *buckets
	cache   tokenCache
	// slots bounds the signatures that are verified at a time to half of the cores,
	// so that strangers cannot take them all.
	slots chan struct{}
}

func newTokens(c JWTConfig, now func() time.Time, b *buckets) *tokens {
	return &tokens{config: c, keys: newKeySet(c, now), now: now, buckets: b, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// header is what is read of a token's protected header.
type header struct {
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Typ  string          `json:"typ"`
	Crit json.RawMessage `json:"crit"`
	B64  json.RawMessage `json:"b64"`
}

// known finds that a token was verified before, by the keys that are published
// now; nil is that it was not. h is its hash.
func (t *tokens) known(h *hash) (*credential, error) {
	c := t.cache.find(t.keys.current(), h)
	if c != nil && c.ended(t.now()) {
		return nil, errExpired
	}
	return c, nil
}

// identify verifies a token, and remembers it.
func (t *tokens) identify(ctx context.Context, token []byte, h *hash) (*credential, error) {
	c, set, err := t.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	t.cache.keep(set, h, c)
	return c, nil
}

// signed verifies a signature, in its turn.
func (t *tokens) signed(key jwk.Key, token []byte, alg algorithm) (payload []byte, err error) {
	t.slots <- struct{}{}
	defer func() { <-t.slots }()
	return jws.VerifyCompactFast(key, token, alg.jwa)
}

func (t *tokens) verify(ctx context.Context, token []byte) (*credential, *published, error) {
	head, err := parseHeader(token)
	if err != nil {
		return nil, nil, err
	}
	alg, ok := algorithmOf(head.Alg)
	if !ok {
		return nil, nil, errAlgorithm
	}
	key, set, err := t.keys.find(ctx, head.Kid, alg)
	if err != nil {
		return nil, nil, err
	}
	payload, err := t.signed(key, token, alg)
	if err != nil {
		if key, set = t.keys.newer(ctx, set, head.Kid, alg); key == nil {
			return nil, nil, errSignature
		}
		if payload, err = t.signed(key, token, alg); err != nil {
			return nil, nil, errSignature
		}
	}
	c, err := t.credential(payload)
	return c, set, err
}

// parseHeader reads the protected header of a compact JWS.
func parseHeader(token []byte) (header, error) {
	var h header
	first, rest, ok := bytes.Cut(token, []byte("."))
	if !ok || bytes.Count(rest, []byte(".")) != 1 {
		return h, errToken
	}
	b, err := base64.RawURLEncoding.DecodeString(string(first))
	if err != nil || json.Unmarshal(b, &h) != nil {
		return h, errToken
	}
	switch strings.TrimPrefix(strings.ToLower(h.Typ), "application/") {
	case "", "jwt", "at+jwt":
	default:
		return h, errTokenType
	}
	if h.Crit != nil || h.B64 != nil {
		return h, errAlgorithm
	}
	return h, nil
}

// credential checks the claims of a payload whose signature holds.
func (t *tokens) credential(payload []byte) (*credential, error) {
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if iss, _ := c["iss"].(string); iss != t.config.Issuer {
		return nil, errIssuer
	}
	if !c.hasAudience(t.config.Audience) {
		return nil, errAudience
	}
	until, err := t.checkTimes(c)
	if err != nil {
		return nil, err
	}
	sub, _ := c["sub"].(string)
	if ownName(sub) == "" {
		return nil, errSubject
	}
	return &credential{
		kind: JWT, name: sub, roles: t.config.roles(c.names(t.config.RolesClaim)), attributes: map[string]any{"claims": map[string]any(c)},
		until: until, bucket: t.buckets.of(JWT, sub, 0),
	}, nil
}

// checkTimes checks exp, nbf and iat, with the skew of clocks, and returns when
// the token ends.
func (t *tokens) checkTimes(c claims) (until time.Time, err error) {
	now, skew := t.now(), t.config.Skew
	exp, found, err := c.time("exp")
	if err != nil {
		return until, err
	}
	if !found {
		return until, errNoExpiry
	}
	if until = exp.Add(skew); !now.Before(until) {
		return until, errExpired
	}
	for _, name := range []string{"nbf", "iat"} {
		from, found, err := c.time(name)
		if err != nil {
			return until, err
		}
		if found && now.Add(skew).Before(from) {
			return until, errNotYet
		}
	}
	return until, nil
}

// algorithm is a signature algorithm that is accepted, with the keys it needs.
type algorithm struct {
	jwa jwa.SignatureAlgorithm
	// kty and crv are those of the key; crv "" is any.
	kty, crv string
}

// algorithmOf finds an accepted algorithm. None of them is symmetric, so no
// public key can be taken for a secret one, and "none" is none of them.
func algorithmOf(name string) (algorithm, bool) {
	switch name {
	case "RS256":
		return algorithm{jwa.RS256(), "RSA", ""}, true
	case "RS384":
		return algorithm{jwa.RS384(), "RSA", ""}, true
	case "RS512":
		return algorithm{jwa.RS512(), "RSA", ""}, true
	case "PS256":
		return algorithm{jwa.PS256(), "RSA", ""}, true
	case "PS384":
		return algorithm{jwa.PS384(), "RSA", ""}, true
	case "PS512":
		return algorithm{jwa.PS512(), "RSA", ""}, true
	case "ES256":
		return algorithm{jwa.ES256(), "EC", "P-256"}, true
	case "ES384":
		return algorithm{jwa.ES384(), "EC", "P-384"}, true
	case "ES512":
		return algorithm{jwa.ES512(), "EC", "P-521"}, true
	case "EdDSA":
		return algorithm{jwa.EdDSA(), "OKP", "Ed25519"}, true
	}
	return algorithm{}, false
}

// accepts reports whether the key may verify signatures of the algorithm.
func (a algorithm) accepts(k *publicKey) bool {
	return k.kty == a.kty && (a.crv == "" || k.crv == a.crv) && (k.alg == "" || k.alg == a.jwa.String())
}

// publicKey is a key of an issuer.
type publicKey struct {
	kid, kty, crv, alg string
	key                jwk.Key
}

// maxTokens bounds each of two generations of verified tokens.
const maxTokens = 4096

// tokenCache knows the tokens that were verified, by their hashes, as long as
// the issuer publishes the same keys.
type tokenCache struct {
	mu       sync.RWMutex
	set      *published
	new, old map[hash]*credential
}

func (c *tokenCache) find(set *published, h *hash) *credential {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.set != set || set == nil {
		return nil
	}
	if found := c.new[*h]; found != nil {
		return found
	}
	return c.old[*h]
}

func (c *tokenCache) keep(set *published, h *hash, found *credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		c.set, c.new, c.old = set, nil, nil
	}
	if c.new == nil || len(c.new) >= maxTokens {
		c.old, c.new = c.new, make(map[hash]*credential)
	}
	c.new[*h] = found
}
