//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signalbox-dev/signalbox/client"
)

// jobCluster is a namespace of the real control plane. No kubelet runs there: pods
// of Jobs complete by themselves, unless none fits a node; then the test plays the kubelet.
type jobCluster struct{ *kube }

var (
	kubeJobs = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	kubePods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

func newJobCluster(t *testing.T) jobCluster {
	t.Helper()
	return jobCluster{newKube(t)}
}

// names are those of the objects that the options select.
func (c jobCluster) names(r schema.GroupVersionResource, which metav1.ListOptions) (names []string, err error) {
	all, err := c.in(r).List(c.t.Context(), which)
	if err != nil {
		return nil, err
	}
	for i := range all.Items {
		names = append(names, all.Items[i].GetName())
	}
	return names, nil
}

// awaitPods waits until there are n pods of Jobs, and returns their names.
func (c jobCluster) awaitPods(n int) (names []string) {
	c.t.Helper()
	await(c.t, fmt.Sprint(n, " pods"), func() (err error) {
		if names, err = c.names(kubePods, metav1.ListOptions{}); err == nil && len(names) != n {
			err = fmt.Errorf("%v", names)
		}
		return err
	})
	return names
}

// followed is who follows the only Job, and when he said so last.
func (c jobCluster) followed() string {
	c.t.Helper()
	all, err := c.in(kubeJobs).List(c.t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 1 {
		c.t.Fatalf("%d Jobs, %v: want one", len(all.Items), err)
	}
	return all.Items[0].GetAnnotations()["signalbox.dev/followed"]
}

// end plays the kubelet: the container of a pod has ended.
func (c jobCluster) end(pod string, code int, message string) {
	c.t.Helper()
	phase, reason := "Succeeded", "Completed"
	if code != 0 {
		phase, reason = "Failed", "Error"
	}
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"phase": phase,
		"containerStatuses": []any{map[string]any{
			"name": "job", "image": "x", "imageID": "x", "ready": false, "restartCount": 0,
			"state": map[string]any{"terminated": map[string]any{"exitCode": code, "reason": reason, "message": message, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}},
		}},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in(kubePods).Patch(c.t.Context(), pod, types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
		c.t.Fatal(err)
	}
}

func (c jobCluster) args(t *testing.T) []string {
	return append(embeddedArgs(t), "--kubeconfig", c.env.KubeConfig(), "--kube-namespace", c.namespace)
}

// manifest is a job whose pods are for the test to end if it is held.
func (c jobCluster) manifest(on string, held bool, job string) string {
	cpus := map[bool]string{false: "0.1", true: "1024"}[held] // more than any node has
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: clustered}
spec:
  job: {image: "example.com/job:1", args: ["{id}"], keepFor: 1s%s}
  platform: kubernetes
  container: {memoryMB: 16, cpus: %q}
  env: [{name: MODE, value: fast}]
  mounts: [{path: /etc/mode, value: "fast"}]
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-clustered}
spec: {function: clustered, types: [%s], delivery: {attempts: 2, backoff: {initial: 10ms, max: 50ms}}}
`, job, cpus, on)
}

func TestJobsByKubernetesRunToCompletion(t *testing.T) {
	c := newJobCluster(t)
	s := start(t, c.args(t)...)
	told := newRecorder(t, nil)
	s.apply(c.manifest("com.test.clustered", false, "") + functionManifest("told", told.URL, "signalbox.job.*"))
	const n = 4
	for i := range n {
		s.emitJob(fmt.Sprint(i), "com.test.clustered", `{"picture":"cat"}`)
	}
	s.awaitDelivered("clustered", n)
	await(t, "the events about all runs", func() error {
		if started, succeeded := told.reports(t, "signalbox.job.started"), told.reports(t, "signalbox.job.succeeded"); len(started) != n || len(succeeded) != n {
			return fmt.Errorf("%d started, %d succeeded", len(started), len(succeeded))
		}
		return nil
	})
	// Kept for a second, then the cluster's own controllers remove them with what they own.
	await(t, "the Jobs and their Secrets to go", func() error {
		for _, r := range []schema.GroupVersionResource{kubeJobs, kubeSecrets, kubePods} {
			left, err := c.names(r, metav1.ListOptions{LabelSelector: "signalbox.dev/kind=job"})
			if err != nil || len(left) != 0 {
				return fmt.Errorf("%s %v, %v", r.Resource, left, err)
			}
		}
		return nil
	})
}

func TestAKubernetesJobThatFailsIsRepeatedAndItsRepliesChainOn(t *testing.T) {
	c := newJobCluster(t)
	s := start(t, c.args(t)...)
	made, told := newRecorder(t, nil), newRecorder(t, nil)
	s.apply(c.manifest("com.test.clustered", true, ", permanentExitCodes: [7]") + functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
	s.emitJob("again", "com.test.clustered", `{}`)
	first := c.awaitPods(1)[0]
	c.end(first, 3, "")
	await(t, "the second attempt", func() error {
		if got := len(told.reports(t, "signalbox.job.started")["again"]); got != 2 {
			return fmt.Errorf("%d started", got)
		}
		return nil
	})
	for _, pod := range c.awaitHeld() {
		c.end(pod, 0, `{"type":"com.test.made","subject":"again"}`)
	}
	made.awaitSubjects(t, 1)
	s.awaitDelivered("clustered", 1)
	await(t, "the event about the failure", func() error {
		if failed := told.reports(t, "signalbox.job.failed")["again"]; len(failed) != 1 || *failed[0].ExitCode != 3 {
			return fmt.Errorf("told of failures %+v", failed)
		}
		return nil
	})

	s.emitJob("hopeless", "com.test.clustered", `{}`)
	for _, pod := range c.awaitHeld() {
		c.end(pod, 7, "")
	}
	s.awaitStates("clustered", "map[open:1]")
	letters, err := s.DeadLetters(t.Context(), client.Query{Function: "clustered"})
	if err != nil || !strings.Contains(fmt.Sprintf("%s", letters), "exit code 7 (permanent)") {
		t.Errorf("%s, %v", letters, err)
	}
}

// awaitHeld waits for pods that have not ended.
func (c jobCluster) awaitHeld() (names []string) {
	c.t.Helper()
	await(c.t, "a pod that waits", func() (err error) {
		if names, err = c.names(kubePods, metav1.ListOptions{FieldSelector: "status.phase=Pending"}); err == nil && len(names) == 0 {
			err = errors.New("none")
		}
		return err
	})
	return names
}

func TestAKubernetesJobOutlivesSignalboxAndItsRunIsTheOnlyOne(t *testing.T) {
	for _, how := range []string{"killed", "ended meanwhile"} {
		t.Run(how, func(t *testing.T) {
			c := newJobCluster(t)
			s := start(t, c.args(t)...)
			made, told := newRecorder(t, nil), newRecorder(t, nil)
			s.apply(c.manifest("com.test.clustered", true, "") + functionManifest("made", made.URL, "com.test.made") + functionManifest("told", told.URL, "signalbox.job.*"))
			s.emitJob("1", "com.test.clustered", `{}`)
			pod := c.awaitPods(1)[0]
			s.awaitWaiting("clustered", 1)
			followed := c.followed()
			end := func() { c.end(pod, 0, `{"type":"com.test.made","subject":"1"}`) }
			s.kill()
			if how == "ended meanwhile" {
				end()
			}
			s.launch()
			s.awaitReady()
			if how != "ended meanwhile" {
				await(t, "the Job to be followed again", func() error {
					if now := c.followed(); now == followed {
						return fmt.Errorf("%s", now)
					}
					return nil
				})
				end()
			}
			made.awaitSubjects(t, 1)
			s.awaitDelivered("clustered", 1)
			await(t, "the events about the run", func() error {
				started, succeeded, failed := told.reports(t, "signalbox.job.started"), told.reports(t, "signalbox.job.succeeded"), told.reports(t, "signalbox.job.failed")
				if len(started["1"]) != 1 || len(succeeded["1"]) != 1 || len(failed) != 0 {
					return fmt.Errorf("%v started, %v succeeded, %v failed", started, succeeded, failed)
				}
				return nil
			})
			c.awaitPods(0)
		})
	}
}
