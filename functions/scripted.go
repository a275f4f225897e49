package functions

import (
	"maps"

	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/resource"
)

// openRuntimes makes the host of scripts, where they are run, beside the runtimes that were given.
func (r *Registry) openRuntimes() error {
	r.runtimes = map[string]Runtime{}
	maps.Copy(r.runtimes, r.c.Runtimes)
	if r.c.Scripts == nil {
		return nil
	}
	c := scripts.DefaultConfig()
	c.Dir, c.Sender, c.State = r.c.Scripts.Dir, r.c.Scripts.Sender, r.c.Scripts.State
	c.Environ, c.Keeper, c.Output, c.Log = r.c.Environ, r.keeper, r.c.Output, r.c.Log
	host, err := scripts.New(c)
	c.Secrets, c.MountsDir = r.c.Secrets, r.mounts
	c.Artifacts = r.c.Artifacts
	if err != nil {
		return err
	}
	r.runtimes[resource.RuntimeScripts] = host
	return nil
}
