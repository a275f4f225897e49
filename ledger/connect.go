package ledger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Connect makes the client that Open uses, without talking to Redis yet; for
// tools and tests. The caller closes it.
func Connect(cfg Config) (redis.UniversalClient, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	tc, err := a.tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	o := a.options(cfg.Timeout, tc)
	switch a.mode {
	case sentinel:
		return redis.NewFailoverClient(o.Failover()), nil
	case cluster:
		return redis.NewClusterClient(o.Cluster()), nil
	}
	return redis.NewClient(o.Simple()), nil
}

// options keeps the client's own patience below ours: the context bounds every
// exchange, and a dial that fails is reported, not repeated for half a second.
func (a *address) options(timeout time.Duration, tc *tls.Config) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                 a.hosts,
		MasterName:            a.master,
		DB:                    a.db,
		Username:              a.user,
		Password:              a.password,
		SentinelUsername:      a.query.Get("sentinel_username"),
		SentinelPassword:      a.query.Get("sentinel_password"),
		TLSConfig:             tc,
		Protocol:              2,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,
		MaxRetries:            1,
		MinRetryBackoff:       5 * time.Millisecond,
		MaxRetryBackoff:       50 * time.Millisecond,
		DialerRetries:         1,
		PipelinePoolSize:      -1,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

func (a *address) tlsConfig(cfg Config) (*tls.Config, error) {
	pick := func(field, parameter string) string {
		if field != "" {
			return field
		}
		return a.query.Get(parameter)
	}
	ca, cert, key := pick(cfg.CAFile, "ca"), pick(cfg.CertFile, "cert"), pick(cfg.KeyFile, "key")
	if !a.tls {
		if ca != "" || cert != "" {
			return nil, errors.New("redis: CAFile and CertFile are for rediss URLs only: the connection would not be encrypted")
		}
		return nil, nil
	}
	tc := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.query.Get("servername")}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("redis: CA: %w", err)
		}
		tc.RootCAs = x509.NewCertPool()
		if !tc.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: CA: %s holds no PEM certificate", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("redis: client certificate and key: want both or neither")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("redis: client certificate: %w", err)
		}
		tc.Certificates = []tls.Certificate{pair}
	}
	return tc, nil
}

// RouteClientLogs sends what the Redis client says by itself (reconnects,
// failovers) to logger at level debug instead of to standard error. The client
// has one logger per process: app calls this once.
func RouteClientLogs(logger *slog.Logger) { redis.SetLogger(clientLogs{logger}) }

type clientLogs struct{ logger *slog.Logger }

// Printf implements the logger of go-redis.
func (l clientLogs) Printf(ctx context.Context, format string, args ...any) {
	if l.logger.Enabled(ctx, slog.LevelDebug) {
		l.logger.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
	}
}
