package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// ErrNotReady is wrapped by what says that a call cannot be made yet: a secret
// is missing or cannot be used, or there is no token. Nothing was sent.
var ErrNotReady = errors.New("the call cannot be authenticated yet")

// Config is what Callers work with; DefaultConfig has the defaults.
type Config struct {
	// Secret returns the value of a secret, which is not changed. An error names
	// the secret and holds no value. It is asked at most once a second for each
	// function, and may read a file.
	Secret func(name string) ([]byte, error)
	// Roots are who may sign the certificates of functions and of token endpoints; it is
	// asked for every connection. nil, and a nil pool, are the system's.
	Roots func() *x509.CertPool
	// Dial opens connections to token endpoints; nil is that of net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TokenTimeout bounds one request to a token endpoint; 100ms to 1m, default 10s.
	TokenTimeout time.Duration
	// Logger defaults to slog.Default(), Now to time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

// DefaultConfig has everything but Secret.
func DefaultConfig() Config {
	return Config{TokenTimeout: 10 * time.Second, Logger: slog.Default(), Now: time.Now}
}

func (c *Config) validate() error {
	var errs []error
	if c.Secret == nil {
		errs = append(errs, errors.New("Secret is missing"))
	}
	if c.TokenTimeout < 100*time.Millisecond || c.TokenTimeout > time.Minute {
		errs = append(errs, fmt.Errorf("TokenTimeout %s: want 100ms to 1m", c.TokenTimeout))
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return errors.Join(errs...)
}
