package container

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// revision is a version of a function as it shall run now. It is never changed.
type revision struct {
	name, version, image string
	spec                 resource.Container
	settings             settings.Settings
	// digest is another one when containers of the revision before cannot go on.
	digest string
	// err is why nothing of it can be started.
	err error
	// inUse: it gets events, so that spec.MinReplicas run always.
	inUse bool
	mask  *settings.Mask
}

func newRevision(fn *resource.Function, inUse bool, secrets settings.Lookup) *revision {
	v := &revision{name: fn.Metadata.Name, version: fn.Spec.Version, image: fn.Spec.Image, spec: fn.Spec.Container.WithDefaults(), inUse: inUse}
	v.settings, v.err = settings.Resolve(fn, secrets)
	same := v.spec // what scaling alone needs to know replaces nothing
	same.MinReplicas, same.MaxReplicas, same.Target, same.IdleAfter, same.Pull, same.Namespace = 0, 0, 0, 0, "", ""
	b, _ := json.Marshal(same) // numbers and strings
	h := sha256.New()
	for _, part := range []string{v.image, string(b), v.settings.Digest} {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	v.digest = hex.EncodeToString(h.Sum(nil)[:16])
	v.mask = settings.NewMask(v.settings.Secrets)
	return v
}

// least is how many containers run without a call.
func (v *revision) least() int {
	if !v.inUse {
		return 0
	}
	return v.spec.MinReplicas
}

// environ is what the container finds.
func (v *revision) environ() []string {
	return append([]string{"PORT=" + strconv.Itoa(v.spec.Port)}, v.settings.Env...)
}

// key names a version of a function; it is the path of its URL.
func key(fn *resource.Function) string {
	if fn.Spec.Version == "" {
		return fn.Metadata.Name
	}
	return resource.VersionName(fn.Metadata.Name, fn.Spec.Version)
}
