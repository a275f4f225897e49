//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/signalbox-dev/signalbox/client"
)

var (
	kwokLogs   = schema.GroupVersionResource{Group: "kwok.x-k8s.io", Version: "v1alpha1", Resource: "logs"}
	kubeLeases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// podOutput is what a pod prints: the test writes it as a kubelet would, and the nodes that are
// played pass it on.
type podOutput struct {
	t    *testing.T
	file string
}

func (k *kube) output(pod string) *podOutput {
	k.t.Helper()
	o := &podOutput{t: k.t, file: filepath.Join(k.t.TempDir(), pod)}
	o.print()
	_, err := k.in(kwokLogs).Create(k.t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": map[string]any{"name": pod},
		"spec": map[string]any{"logs": []any{map[string]any{"logsFile": o.file, "follow": true}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return o
}

// print adds lines, all of the same moment.
func (o *podOutput) print(lines ...string) {
	o.t.Helper()
	f, err := os.OpenFile(o.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		o.t.Fatal(err)
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for _, line := range lines {
		_, err = fmt.Fprintf(f, "%s stdout F %s\n", now, line)
	}
	if end := f.Close(); err != nil || end != nil {
		o.t.Fatal(err, end)
	}
}

// pod makes a pod of a version by hand, as Knative would of its Service.
func (k *kube) pod(version *unstructured.Unstructured) string {
	k.t.Helper()
	name := version.GetName() + "-00001"
	labels := map[string]any{}
	for key, value := range version.GetLabels() {
		labels[key] = value
	}
	_, err := k.in(kubePods).Create(k.t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "labels": labels},
		"spec": map[string]any{"containers": []any{
			map[string]any{"name": "function", "image": "registry.example/kn:1"}, map[string]any{"name": "queue-proxy", "image": "registry.example/queue"},
		}},
	}}, metav1.CreateOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return name
}

// awaitOutput waits until the lines of a function are these and no others.
func (s *server) awaitOutput(function string, want ...string) []client.Line {
	s.t.Helper()
	lines := s.awaitLines(client.Query{Function: function, Limit: 1000}, len(want))
	var got []string
	for _, l := range lines {
		got = append(got, l.Line)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("%s printed %q, want %q", function, got, want)
	}
	return lines
}

func (k *kube) holder(of string) string {
	o, err := k.in(kubeLeases).Get(k.t.Context(), of, metav1.GetOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return nested(o, "spec", "holderIdentity")
}

// TestWhatPodsPrintIsKeptLineByLine follows pods through the real API server, under the chart's rights.
func TestWhatPodsPrintIsKeptLineByLine(t *testing.T) {
	k, s, _ := newCluster(t)
	s.apply(imageManifest("prints", "1", "kubernetes", `, env: [{name: B, secret: api}]`) + imageManifest("kprints", "1", "knative", ""))
	pod := k.of(kubePods, "prints", "1").GetName()
	out := k.output(pod)
	out.print("begins", `{"level":"warning","msg":"with hunter2-hunter2","signalbox_run":"7-0-1"}`)
	version := k.of(ksvcs, "kprints", "1")
	kout := k.output(k.pod(version))
	kout.print("knative")

	lines := s.awaitOutput("prints", "begins", `{"level":"warning","msg":"with ***","signalbox_run":"7-0-1"}`)
	if l := lines[1]; l.Level != "warning" || l.Run != "7-0-1" || l.Instance != pod || l.Version != "1" || l.Stream != "stdout" {
		t.Errorf("the line is %+v", l)
	}
	s.awaitOutput("kprints", "knative")
	lease := version.GetName()
	first := k.holder(lease)

	k.env.RestartKube()
	kout.print("after the API server was away")
	s.awaitOutput("kprints", "knative", "after the API server was away")

	s.stop()
	if got := k.holder(lease); got != "<nil>" {
		t.Errorf("the Lease is still %s's", got)
	}
	kout.print("while nobody read", "and another")
	s.launch()
	s.awaitReady()
	s.awaitOutput("kprints", "knative", "after the API server was away", "while nobody read", "and another")
	if got := k.holder(lease); got == first {
		t.Errorf("the Lease is %s's again", got)
	}
	kout.print("and on")
	s.awaitOutput("kprints", "knative", "after the API server was away", "while nobody read", "and another", "and on")
}
