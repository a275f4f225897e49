package job

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/resource"
)

// The labels and annotations of Jobs, beside those of containers.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	// labelJobs tells Jobs of functions from other objects of an installation.
	labelJobs       = "signalbox.dev/kind"
	jobsOfFunctions = "job"
	labelFunction   = "signalbox.dev/function"
	labelVersion    = "signalbox.dev/version"
	// noteRecord is the record of the run, noteFollowed who follows it and since
	// when he was heard of, noteReported when its end was reported.
	noteRecord   = "signalbox.dev/record"
	noteFollowed = "signalbox.dev/followed"
	noteReported = "signalbox.dev/reported"
)

const containerName = "job"

// terminationLog is the file in which a container leaves a message for who looks
// at its pod: Kubernetes keeps 4096 bytes of it.
const (
	terminationLog = "/dev/termination-log"
	maxTermination = 4096
)

// maxSecret bounds what a Secret holds, in bytes; Kubernetes takes no more than 1 MiB.
const maxSecret = 900 << 10

// unreported is how long a Job stays whose end nobody has reported.
const unreported = 7 * 24 * time.Hour

// jobDesign is what the objects of a run are made of.
type jobDesign struct {
	c         *Config
	fn        *resource.Function
	container resource.Container
	record    *record
	input     *input
	name      string
}

// tree is an object as JSON, of the types that the API machinery copies.
type tree = map[string]any

func (d *jobDesign) labels() tree {
	return tree{
		labelManagedBy: "signalbox", labelInstallation: d.c.Installation, labelJobs: jobsOfFunctions, labelKey: d.record.Key,
		labelFunction: labelValue(d.record.Function), labelVersion: labelValue(d.record.Version),
	}
}

// labelValue is s, or what a label's value can hold of it.
func labelValue(s string) string {
	if len(s) > 63 {
		sum := sha256.Sum256([]byte(s))
		s = s[:54] + "-" + hex.EncodeToString(sum[:4])
	}
	return strings.TrimRight(s, "-_.")
}

// job is the Job. It makes one attempt: trying again is the link's business.
func (d *jobDesign) job() (*cluster.Object, error) {
	if size := d.secretSize(); size > maxSecret {
		return nil, fmt.Errorf("%w: the event, its data and the function's files have %d bytes: at most %d fit into a Secret", errRefused, size, maxSecret)
	}
	container, err := d.containerSpec()
	if err != nil {
		return nil, err
	}
	kept, _ := json.Marshal(d.record) // plain fields
	notes := tree{noteRecord: string(kept), labelRun: d.record.Run, noteFollowed: d.c.Instance + " " + d.c.Now().UTC().Format(time.RFC3339)}
	pod := tree{
		"restartPolicy": "Never", "enableServiceLinks": false, "automountServiceAccountToken": false,
		"containers": []any{container}, "volumes": d.volumes(),
	}
	return &cluster.Object{Object: tree{
		"apiVersion": cluster.Jobs().APIVersion(), "kind": "Job",
		"metadata": tree{"name": d.name, "namespace": d.record.Namespace, "labels": d.labels(), "annotations": notes},
		"spec": tree{
			"backoffLimit": int64(0), "completions": int64(1), "parallelism": int64(1),
			"activeDeadlineSeconds":   int64((d.record.Timeout + time.Second - 1) / time.Second),
			"ttlSecondsAfterFinished": int64(unreported / time.Second),
			"template":                tree{"metadata": tree{"labels": d.labels(), "annotations": tree{labelRun: d.record.Run}}, "spec": pod},
		},
	}}, nil
}

func clusterPaths() paths {
	return paths{event: inContainer + fileEvent, data: inContainer + fileData, replies: terminationLog}
}

