package app

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/outbound"
	"github.com/signalbox-dev/signalbox/resource"
	"github.com/signalbox-dev/signalbox/secrets"
)

// openCallers prepares what calls of functions present. Token endpoints are
// chosen by who may write functions, so their addresses are judged as functions' are.
func (a *App) openCallers() error {
	rules, err := a.opts.functionRules()
	if err != nil {
		return err
	}
	if a.functionCA, err = readFunctionCA(a.opts.FunctionCA); err != nil {
		return err
	}
	a.secrets = secrets.New(a.opts.SecretsDir)
	cfg := outbound.DefaultConfig()
	cfg.Secret, cfg.RootCAs, cfg.Logger = a.secrets.Lookup, a.functionCA, a.log
	cfg.Dial = rules.Dialer(net.Dialer{Timeout: 5 * time.Second})
	a.callers, err = outbound.New(cfg)
	return err
}

// readFunctionCA are the system's authorities and those of a file; nil are the
// system's alone.
func readFunctionCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--function-ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--function-ca %s: holds no certificate (PEM)", file)
	}
	return pool, nil
}

// callers give the dispatcher what calls present.
type callers struct{ *outbound.Callers }

// Of implements dispatcher.Callers.
func (c callers) Of(fn *resource.Function) (dispatcher.Caller, error) {
	caller, err := c.Callers.Of(fn.Spec.Call)
	if err != nil {
		return nil, err
	}
	return caller, nil
}
