package kube

import (
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// tree is an object as JSON, of the types that the API machinery copies: numbers
// are int64.
type tree = map[string]any

// design is what the objects of a version are made of.
type design struct {
	fn        *resource.Function
	container resource.Container
	settings  settings.Settings
	// sealed stands for the settings where others read it.
	sealed string
	owner  string
	at     place
}

func (d *design) labels() tree {
	return tree{
		labelManagedBy: "signalbox", labelOwner: d.owner, labelInstance: d.at.name,
		labelFunction: names.Label(d.fn.Metadata.Name), labelVersion: names.Label(d.fn.Spec.Version),
	}
}

// metadata is that of an object beside the pods.
func (d *design) metadata() tree {
	return tree{"name": d.at.name, "namespace": d.at.namespace, "labels": d.labels()}
}

// podNotes are the annotations of pods.
func (d *design) podNotes() tree {
	return tree{
		noteName:     board.Of(d.fn).String(),
		noteSettings: d.sealed,
	}
}

// literal keeps Kubernetes from putting variables in the place of $(NAME).
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func literals(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = literal(s)
	}
	return out
}

// containerName is the container's in pods of both platforms.
const containerName = "function"

// containerSpec is what is the same in Deployments and Knative Services.
func (d *design) containerSpec() (tree, error) {
	security, err := cluster.SecurityContext(&d.container)
	if err != nil {
		return nil, err
	}
	c := &d.container
	pull := map[string]string{resource.PullMissing: "IfNotPresent", resource.PullAlways: "Always", resource.PullNever: "Never"}[c.Pull]
	out := tree{
		"name": containerName, "image": d.fn.Spec.Image, "imagePullPolicy": pull,
		"env": d.env(), "resources": resources(c), "securityContext": security,
	}
	if len(c.Command) > 0 {
		out["command"] = literals(c.Command)
	}
	if len(c.Args) > 0 {
		out["args"] = literals(c.Args)
	}
	if mounts := d.mounts(); len(mounts) > 0 {
		out["volumeMounts"] = mounts
	}
	return out, nil
}

// resources bound memory and processors; a quarter of the processors is asked
// for, since functions wait most of the time.
func resources(c *resource.Container) tree {
	memory := strconv.Itoa(c.MemoryMB) + "Mi"
	cpu := milli(c)
	return tree{
		"requests": tree{"cpu": quantity(max(cpu/4, 1)), "memory": memory},
		"limits":   tree{"cpu": quantity(cpu), "memory": memory},
	}
}

// milli are the thousandths of a processor.
func milli(c *resource.Container) int64 {
	cpus, _ := strconv.ParseFloat(c.CPUs, 64) // validated
	return int64(cpus*1000 + 0.5)
}

// quantity is written as the API server would, so that what is read is what was applied.
func quantity(milli int64) string {
	if milli%1000 == 0 {
		return strconv.FormatInt(milli/1000, 10)
	}
	return strconv.FormatInt(milli, 10) + "m"
}

// env are the variables; values of secrets come from the version's Secret.
func (d *design) env() []any {
	secret := map[string]bool{}
	for i := range d.fn.Spec.Env {
		secret[d.fn.Spec.Env[i].Name] = d.fn.Spec.Env[i].Secret != ""
	}
	var out []any
	for _, pair := range d.settings.Env {
		name, value, _ := strings.Cut(pair, "=")
		if secret[name] {
			out = append(out, fromSecret(name, d.at.name, envKey(name)))
			continue
		}
		out = append(out, tree{"name": name, "value": literal(value)})
	}
	for i := range d.fn.Spec.Env {
		if e := &d.fn.Spec.Env[i]; e.KubernetesSecret != nil {
			out = append(out, fromSecret(e.Name, e.KubernetesSecret.Name, e.KubernetesSecret.Key))
		}
	}
	return out
}

func fromSecret(variable, name, key string) tree {
	return tree{"name": variable, "valueFrom": tree{"secretKeyRef": tree{"name": name, "key": key}}}
}

// The keys of the version's Secret.
func envKey(name string) string { return "env." + name }
func fileKey(i int) string      { return "file." + strconv.Itoa(i) }

func (d *design) mounts() []any {
	var out []any
	if !d.container.Writable {
		out = append(out, tree{"name": "tmp", "mountPath": "/tmp"})
	}
	for i := range d.settings.Files {
		out = append(out, tree{"name": "files", "mountPath": d.settings.Files[i].Path, "subPath": fileKey(i), "readOnly": true})
	}
	return out
}

// volumes are what mounts are of.
func (d *design) volumes() []any {
	var out []any
	if !d.container.Writable {
		out = append(out, tree{"name": "tmp", "emptyDir": tree{}})
	}
	if len(d.settings.Files) == 0 {
		return out
	}
	items := make([]any, len(d.settings.Files))
	for i := range items {
		items[i] = tree{"key": fileKey(i), "path": fileKey(i)}
	}
	return append(out, tree{"name": "files", "secret": tree{"secretName": d.at.name, "defaultMode": int64(0o444), "items": items}})
}

// secret holds the values of secrets among the variables, and all files; nil
// where there is neither.
func (d *design) secret() tree {
	data := tree{}
	values := map[string]string{}
	for _, pair := range d.settings.Env {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	for i := range d.fn.Spec.Env {
		if e := &d.fn.Spec.Env[i]; e.Secret != "" {
			data[envKey(e.Name)] = encode(values[e.Name])
		}
	}
	for i := range d.settings.Files {
		data[fileKey(i)] = encode(string(d.settings.Files[i].Data))
	}
	if len(data) == 0 {
		return nil
	}
	return tree{"apiVersion": "v1", "kind": "Secret", "metadata": d.metadata(), "type": "Opaque", "data": data}
}
