package kube

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/functions/settings"
)

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// objects are all that a version consists of in the cluster. The primary one is a
// Deployment or a Knative Service: it owns the others, which end with it.
type objects struct {
	kind    cluster.Kind
	primary tree
	// secret, service and scaler may be nil.
	secret, service, scaler tree
	// spec is a hash of all of them.
	spec string
	// labels are those of all of them, and mask hides the values of secrets.
	labels tree
	mask   *settings.Mask
}

// deployment runs the image behind a Service.
func (d *design) deployment() (*objects, error) {
	container, err := d.containerSpec()
	if err != nil {
		return nil, err
	}
	c := &d.container
	container["env"] = append(container["env"].([]any), tree{"name": "PORT", "value": strconv.Itoa(c.Port)})
	container["ports"] = []any{tree{"name": "http", "containerPort": int64(c.Port), "protocol": "TCP"}}
	// Who sends here hears of the end of a pod a moment after it is decided.
	container["lifecycle"] = tree{"preStop": tree{"sleep": tree{"seconds": int64(3)}}}
	maps.Copy(container, probes(c.Health))
	pod := tree{
		"containers": []any{container}, "enableServiceLinks": false, "automountServiceAccountToken": false,
	}
	if volumes := d.volumes(); len(volumes) > 0 {
		pod["volumes"] = volumes
	}
	spec := tree{
		"selector":             tree{"matchLabels": tree{labelInstance: d.at.name}},
		"revisionHistoryLimit": int64(2), "progressDeadlineSeconds": int64(120),
		"strategy": tree{"type": "RollingUpdate", "rollingUpdate": tree{"maxSurge": int64(1), "maxUnavailable": int64(0)}},
		"template": tree{"metadata": tree{"labels": d.labels(), "annotations": d.podNotes()}, "spec": pod},
	}
	out := &objects{
		kind: cluster.Deployments(), secret: d.secret(), service: d.service(),
		primary: tree{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": d.metadata(), "spec": spec},
	}
	least := max(c.MinReplicas, 1)
	if c.MaxReplicas > least {
		out.scaler = d.scaler(least)
	} else {
		spec["replicas"] = int64(least)
	}
	return out, d.seal(out)
}

// probes ask for the health path, else for a connection.
func probes(health string) tree {
	ask := func(more tree) tree {
		more["timeoutSeconds"] = int64(3)
		if health == "" {
			more["tcpSocket"] = tree{"port": "http"}
		} else {
			more["httpGet"] = tree{"path": health, "port": "http"}
		}
		return more
	}
	out := tree{
		"startupProbe":   ask(tree{"periodSeconds": int64(1), "failureThreshold": int64(120)}),
		"readinessProbe": ask(tree{"periodSeconds": int64(5), "failureThreshold": int64(2)}),
	}
	if health != "" {
		out["livenessProbe"] = ask(tree{"periodSeconds": int64(10), "failureThreshold": int64(6)})
	}
	return out
}

func (d *design) service() tree {
	return tree{
		"apiVersion": "v1", "kind": "Service", "metadata": d.metadata(),
		"spec": tree{
			"type": "ClusterIP", "selector": tree{labelInstance: d.at.name},
			"ports": []any{tree{"name": "http", "port": int64(80), "targetPort": "http", "protocol": "TCP"}},
		},
	}
}

// scaler keeps the replicas at seven tenths of the processors they may use.
func (d *design) scaler(least int) tree {
	cpu := quantity(max(milli(&d.container)*7/10, 1))
	return tree{
		"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": d.metadata(),
		"spec": tree{
			"scaleTargetRef": tree{"apiVersion": "apps/v1", "kind": "Deployment", "name": d.at.name},
			"minReplicas":    int64(least), "maxReplicas": int64(d.container.MaxReplicas),
			"metrics": []any{tree{"type": "Resource", "resource": tree{"name": "cpu", "target": tree{"type": "AverageValue", "averageValue": cpu}}}},
		},
	}
}

// knative runs the image as a Knative Service that only the cluster reaches.
func (d *design) knative() (*objects, error) {
	container, err := d.containerSpec()
	if err != nil {
		return nil, err
	}
	c := &d.container
	// PORT is Knative's to give.
	container["ports"] = []any{tree{"containerPort": int64(c.Port), "protocol": "TCP"}}
	if c.Health != "" {
		container["readinessProbe"] = tree{"httpGet": tree{"path": c.Health}}
	}
	pod := tree{"containers": []any{container}, "enableServiceLinks": false, "automountServiceAccountToken": false}
	if volumes := d.volumes(); len(volumes) > 0 {
		pod["volumes"] = volumes
	}
	notes := d.podNotes()
	maps.Copy(notes, tree{
		"autoscaling.knative.dev/min-scale": strconv.Itoa(c.MinReplicas),
		"autoscaling.knative.dev/max-scale": strconv.Itoa(c.MaxReplicas),
		"autoscaling.knative.dev/metric":    "concurrency",
		"autoscaling.knative.dev/target":    strconv.Itoa(c.Target),
		// Knative takes at most an hour.
		"autoscaling.knative.dev/scale-to-zero-pod-retention-period": idle(c.IdleAfter.D()),
	})
	meta := d.metadata()
	meta["labels"].(tree)["networking.knative.dev/visibility"] = "cluster-local"
	out := &objects{
		kind: cluster.KnativeServices(), secret: d.secret(),
		primary: tree{
			"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": meta,
			"spec": tree{"template": tree{"metadata": tree{"labels": d.labels(), "annotations": notes}, "spec": pod}},
		},
	}
	return out, d.seal(out)
}

// seal writes into the primary object which change, and which state of all, it is of.
func (d *design) seal(o *objects) error {
	all, err := json.Marshal([]any{o.primary, o.service, o.scaler, o.secretShape(d)})
	if err != nil {
		return err
	}
	o.spec = names.Digest(string(all))[:16]
	notes := tree{noteName: board.Of(d.fn).String(), noteSpec: o.spec, noteRevision: strconv.FormatUint(d.fn.Metadata.Revision, 10), noteMaker: maker(d.fn.Metadata.UID)}
	if o.scaler != nil {
		notes[noteScaled] = "true"
	}
	o.primary["metadata"].(tree)["annotations"] = notes
	o.labels, o.mask = d.labels(), settings.NewMask(d.settings.Secrets)
	return nil
}

// maker stands for a uid.
func maker(uid string) string { return names.Digest("maker", uid)[:16] }

// secretShape is the secret without its values, which the pods' notes cover.
func (o *objects) secretShape(d *design) string {
	if o.secret == nil {
		return ""
	}
	var keys []string
	for i := range d.fn.Spec.Env {
		keys = append(keys, d.fn.Spec.Env[i].Name)
	}
	return strings.Join(keys, " ")
}

// maxRetention is the longest time that Knative keeps the last pod without calls.
const maxRetention = time.Hour

func idle(d time.Duration) string { return min(d, maxRetention).String() }
