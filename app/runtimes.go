package app

import (
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// runtimes are what runs functions that are neither programs nor scripts. Those
// of clusters can be called by every process; what runs on one machine belongs
// to who delivers.
func (a *App) runtimes() (map[string]functions.Runtime, error) {
	all := map[string]functions.Runtime{}
	if err := a.openKube(all); err != nil {
		return nil, err
	}
	faas, err := a.openOpenFaaS()
	if err != nil {
		return nil, err
	}
	all[resource.PlatformOpenFaaS] = faas
	if !a.opts.has(RoleDispatcher) {
		return all, nil
	}
	jobs, err := a.openJobs()
	if err != nil {
		return nil, err
	}
	containers, err := a.openContainers()
	if err != nil {
		return nil, err
	}
	all[resource.RuntimeJob], all[resource.PlatformDocker] = jobs, containers
	return all, nil
}
