package cluster

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// SecurityContext is that of a container of a pod which runs a function, as a job
// or not: without rights, as the user that c names, who is not root unless it says
// so; without one the image's user, of whom nothing is known. It fails for a user by
// name, which Kubernetes does not take.
func SecurityContext(c *resource.Container) (map[string]any, error) {
	out := map[string]any{
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": !c.Writable,
		"capabilities": map[string]any{"drop": []any{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
	}
	if c.User == "" {
		return out, nil
	}
	user, group, grouped := strings.Cut(c.User, ":")
	uid, err := strconv.ParseInt(user, 10, 32)
	if err == nil && grouped {
		var gid int64
		gid, err = strconv.ParseInt(group, 10, 32)
		out["runAsGroup"] = gid
	}
	if err != nil {
		return nil, fmt.Errorf("container.user %q: Kubernetes wants numbers", c.User)
	}
	out["runAsUser"] = uid
	if uid != 0 {
		out["runAsNonRoot"] = true
	}
	return out, nil
}
