package openfaas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// secretsDir is where functions in OpenFaaS find secrets, and the only place
// where files can be put.
const secretsDir = "/var/openfaas/secrets/" // #nosec G101 -- a directory

// The annotations of what is ours.
const (
	noteName     = "signalbox.dev/name"
	noteSpec     = "signalbox.dev/spec"
	noteRevision = "signalbox.dev/revision"
	noteMaker    = "signalbox.dev/uid"
)

// design is a function as OpenFaaS should have it.
type design struct {
	deployment deployment
	secrets    []secret
	// spec is a hash of it.
	spec string
}

// draw makes the design of fn. It fails for what OpenFaaS cannot do.
func draw(fn *resource.Function, owner string, lookup settings.Lookup, seals *names.Seals) (*design, error) {
	c := fn.Spec.Container.WithDefaults()
	if err := able(fn, &c); err != nil {
		return nil, err
	}
	s, err := settings.Resolve(fn, lookup)
	if err != nil {
		return nil, err
	}
	memory := strconv.Itoa(c.MemoryMB) + "Mi"
	cpus, _ := strconv.ParseFloat(c.CPUs, 64) // validated
	d := &design{deployment: deployment{
		Service: names.Object(owner, fn.Metadata.Name, fn.Spec.Version), Image: fn.Spec.Image, Namespace: c.Namespace,
		EnvVars: map[string]string{}, Labels: labels(fn, owner, &c),
		Annotations: map[string]string{noteName: board.Of(fn).String()},
		Limits:      &amounts{Memory: memory, CPU: milli(cpus)}, Requests: &amounts{Memory: memory, CPU: milli(cpus / 4)}, ReadOnly: !c.Writable,
	}}
	for _, pair := range s.Env {
		name, value, _ := strings.Cut(pair, "=")
		d.deployment.EnvVars[name] = value
	}
	if c.Health != "" {
		d.deployment.Annotations["com.openfaas.health.http.path"] = c.Health
	}
	for _, f := range s.Files {
		name := strings.TrimPrefix(f.Path, secretsDir)
		if !utf8.Valid(f.Data) {
			return nil, fmt.Errorf("mount %s: OpenFaaS takes text only", f.Path)
		}
		d.secrets = append(d.secrets, secret{Name: name, Namespace: c.Namespace, Value: string(f.Data)})
		d.deployment.Secrets = append(d.deployment.Secrets, name)
	}
	sealed := s.Digest[:8]
	if settings.UsesSecrets(fn) {
		sealed = seals.Seal(d.deployment.Service, s.Digest)
	}
	return d, d.seal(fn, sealed)
}

// seal notes of which spec the deployment is, with settings as sealed says.
func (d *design) seal(fn *resource.Function, sealed string) error {
	all, err := json.Marshal(d.deployment)
	if err != nil {
		return err
	}
	d.spec = names.Digest(sealed, string(all))[:16]
	d.deployment.Annotations[noteSpec] = d.spec
	d.deployment.Annotations[noteRevision] = strconv.FormatUint(fn.Metadata.Revision, 10)
	d.deployment.Annotations[noteMaker] = names.Digest("maker", fn.Metadata.UID)[:16]
	return nil
}

// able lists what a function wants that OpenFaaS does not have.
func able(fn *resource.Function, c *resource.Container) error {
	var faults []error
	refuse := func(is bool, field, why string) {
		if is {
			faults = append(faults, fmt.Errorf("%s: %s", field, why))
		}
	}
	refuse(c.Port != 8080, "container.port", "functions in OpenFaaS listen on 8080")
	refuse(len(c.Command) > 0 || len(c.Args) > 0, "container.command and args", "OpenFaaS starts the image as it is")
	refuse(c.User != "", "container.user", "OpenFaaS runs the image's user")
	for i := range fn.Spec.Env {
		e := &fn.Spec.Env[i]
		refuse(e.Secret != "", "env "+e.Name, "whoever may read functions in OpenFaaS sees variables: put the secret into a file, by mounts below "+secretsDir)
	}
	for i := range fn.Spec.Mounts {
		name, inside := strings.CutPrefix(fn.Spec.Mounts[i].Path, secretsDir)
		refuse(!inside || strings.Contains(name, "/"), "mount "+fn.Spec.Mounts[i].Path, "OpenFaaS has files in "+secretsDir+" only")
	}
	return errors.Join(faults...)
}

// labels say whose the function is, and how OpenFaaS scales it.
func labels(fn *resource.Function, owner string, c *resource.Container) map[string]string {
	return map[string]string{
		names.LabelOwner: owner, names.LabelFunction: names.Label(fn.Metadata.Name), names.LabelVersion: names.Label(fn.Spec.Version),
		"com.openfaas.scale.min": strconv.Itoa(max(c.MinReplicas, 1)), "com.openfaas.scale.max": strconv.Itoa(c.MaxReplicas),
		"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": strconv.Itoa(c.Target),
		"com.openfaas.scale.zero": strconv.FormatBool(c.MinReplicas == 0), "com.openfaas.scale.zero-duration": c.IdleAfter.D().String(),
	}
}

func milli(cpus float64) string { return strconv.Itoa(max(int(cpus*1000+0.5), 1)) + "m" }
