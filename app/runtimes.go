package app

import (
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// runtimes are what runs functions that are neither programs nor scripts, where
// anything is run at all.
func (a *App) runtimes() (map[string]functions.Runtime, error) {
	if !a.opts.has(RoleDispatcher) {
		return nil, nil
	}
	jobs, err := a.openJobs()
	if err != nil {
		return nil, err
	}
	containers, err := a.openContainers()
	if err != nil {
		return nil, err
	}
	return map[string]functions.Runtime{resource.RuntimeJob: jobs, resource.PlatformDocker: containers}, nil
}
