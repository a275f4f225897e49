package app

import (
	"fmt"
	"log/slog"
	"net"
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
	if a.functionCA, err = readFunctionCA(a.opts.FunctionCA, a.log); err != nil {
		return err
	}
	a.secrets = secrets.New(a.opts.SecretsDir)
	cfg := outbound.DefaultConfig()
	cfg.Secret, cfg.Roots, cfg.Logger = a.secrets.Lookup, a.functionCA.Pool, a.log
	cfg.Dial = rules.Dialer(net.Dialer{Timeout: 5 * time.Second})
	a.callers, err = outbound.New(cfg)
	return err
}

// readFunctionCA are the system's authorities and those of a file; nil are the
// system's alone.
func readFunctionCA(file string, log *slog.Logger) (*outbound.Roots, error) {
	roots, err := outbound.OpenRoots(file, log)
	if err != nil {
		return nil, fmt.Errorf("--function-ca: %w", err)
	}
	return roots, nil
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
