package outbound

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// source gets the tokens of one client, one request at a time. Functions that
// name the same client share it.
type source struct {
	c    *Callers
	spec resource.CallOIDC

	mu    sync.Mutex
	token *token // nil: none yet, or dropped
	// secret is the client's by which token was got.
	secret string
	// err is why the last request failed, and failures how many did in a row; no
	// other is made before retryAt.
	err      error
	failures int
	retryAt  time.Time
	// done is closed when the request that is under way ends; nil is none.
	done chan struct{}
}

type sourceKey struct{ url, id, secret, auth, scopes, audience string }

// token is one that an endpoint gave.
type token struct {
	authorization []byte
	// got is when; from renew on another is fetched, at end it is not used any more.
	got, renew, end time.Time
}

// Times of tokens and of requests for them.
const (
	// lifeUnknown is that of a token which says none.
	lifeUnknown = 5 * time.Minute
	// youngFor: a token this young that a function refuses is not exchanged for
	// another, which would be refused as well.
	youngFor = 30 * time.Second
	// The first wait after a request that failed, doubled each time.
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// maxTokenAnswer bounds what an endpoint answers, in bytes.
const maxTokenAnswer = 256 << 10

// pendingError says that the token is being fetched, and why the request before failed.
type pendingError struct {
	done   chan struct{}
	before error
}

// Error implements error.
func (e *pendingError) Error() string {
	if e.before != nil {
		return e.before.Error()
	}
	return "the token is being fetched"
}

// Unwrap returns ErrNotReady.
func (e *pendingError) Unwrap() error { return ErrNotReady }

func (c *Callers) source(spec *resource.CallOIDC) *source {
	key := sourceKey{spec.TokenURL, spec.ClientID, spec.ClientSecret, spec.ClientAuth, strings.Join(spec.Scopes, " "), spec.Audience}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sources[key]
	if s == nil {
		if len(c.sources) >= maxKept {
			clear(c.sources)
		}
		s = &source{c: c, spec: *spec}
		c.sources[key] = s
	}
	return s
}

// current is the token to present, got by the client's secret. It begins a
// request when there is none, or the one there is ends soon.
func (s *source) current(now time.Time, secret string) (*token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secret != secret {
		s.token, s.err, s.retryAt, s.failures, s.secret = nil, nil, time.Time{}, 0, secret
	}
	good := s.token != nil && now.Before(s.token.end)
	if s.done == nil && !now.Before(s.retryAt) && (!good || !now.Before(s.token.renew)) {
		s.begin(secret)
	}
	switch {
	case good:
		return s.token, nil
	case s.done != nil:
		return nil, &pendingError{s.done, s.err}
	}
	return nil, fmt.Errorf("%w: %w", ErrNotReady, s.err)
}

// begin starts a request. s is locked.
func (s *source) begin(secret string) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.closed {
		s.err = context.Canceled
		return
	}
	done := make(chan struct{})
	s.done = done
	s.c.wg.Go(func() {
		defer close(done)
		got, err := s.fetch(secret)
		s.ended(secret, got, err)
	})
}

// ended takes the outcome of a request.
func (s *source) ended(secret string, got *token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = nil
	if s.secret != secret {
		return // by a secret that is no longer the client's
	}
	if err == nil {
		s.token, s.err, s.failures = got, nil, 0
		return
	}
	if s.err == nil || s.err.Error() != err.Error() {
		s.c.cfg.Logger.Warn("no token for calls of functions", "endpoint", s.spec.TokenURL, "client", s.spec.ClientID, "error", err)
	}
	wait := maxRetry
	if s.failures < 5 {
		wait = firstRetry << s.failures
	}
	s.err, s.retryAt = err, s.c.cfg.Now().Add(wait)
	s.failures++
}

// drop forgets a token that a function refused, and reports whether another
// call may be let in by another one.
func (s *source) drop(t *token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t == nil:
		return false
	case s.token != t:
		return true
	case s.c.cfg.Now().Sub(t.got) < youngFor:
		return false
	}
	s.token = nil
	return true
}

