package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Roots are authorities of certificates: the system's and those of a file, which
// is read again when it has changed. The nil Roots are the system's. It is safe for
// concurrent use.
type Roots struct {
	file string
	log  *slog.Logger
	now  func() time.Time

	mu sync.Mutex
	// until is when the file is looked at again, read what it held.
	until time.Time
	read  []byte
	pool  *x509.CertPool
	// said is the last warning.
	said string
}

// OpenRoots reads the file (PEM); "" is none.
func OpenRoots(file string, log *slog.Logger) (*Roots, error) {
	if file == "" {
		return nil, nil
	}
	r := &Roots{file: file, log: log, now: time.Now}
	return r, r.look()
}

// Pool are the authorities now; nil are the system's. A file that cannot be used
// leaves in force what was, which is logged.
func (r *Roots) Pool() *x509.CertPool {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Before(r.until) {
		return r.pool
	}
	r.until = now.Add(freshFor)
	switch err := r.look(); {
	case err == nil:
		r.said = ""
	case err.Error() != r.said:
		r.said = err.Error()
		r.log.Warn("the authorities of functions cannot be read again; those before stay in force", "error", err)
	}
	return r.pool
}

// look reads the file. It is called with the lock held, or before anybody else knows r.
func (r *Roots) look() error {
	b, err := os.ReadFile(r.file)
	if err != nil || bytes.Equal(b, r.read) {
		return err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return fmt.Errorf("%s: holds no certificate (PEM)", r.file)
	}
	if r.read != nil {
		r.log.Info("the authorities of functions were read again", "file", r.file)
	}
	r.read, r.pool = b, pool
	return nil
}

// dialer opens connections; nil is net.Dialer's.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// handshakeTimeout bounds opening a connection with TLS, as an http.Transport does not
// end that with the request it was opened for.
const handshakeTimeout = 15 * time.Second

// DialTLS is dial with TLS by config. Where config says nothing of authorities, they are
// those of roots at that moment; nil roots, and a nil pool, are the system's.
func DialTLS(dial dialer, config *tls.Config, roots func() *x509.CertPool) dialer {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		own := config.Clone()
		var err error
		if own.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			return nil, err
		}
		if own.RootCAs == nil && roots != nil {
			own.RootCAs = roots()
		}
		plain, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := tls.Client(plain, own)
		if err := c.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		return c, nil
	}
}
