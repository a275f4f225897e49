package access

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// What is read of an issuer at most.
const (
	maxKeySet = 1 << 20
	maxKeys   = 256
)

// published are the keys that an issuer publishes. Nothing changes it.
type published struct {
	raw  []byte
	keys []publicKey
}

// keySet keeps the keys of an issuer: read from a file or fetched, again every
// Refresh, and when a token names a key that is not among them or is not signed
// by the one it names, but then not more often than MinRefetch.
type keySet struct {
	config JWTConfig
	now    func() time.Time
	client *http.Client
	set    atomic.Pointer[published]

	// fetching is held by who fetches; the others wait for it.
	fetching sync.Mutex
	// last is when the last fetch ended.
	last atomic.Int64
}

func newKeySet(c JWTConfig, now func() time.Time) *keySet {
	return &keySet{config: c, now: now, client: &http.Client{
		Timeout: c.Timeout,
		// A redirect would lead where nobody has allowed it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// current are the keys known now; nil before the first fetch.
func (s *keySet) current() *published { return s.set.Load() }

// find returns the key of a token's kid for an algorithm. A token without kid
// is taken only where one key fits.
func (s *keySet) find(ctx context.Context, kid string, a algorithm) (jwk.Key, *published, error) {
	set := s.current()
	if k := set.find(kid, a); k != nil {
		return k, set, nil
	}
	_ = s.refetch(ctx) // then the keys are those known
	if set = s.current(); set == nil {
		return nil, nil, errKeysMissing
	}
	if k := set.find(kid, a); k != nil {
		return k, set, nil
	}
	return nil, nil, errUnknownKey
}

// newer returns the key of that kid which the issuer publishes now, nil when
// nothing has changed since set: some issuers give another key the same name.
func (s *keySet) newer(ctx context.Context, set *published, kid string, a algorithm) (jwk.Key, *published) {
	_ = s.refetch(ctx) // then the keys are those known
	now := s.current()
	if now == set {
		return nil, nil
	}
	return now.find(kid, a), now
}

func (p *published) find(kid string, a algorithm) jwk.Key {
	if p == nil {
		return nil
	}
	var found jwk.Key
	for i := range p.keys {
		k := &p.keys[i]
		if !a.accepts(k) || kid != "" && k.kid != kid {
			continue
		}
		if found != nil && kid == "" {
			return nil
		}
		if found == nil {
			found = k.key
		}
	}
	return found
}

// refetch is load, unless that was done a moment ago, by this request or another.
func (s *keySet) refetch(ctx context.Context) error {
	if s.fresh() {
		return nil
	}
	s.fetching.Lock()
	defer s.fetching.Unlock()
	if s.fresh() {
		return nil
	}
	return s.load(ctx)
}

// fresh reports whether the last fetch is less than MinRefetch ago.
func (s *keySet) fresh() bool {
	last := s.last.Load()
	return last != 0 && s.now().UnixNano()-last < int64(s.config.MinRefetch)
}

// load reads the keys; fetching is held. When that fails those known stay.
func (s *keySet) load(ctx context.Context) error {
	defer func() { s.last.Store(s.now().UnixNano()) }()
	raw, err := s.read(ctx)
	if err != nil {
		return err
	}
	if now := s.current(); now != nil && bytes.Equal(now.raw, raw) {
		return nil // the same set: what was verified by it stays so
	}
	set, err := parseKeySet(raw)
	if err != nil {
		return err
	}
	s.set.Store(set)
	return nil
}

func (s *keySet) read(ctx context.Context) ([]byte, error) {
	if s.config.KeysFile != "" {
		f, err := os.Open(s.config.KeysFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f)
	}
	at := s.config.KeysURL
	if at == "" {
		var err error
		if at, err = s.discover(ctx); err != nil {
			return nil, err
		}
	}
	return s.get(ctx, at)
}

// discover asks the issuer where its keys are (OpenID Connect Discovery, section 4).
func (s *keySet) discover(ctx context.Context) (string, error) {
	b, err := s.get(ctx, strings.TrimSuffix(s.config.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return "", errors.New("the issuer's configuration is not JSON")
	}
	if doc.Issuer != s.config.Issuer {
		return "", fmt.Errorf("the issuer calls itself %q", doc.Issuer)
	}
	return doc.Keys, checkKeysURL(doc.Keys)
}

// get fetches a document, within Timeout.
func (s *keySet) get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return readBounded(resp.Body)
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err == nil && len(b) > maxKeySet {
		err = fmt.Errorf("more than %d bytes", maxKeySet)
	}
	return b, err
}

// parseKeySet reads a JWK set (RFC 7517, section 5). Keys that are not for
// signatures, or not of a kind that is accepted, are passed over, as others
// publish them for other purposes.
func parseKeySet(raw []byte) (*published, error) {
	var doc struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errors.New("not a JWK set")
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys: want %d at most", len(doc.Keys), maxKeys)
	}
	set := &published{raw: raw}
	for _, b := range doc.Keys {
		if k, ok := parsePublicKey(b); ok {
			set.keys = append(set.keys, k)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("a JWK set without a key for signatures")
	}
	return set, nil
}

func parsePublicKey(b []byte) (publicKey, bool) {
	var k publicKey
	var head struct{ Kid, Kty, Crv, Alg, Use string }
	if json.Unmarshal(b, &head) != nil || head.Use != "" && head.Use != "sig" {
		return k, false
	}
	switch head.Kty {
	case "RSA", "EC", "OKP":
	default:
		return k, false
	}
	parsed, err := jwk.ParseKey(b)
	if err != nil || parsed.Validate() != nil {
		return k, false
	}
	public, err := parsed.PublicKey()
	if err != nil || weak(public) {
		return k, false
	}
	return publicKey{kid: head.Kid, kty: head.Kty, crv: head.Crv, alg: head.Alg, key: public}, true
}

// minRSA is how many bits an RSA key has at least (RFC 7518, sections 3.3 and 3.5).
const minRSA = 2048

// weak reports whether a key is an RSA key that is too short. The library knows the same bound, but
// OPA, in the same process, takes it away for everybody.
func weak(k jwk.Key) bool {
	var public rsa.PublicKey
	return k.KeyType() == jwa.RSA() && (jwk.Export(k, &public) != nil || public.N.BitLen() < minRSA)
}

// run keeps the keys fresh until ctx ends. Each failure is logged when it begins.
func (s *keySet) run(ctx context.Context, log *slog.Logger) {
	every := s.config.Refresh
	if s.config.KeysFile != "" {
		every = fileCheck
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	retry := time.NewTicker(retryFetch)
	defer retry.Stop()
	failing := s.refresh(ctx, log, false)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			failing = s.refresh(ctx, log, failing)
		case <-retry.C:
			if failing {
				failing = s.refresh(ctx, log, true)
			}
		}
	}
}

const (
	// fileCheck is how often files are read again.
	fileCheck = time.Second
	// retryFetch is how often a fetch that failed is tried again.
	retryFetch = 10 * time.Second
)

func (s *keySet) refresh(ctx context.Context, log *slog.Logger, failed bool) (failing bool) {
	s.fetching.Lock()
	err := s.load(ctx)
	s.fetching.Unlock()
	if err != nil && !failed && ctx.Err() == nil {
		log.Warn("the keys of the OpenID issuer cannot be read; those known stay in force", "issuer", s.config.Issuer, "error", err)
	}
	if err == nil && failed {
		log.Info("the keys of the OpenID issuer are read again", "issuer", s.config.Issuer)
	}
	return err != nil
}
