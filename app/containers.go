package app

import (
	"path/filepath"

	"github.com/signalbox-dev/signalbox/functions/container"
	"github.com/signalbox-dev/signalbox/functions/container/engine"
)

// openContainers makes what runs images on this machine. The engine is asked when
// the first function needs it.
func (a *App) openContainers() (*container.Runtime, error) {
	cfg := container.DefaultConfig()
	cfg.Engine = engine.New(a.opts.DockerHost)
	cfg.Dir = filepath.Join(a.opts.Data, "containers")
	cfg.Secrets = a.secrets.Lookup
	cfg.Output, cfg.Log = a.functionOutput, a.log
	return container.New(cfg)
}