func (d *jobDesign) containerSpec() (tree, error) {
	at := clusterPaths()
	args, err := d.input.arguments(at)
	if err != nil {
		return nil, err
	}
	security, err := cluster.SecurityContext(&d.container)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	c := &d.container
	if len(args) == 0 {
		args = c.Args
	}
	out := tree{
		"name": containerName, "image": d.fn.Spec.Job.Image, "env": d.env(at), "securityContext": security,
		"imagePullPolicy":        map[string]string{resource.PullMissing: "IfNotPresent", resource.PullAlways: "Always", resource.PullNever: "Never"}[c.Pull],
		"resources":              limits(c),
		"terminationMessagePath": terminationLog, "terminationMessagePolicy": "File",
		"volumeMounts": d.mounts(),
	}
	if len(c.Command) > 0 {
		out["command"] = literals(c.Command)
	}
	if len(args) > 0 {
		out["args"] = literals(args)
	}
	return out, nil
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

// limits bound memory and processors, which are asked for too: a job works until
// it is done.
func limits(c *resource.Container) tree {
	cpus, _ := strconv.ParseFloat(c.CPUs, 64) // validated
	of := tree{"cpu": strconv.Itoa(max(1, int(cpus*1000+0.5))) + "m", "memory": strconv.Itoa(c.MemoryMB) + "Mi"}
	return tree{"limits": of, "requests": maps.Clone(of)}
}

// The keys of the run's Secret.
func envKey(name string) string { return "env." + name }
func fileKey(i int) string      { return "file." + strconv.Itoa(i) }

func fromSecret(variable, name, key string) tree {
	return tree{"name": variable, "valueFrom": tree{"secretKeyRef": tree{"name": name, "key": key}}}
}

// env are the variables; values of secrets come from the run's Secret.
func (d *jobDesign) env(at paths) (out []any) {
	secret := map[string]bool{}
	for i := range d.fn.Spec.Env {
		e := &d.fn.Spec.Env[i]
		secret[e.Name] = e.Secret != ""
		if k := e.KubernetesSecret; k != nil {
			out = append(out, fromSecret(e.Name, k.Name, k.Key))
		}
	}
	for _, pair := range append(d.input.env, at.env()...) {
		name, value, _ := strings.Cut(pair, "=")
		if secret[name] {
			out = append(out, fromSecret(name, d.name, envKey(name)))
			continue
		}
		out = append(out, tree{"name": name, "value": literal(value)})
	}
	return out
}

// mounts are the event's files, the function's and /tmp.
func (d *jobDesign) mounts() []any {
	out := []any{tree{"name": "event", "mountPath": strings.TrimSuffix(inContainer, "/"), "readOnly": true}}
	if !d.container.Writable {
		out = append(out, tree{"name": "tmp", "mountPath": "/tmp"})
	}
	for i := range d.input.files {
		out = append(out, tree{"name": "files", "mountPath": d.input.files[i].Path, "subPath": fileKey(i), "readOnly": true})
	}
	return out
}

func (d *jobDesign) volumes() []any {
	of := func(volume string, keys ...string) tree {
		var items []any
		for _, k := range keys {
			items = append(items, tree{"key": k, "path": k})
		}
		return tree{"name": volume, "secret": tree{"secretName": d.name, "defaultMode": int64(0o444), "items": items}}
	}
	out := []any{of("event", fileEvent, fileData)}
	if !d.container.Writable {
		out = append(out, tree{"name": "tmp", "emptyDir": tree{}})
	}
	var files []string
	for i := range d.input.files {
		files = append(files, fileKey(i))
	}
	if files != nil {
		out = append(out, of("files", files...))
	}
	return out
}

func (d *jobDesign) secretSize() int {
	size := len(d.input.event) + len(d.input.data)
	for _, f := range d.input.files {
		size += len(f.Data)
	}
	return size
}

// secret holds the event, the values of secrets among the variables, and the
// function's files. The Job owns it.
func (d *jobDesign) secret(job *cluster.Object) *cluster.Object {
	data := tree{fileEvent: encode(d.input.event), fileData: encode(d.input.data)}
	values := map[string]string{}
	for _, pair := range d.input.env {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	for i := range d.fn.Spec.Env {
		if e := &d.fn.Spec.Env[i]; e.Secret != "" {
			data[envKey(e.Name)] = encode([]byte(values[e.Name]))
		}
	}
	for i := range d.input.files {
		data[fileKey(i)] = encode(d.input.files[i].Data)
	}
	owner := tree{"apiVersion": cluster.Jobs().APIVersion(), "kind": "Job", "name": job.GetName(), "uid": string(job.GetUID())}
	return &cluster.Object{Object: tree{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
		"metadata": tree{"name": d.name, "namespace": d.record.Namespace, "labels": d.labels(), "ownerReferences": []any{owner}},
	}}
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// The readers of what the cluster says.

// at follows names into an object; nil is nothing there.
func at(o any, path ...string) any {
	for _, name := range path {
		m, _ := o.(tree)
		o = m[name]
	}
	return o
}

func text(v any) string { s, _ := v.(string); return s }

// finished is Complete or Failed; "" while the Job goes on.
func finished(o *cluster.Object) string {
	for _, kind := range []string{"Complete", "Failed"} {
		if c := conditionOf(o, kind); text(c["status"]) == "True" {
			return kind
		}
	}
	return ""
}

func conditionOf(o *cluster.Object, kind string) tree {
	list, _ := at(o.Object, "status", "conditions").([]any)
	for _, c := range list {
		if m, _ := c.(tree); text(m["type"]) == kind {
			return m
		}
	}
	return nil
}

// condition is the reason and the message of a condition.
func condition(o *cluster.Object, kind string) (reason, message string) {
	c := conditionOf(o, kind)
	return text(c["reason"]), text(c["message"])
}

func finishedAt(o *cluster.Object) time.Time {
	t, _ := time.Parse(time.RFC3339, text(conditionOf(o, finished(o))["lastTransitionTime"]))
	return t
}

func phase(pod *cluster.Object) string { return text(at(pod.Object, "status", "phase")) }

// podState is how the container of a pod is. Known is false unless it has ended.
type podState struct {
	Known           bool
	ExitCode        int
	Reason, Message string
	// Waiting is why it has not begun.
	Waiting string
}

// containerState reads the state of the only container; pod may be nil.
func containerState(pod *cluster.Object) (s podState) {
	if pod == nil {
		return s
	}
	list, _ := at(pod.Object, "status", "containerStatuses").([]any)
	for _, c := range list {
		if ended, _ := at(c, "state", "terminated").(tree); ended != nil {
			s.Known, s.Reason, s.Message = true, text(ended["reason"]), text(ended["message"])
			switch code := ended["exitCode"].(type) {
			case int64:
				s.ExitCode = int(code)
			case float64:
				s.ExitCode = int(code)
			}
		}
		if waiting, _ := at(c, "state", "waiting").(tree); waiting != nil {
			s.Waiting = strings.TrimSuffix(text(waiting["reason"])+": "+text(waiting["message"]), ": ")
		}
	}
	if s.Waiting == "" && !s.Known {
		s.Waiting = text(at(pod.Object, "status", "reason"))
	}
	return s
}