// tokenClient follows no redirect, which would take the secret elsewhere.
func tokenClient(c *Config) *http.Client {
	return &http.Client{
		Timeout: c.TokenTimeout,
		Transport: &http.Transport{
			DialContext: c.Dial, DialTLSContext: DialTLS(c.Dial, &tls.Config{MinVersion: tls.VersionTLS12}, c.Roots),
			IdleConnTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch makes one request by the client credentials grant (RFC 6749, section 4.4).
func (s *source) fetch(secret string) (*token, error) {
	req, err := s.request(secret)
	if err != nil {
		return nil, err
	}
	got := s.c.cfg.Now()
	resp, err := s.c.client.Do(req)
	if err != nil {
		return nil, s.failed(secret, "%v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	switch {
	case err != nil:
		return nil, s.failed(secret, "%v", err)
	case len(b) > maxTokenAnswer:
		return nil, s.failed(secret, "the answer has more than %d bytes", maxTokenAnswer)
	case resp.StatusCode != http.StatusOK:
		return nil, s.failed(secret, "answer %d%s", resp.StatusCode, oauthError(b))
	}
	t, err := parseToken(resp.Header.Get("Content-Type"), b, got)
	if err != nil {
		return nil, s.failed(secret, "%v", err)
	}
	return t, nil
}

func (s *source) request(secret string) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(s.spec.Scopes) > 0 {
		form.Set("scope", strings.Join(s.spec.Scopes, " "))
	}
	if s.spec.Audience != "" {
		form.Set("audience", s.spec.Audience)
	}
	post := s.spec.ClientAuth == resource.ClientAuthPost
	if post {
		form.Set("client_id", s.spec.ClientID)
		form.Set("client_secret", secret)
	}
	req, err := http.NewRequestWithContext(s.c.life, http.MethodPost, s.spec.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, s.failed(secret, "%v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "signalbox")
	if !post {
		req.SetBasicAuth(url.QueryEscape(s.spec.ClientID), url.QueryEscape(secret))
	}
	return req, nil
}

// failed is an error of the endpoint. What others wrote may repeat the client's secret.
func (s *source) failed(secret, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	for _, form := range []string{secret, url.QueryEscape(secret)} {
		text = strings.ReplaceAll(text, form, "[redacted]")
	}
	return errors.New("the token endpoint " + s.spec.TokenURL + ": " + text)
}

// maxOAuthError bounds what is repeated of an endpoint's own words.
const maxOAuthError = 200

// oauthError is what an endpoint's error says (RFC 6749, section 5.2).
func oauthError(b []byte) string {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(b, &e) != nil || e.Error == "" {
		return ""
	}
	text := e.Error
	if e.Description != "" {
		text += ": " + e.Description
	}
	if len(text) > maxOAuthError {
		text = strings.ToValidUTF8(text[:maxOAuthError], "") + "…"
	}
	return ", " + text
}

// parseToken reads a successful answer (RFC 6749, section 5.1).
func parseToken(contentType string, b []byte, got time.Time) (*token, error) {
	if media, _, err := mime.ParseMediaType(contentType); err == nil && media != "application/json" {
		return nil, fmt.Errorf("the answer is of type %.60q: want application/json", media)
	}
	var a struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	if json.Unmarshal(b, &a) != nil { // its error may quote the token
		return nil, errors.New("the answer is no token: not the JSON that is wanted")
	}
	if !headerSafe([]byte(a.AccessToken)) {
		return nil, errors.New("the answer has no access_token that could be presented")
	}
	if a.TokenType != "" && !strings.EqualFold(a.TokenType, "bearer") {
		return nil, fmt.Errorf("the token is of type %.40q: want bearer", a.TokenType)
	}
	life := lifeUnknown
	if seconds, err := a.ExpiresIn.Float64(); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, 24*3600) * float64(time.Second))
	}
	// Another one is there before the function could find this one too old.
	early := min(time.Minute, life/4)
	return &token{
		authorization: []byte(bearerPrefix + a.AccessToken),
		got:           got, renew: got.Add(life - early), end: got.Add(life - min(5*time.Second, life/8)),
	}, nil
}
