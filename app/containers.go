package app

import (
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/functions/container"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
	"github.com/signalbox-dev/signalbox/otel/metrics"
)

// openContainers makes what runs images on this machine. The engine is asked when
// the first function needs it.
func (a *App) openContainers() (*container.Runtime, error) {
	cfg := container.DefaultConfig()
	cfg.Engine = engine.New(a.opts.DockerHost)
	cfg.Dir = filepath.Join(a.opts.Data, "containers")
	cfg.Secrets = a.secrets.Lookup
	cfg.Output, cfg.Log = a.functionOutput, a.log
	cfg.Observe = container.Observer{
		Ready: func(function string, took time.Duration) { a.metrics.Function(function).ContainerReady(took) },
		Failed: func(function string, cause container.Cause) {
			a.metrics.Function(function).ContainerFailed(string(cause))
		},
	}
	var err error
	a.containers, err = container.New(cfg)
	return a.containers, err
}

// countContainers shows how many containers functions have.
func (a *App) countContainers() {
	if a.containers == nil {
		return
	}
	all := map[string]metrics.Containers{}
	for _, l := range a.containers.Loads() {
		all[l.Function] = metrics.Containers{Starting: l.Starting, Ready: l.Ready, Stopping: l.Stopping, Waiting: l.Waiting}
	}
	a.metrics.Containers(all)
}
