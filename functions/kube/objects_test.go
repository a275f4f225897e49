package kube

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

func draw(t *testing.T, platform string, c *resource.Container) *objects {
	t.Helper()
	fn := image("f", "1", platform)
	fn.Spec.Container = c
	s, err := settings.Resolve(fn, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := design{fn: fn, container: c.WithDefaults(), settings: s, owner: "signalbox", at: place{"fns", "f-1"}}
	make := d.deployment
	if platform == resource.PlatformKnative {
		make = d.knative
	}
	o, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// has fails unless the object, written as JSON, has each of the texts.
func has(t *testing.T, o tree, texts ...string) {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(string(b), text) {
			t.Errorf("no %s in\n%s", text, b)
		}
	}
}

func TestAContainerIsConfined(t *testing.T) {
	for _, platform := range []string{resource.PlatformKubernetes, resource.PlatformKnative} {
		o := draw(t, platform, &resource.Container{User: "1000:1001", CPUs: "0.5", MemoryMB: 64})
		has(t, o.primary, `"readOnlyRootFilesystem":true`, `"capabilities":{"drop":["ALL"]}`, `"allowPrivilegeEscalation":false`, `"seccompProfile":{"type":"RuntimeDefault"}`,
			`"runAsUser":1000`, `"runAsGroup":1001`, `"runAsNonRoot":true`, `"automountServiceAccountToken":false`, `"enableServiceLinks":false`,
			`"limits":{"cpu":"500m","memory":"64Mi"}`, `"requests":{"cpu":"125m","memory":"64Mi"}`, `"emptyDir":{}`, `"mountPath":"/tmp"`)
		has(t, draw(t, platform, &resource.Container{Writable: true}).primary, `"readOnlyRootFilesystem":false`)
		b, _ := json.Marshal(draw(t, platform, &resource.Container{Writable: true, User: "0"}).primary)
		if strings.Contains(string(b), "runAsNonRoot") || strings.Contains(string(b), "emptyDir") {
			t.Errorf("%s", b)
		}
	}
}

func TestAUserByNameIsRefused(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	for _, user := range []string{"nobody", "1:staff"} {
		d := design{fn: fn, container: resource.Container{User: user}}
		if _, err := d.deployment(); err == nil || !strings.Contains(err.Error(), "numbers") {
			t.Errorf("%s: %v", user, err)
		}
		if _, err := d.knative(); err == nil {
			t.Error(user)
		}
	}
}

func TestReplicasAreFixedOrScaled(t *testing.T) {
	fixed := draw(t, resource.PlatformKubernetes, nil)
	has(t, fixed.primary, `"replicas":1`)
	if fixed.scaler != nil {
		t.Error("a scaler for one replica")
	}
	has(t, draw(t, resource.PlatformKubernetes, &resource.Container{MinReplicas: 3}).primary, `"replicas":3`)
	scaled := draw(t, resource.PlatformKubernetes, &resource.Container{MaxReplicas: 5})
	has(t, scaled.scaler, `"minReplicas":1`, `"maxReplicas":5`, `"averageValue":"700m"`)
	has(t, scaled.primary, noteScaled)
	if _, has := scaled.primary["spec"].(tree)["replicas"]; has {
		t.Error("the scaler's replicas are set")
	}
	has(t, draw(t, resource.PlatformKnative, &resource.Container{MinReplicas: 1, MaxReplicas: 5, Target: 8, IdleAfter: resource.Duration(3 * time.Hour)}).primary,
		`"autoscaling.knative.dev/min-scale":"1"`, `"autoscaling.knative.dev/max-scale":"5"`, `"autoscaling.knative.dev/target":"8"`, `retention-period":"1h0m0s"`, `"networking.knative.dev/visibility":"cluster-local"`)
}

func TestHealthIsAskedFor(t *testing.T) {
	has(t, draw(t, resource.PlatformKubernetes, &resource.Container{Health: "/up"}).primary, `"livenessProbe"`, `"httpGet":{"path":"/up","port":"http"}`)
	has(t, draw(t, resource.PlatformKubernetes, nil).primary, `"tcpSocket":{"port":"http"}`, `"name":"PORT","value":"8080"`)
	has(t, draw(t, resource.PlatformKnative, &resource.Container{Health: "/up", Port: 9000}).primary, `"readinessProbe":{"httpGet":{"path":"/up"}}`, `"containerPort":9000`)
}

func TestWhatAStatusSays(t *testing.T) {
	object := func(text string) *cluster.Object {
		var o tree
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return &unstructured.Unstructured{Object: integers(o).(tree)}
	}
	deployment, knative := deploymentState, knativeState
	for name, c := range map[string]struct {
		read    func(*cluster.Object) state
		object  string
		state   string
		reason  string
		serving bool
	}{
		"a Deployment not seen yet":       {deployment, `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":1}}`, "starting", "not looked", false},
		"one with pods on the way":        {deployment, `{"spec":{"replicas":2},"status":{"replicas":2}}`, "starting", "0 of 2", false},
		"one that is ready":               {deployment, `{"spec":{"replicas":1},"status":{"readyReplicas":1,"updatedReplicas":1}}`, "ready", "", true},
		"one whose pods are replaced":     {deployment, `{"spec":{"replicas":1},"status":{"readyReplicas":1}}`, "starting", "replaced", true},
		"one that may not have pods":      {deployment, `{"spec":{"replicas":1},"status":{"conditions":[{"type":"ReplicaFailure","status":"True","message":"exceeded quota"}]}}`, "failing", "exceeded quota", false},
		"one that does not get on":        {deployment, `{"spec":{"replicas":1},"status":{"readyReplicas":1,"conditions":[{"type":"Progressing","status":"False","reason":"Deadline"}]}}`, "failing", "Deadline", true},
		"one that was scaled to 0":        {deployment, `{"spec":{"replicas":0},"status":{}}`, "idle", "scaled", false},
		"a Knative Service without words": {knative, `{"status":{}}`, "starting", "controller", false},
		"one on its way":                  {knative, `{"status":{"url":"http://u","conditions":[{"type":"Ready","status":"Unknown","message":"deploying"}]}}`, "starting", "deploying", false},
		"a Knative Service that is ready": {knative, `{"status":{"url":"http://u","conditions":[{"type":"Ready","status":"True"}]}}`, "ready", "", true},
		"one that failed from the start":  {knative, `{"status":{"url":"http://u","conditions":[{"type":"Ready","status":"False","reason":"RevisionFailed"}]}}`, "failing", "RevisionFailed", false},
		"one whose next one starts":       {knative, `{"metadata":{"generation":2},"status":{"url":"http://u","latestReadyRevisionName":"r","observedGeneration":1}}`, "starting", "not looked", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.read(object(c.object))
			if got.State != c.state || !strings.Contains(got.Reason, c.reason) || got.serving != c.serving {
				t.Errorf("%+v", got)
			}
			if got.State == functions.StateReady && got.Reason != "" {
				t.Errorf("ready with reason %q", got.Reason)
			}
		})
	}
}

// integers turns numbers into those of the API machinery.
func integers(v any) any {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case tree:
		for key, inner := range v {
			v[key] = integers(inner)
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	}
	return v
}

func TestAConfigurationSaysAllItsFaults(t *testing.T) {
	c := DefaultConfig()
	c.Owner, c.ServiceURL, c.Linger, c.Resync, c.Look, c.Log, c.Now = "A b", "ftp://x", 0, 0, 0, nil, nil
	if _, err := New(c); err == nil || strings.Count(err.Error(), "\n") != 8 {
		t.Errorf("%v", err)
	}
}
