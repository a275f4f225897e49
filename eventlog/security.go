package eventlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how the connection to the brokers is encrypted.
type TLS struct {
	// Enable turns TLS on; any other field set does so too.
	Enable bool
	// CAFile holds the PEM certificates the brokers are checked against; ""
	// is the system's.
	CAFile string
	// CertFile and KeyFile are the PEM client certificate; "" is none.
	CertFile string
	KeyFile  string
	// ServerName is what the brokers' certificate must name; "" is the host dialled.
	ServerName string
}

func (t *TLS) enabled() bool { return *t != TLS{} }

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS CA file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS CA file %s: holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// SASL says who we are to the brokers; the zero value is nobody.
type SASL struct {
	// Mechanism is "" (none), PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	User      string
	// Password, or PasswordFile, which holds it (a line end at its end is not
	// part of it) and is read at Open.
	Password     string
	PasswordFile string
}

func (s *SASL) faults() []error {
	var faults []error
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" || s.PasswordFile != "" {
			faults = append(faults, errors.New("SASL.Mechanism \"\": want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 with a user or password"))
		}
		return faults
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	default:
		faults = append(faults, fmt.Errorf("SASL.Mechanism %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism))
	}
	if s.User == "" {
		faults = append(faults, errors.New("SASL.User \"\": want a user"))
	}
	if (s.Password == "") == (s.PasswordFile == "") {
		faults = append(faults, errors.New("SASL: want exactly one of Password, PasswordFile"))
	}
	return faults
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	pass := s.Password
	if s.PasswordFile != "" {
		b, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("SASL password file: %w", err)
		}
		pass = strings.TrimRight(string(b), "\r\n")
	}
	switch s.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: pass}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: pass}.AsSha512Mechanism(), nil
	}
	return plain.Auth{User: s.User, Pass: pass}.AsMechanism(), nil
}

func (c *Config) securityOpts() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	switch {
	case c.TLS.enabled():
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.Dialer(dialTLS(c.Dial, t)))
	case c.Dial != nil:
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	if c.SASL.Mechanism != "" {
		m, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dialTLS puts TLS on top of dial; nil is TCP.
func dialTLS(dial dialFunc, config *tls.Config) dialFunc {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := config
		if c.ServerName == "" {
			c = config.Clone()
			c.ServerName, _, _ = net.SplitHostPort(address)
		}
		tc := tls.Client(conn, c)
		if err := tc.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
		}
		return tc, nil
	}
}

func compression(name string) (kgo.ProducerOpt, error) {
	switch name {
	case "none":
		return kgo.ProducerBatchCompression(kgo.NoCompression()), nil
	case "lz4":
		return kgo.WithCompressor(lz4Compressor{}), nil
	case "snappy":
		return kgo.ProducerBatchCompression(kgo.SnappyCompression()), nil
	case "zstd":
		return kgo.ProducerBatchCompression(kgo.ZstdCompression()), nil
	}
	return nil, fmt.Errorf("compression %q", name)
}
