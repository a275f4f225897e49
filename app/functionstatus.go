package app

import (
	"encoding/json"

	"github.com/signalbox-dev/signalbox/resource"
)

// running says how what runs a function, or one of its versions (name@version), is
// in this process; ok is false for what it does not run.
func (a *App) running(name string) (status resource.FunctionStatus, ok bool) {
	s := a.targets.at.Load()
	if s == nil {
		return status, false
	}
	function, version, kept := resource.CutVersion(name)
	fn := s.set.Function(function, version)
	if r := s.set.Route(name); !kept && r != nil {
		fn = r.Versions()[0] // the one in force
	}
	if fn == nil {
		return status, false
	}
	return a.registry.Status(fn)
}

// addFunctionStatus adds to functions how what runs them is.
func (s *resourceStore) addFunctionStatus(objects []resource.Object) error {
	if s.running == nil {
		return nil
	}
	for i := range objects {
		status, ok := s.running(objects[i].Metadata.Name)
		if !ok {
			continue
		}
		b, err := json.Marshal(status)
		if err != nil {
			return err
		}
		objects[i].Status = b
	}
	return nil
}
