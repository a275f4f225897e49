package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// state is what an object's status says of its version.
type state struct {
	functions.Status
	// serving reports whether calls may go there: pods of an earlier state of
	// the version may take them while new ones start, or fail to.
	serving bool
}

// condition is one of an object's status.
type condition struct{ status, reason, message string }

// text is the message, else the reason.
func (c condition) text() string {
	if c.message != "" {
		return c.message
	}
	return c.reason
}

func conditions(o *cluster.Object) map[string]condition {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	out := make(map[string]condition, len(list))
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		kind, _ := c["type"].(string)
		status, _ := c["status"].(string)
		reason, _ := c["reason"].(string)
		message, _ := c["message"].(string)
		out[kind] = condition{status, reason, message}
	}
	return out
}

func number(o *cluster.Object, path ...string) int {
	n, _, _ := unstructured.NestedInt64(o.Object, path...)
	return int(n)
}

func text(o *cluster.Object, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

// observed reports whether the status is of the object as it is.
func observed(o *cluster.Object) bool {
	return number(o, "status", "observedGeneration") >= int(o.GetGeneration())
}

// deploymentState reads a Deployment; its URL is not in it.
func deploymentState(o *cluster.Object) state {
	s := state{Status: functions.Status{
		State: functions.StateStarting, Replicas: number(o, "status", "replicas"), Ready: number(o, "status", "readyReplicas"),
	}}
	s.serving = s.Ready > 0
	all := conditions(o)
	failure, progress := all["ReplicaFailure"], all["Progressing"]
	want := number(o, "spec", "replicas")
	switch {
	case !observed(o):
		s.Reason = "the cluster has not looked at it yet"
	case failure.status == "True":
		s.State, s.Reason = functions.StateFailing, failure.text()
	case progress.status == "False":
		s.State, s.Reason = functions.StateFailing, progress.text()
	case want == 0:
		s.State, s.Reason = functions.StateIdle, "somebody scaled it to 0"
	case s.serving && number(o, "status", "updatedReplicas") >= min(want, s.Ready) && number(o, "status", "updatedReplicas") > 0:
		s.State = functions.StateReady
	case s.serving:
		s.Reason = "replicas are replaced"
	default:
		s.Reason = fmt.Sprintf("%d of %d replicas are ready", s.Ready, want)
	}
	return s
}

// knativeState reads a Knative Service.
func knativeState(o *cluster.Object) state {
	s := state{Status: functions.Status{State: functions.StateStarting, URL: text(o, "status", "address", "url")}}
	if s.URL == "" {
		s.URL = text(o, "status", "url")
	}
	ready := conditions(o)["Ready"]
	switch {
	case !observed(o):
		s.Reason = "Knative has not looked at it yet"
	case ready.status == "True":
		s.State = functions.StateReady
	case ready.status == "False":
		s.State, s.Reason = functions.StateFailing, ready.text()
	case ready.text() != "":
		s.Reason = ready.text()
	default:
		s.Reason = "Knative says nothing of it yet: is its controller running?"
	}
	// A revision that was ready goes on taking calls while another one starts or fails.
	s.serving = s.URL != "" && (s.State == functions.StateReady || text(o, "status", "latestReadyRevisionName") != "")
	return s
}

// podReason says why a pod does not run; "" where nothing is said.
func podReason(o *cluster.Object) string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		for _, path := range [][]string{{"state", "waiting"}, {"state", "terminated"}, {"lastState", "terminated"}} {
			said, ok, _ := unstructured.NestedMap(c, path...)
			if !ok {
				continue
			}
			reason, _ := said["reason"].(string)
			message, _ := said["message"].(string)
			if text := (condition{reason: reason, message: message}).text(); text != "" && reason != "ContainerCreating" && reason != "PodInitializing" {
				return reason + map[bool]string{true: ": " + message}[message != ""]
			}
		}
	}
	if c := conditions(o)["PodScheduled"]; c.status == "False" {
		return c.text()
	}
	return ""
}
