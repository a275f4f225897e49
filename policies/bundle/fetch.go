package bundle

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
)

var (
	// ErrNotModified is what the server says of the bundle with the entity tag asked for.
	ErrNotModified = errors.New("not modified")
	// ErrTooLarge is wrapped when a bundle is over MaxBytes.
	ErrTooLarge = errors.New("bundle too large")
	// ErrSignature is wrapped when none of the keys has signed the bundle as it came.
	ErrSignature = errors.New("signature")
)

// Source fetches one bundle. It is safe for concurrent use.
type Source struct {
	cfg    Config
	client *http.Client
}

// New checks the configuration. Keys and tokens are read when they are needed.
func New(cfg Config) (*Source, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificates in PEM", cfg.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &Source{cfg: cfg, client: &http.Client{Transport: transport, Timeout: cfg.Timeout}}, nil
}

// Name is the bundle's.
func (s *Source) Name() string { return s.cfg.Name }

// Fetch asks the server for the bundle unless it still has the entity tag etag
// ("" fetches it in any case): then the error is ErrNotModified. What it
// returns is verified and parsed, but not compiled. URLs are never part of an
// error's text with their query.
func (s *Source) Fetch(ctx context.Context, etag string) (*Bundle, error) {
	raw, tag, err := s.get(ctx, etag)
	if err != nil {
		return nil, err
	}
	b, err := s.read(raw)
	if err != nil {
		return nil, err
	}
	out, err := convert(s.cfg.Name, b)
	if err != nil {
		return nil, err
	}
	out.ETag = tag
	return out, nil
}

func (s *Source) get(ctx context.Context, etag string) (raw []byte, tag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "application/gzip, application/vnd.openpolicyagent.bundles, application/octet-stream;q=0.9")
	req.Header.Set("Accept-Encoding", "identity") // the bundle is compressed as it is
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if s.cfg.TokenFile != "" {
		token, err := os.ReadFile(s.cfg.TokenFile)
		if err != nil {
			return nil, "", err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, "", withoutURL(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, etag, ErrNotModified
	default:
		return nil, "", fmt.Errorf("the server answers %s", resp.Status)
	}
	raw, err = io.ReadAll(io.LimitReader(resp.Body, s.cfg.MaxBytes+1))
	if err == nil && int64(len(raw)) > s.cfg.MaxBytes {
		err = fmt.Errorf("%w: over %d bytes", ErrTooLarge, s.cfg.MaxBytes)
	}
	return raw, resp.Header.Get("ETag"), err
}

// withoutURL is the cause alone: a URL may hold what is secret.
func withoutURL(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// read unpacks and verifies: by each key in turn, until one fits.
func (s *Source) read(raw []byte) (*bundle.Bundle, error) {
	if err := s.checkSize(raw); err != nil {
		return nil, err
	}
	if len(s.cfg.KeyFiles) == 0 {
		return s.unpack(raw, nil)
	}
	var errs []error
	for _, file := range s.cfg.KeyFiles {
		key, err := os.ReadFile(file)
		if err == nil {
			var b *bundle.Bundle
			if b, err = s.unpack(raw, s.verification(string(key))); err == nil {
				return b, nil
			}
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrSignature, errors.Join(errs...))
}

// keyID is what the one key is called; what the signature says of its key does
// not matter then.
const keyID = "key"

func (s *Source) verification(key string) *bundle.VerificationConfig {
	known := map[string]*keys.Config{keyID: {Key: key, Algorithm: s.cfg.Algorithm}}
	return bundle.NewVerificationConfig(known, keyID, s.cfg.Scope, nil)
}

func (s *Source) unpack(raw []byte, v *bundle.VerificationConfig) (*bundle.Bundle, error) {
	r := bundle.NewReader(bytes.NewReader(raw)).WithSizeLimitBytes(s.cfg.MaxBytes)
	if v == nil {
		r = r.WithSkipBundleVerification(true)
	} else {
		r = r.WithBundleVerificationConfig(v)
	}
	b, err := r.Read()
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// checkSize bounds what the bundle unpacks to.
func (s *Source) checkSize(raw []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("no bundle: %w", err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, s.cfg.MaxBytes+1))
	if err != nil {
		return fmt.Errorf("no bundle: %w", err)
	}
	if n > s.cfg.MaxBytes {
		return fmt.Errorf("%w: over %d bytes unpacked", ErrTooLarge, s.cfg.MaxBytes)
	}
	return nil
}
