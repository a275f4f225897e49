package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// runningState says how what runs a function is; "" where the server does not say.
func runningState(o *resource.Object) string {
	var status resource.FunctionStatus
	if len(o.Status) == 0 || json.Unmarshal(o.Status, &status) != nil {
		return ""
	}
	if status.Replicas > 1 {
		return fmt.Sprintf("%s %d/%d", status.State, status.Ready, status.Replicas)
	}
	return status.State
}

// runsAt says what a function is, in a few words.
func runsAt(s *resource.FunctionSpec) string {
	kind := s.Runtime()
	switch {
	case s.URL != "":
		return s.URL
	case s.Scripts != nil:
		return s.Scripts.Runtime + " " + strings.Join(s.Scripts.Files, " ")
	case s.Knative != nil:
		return "knative " + s.Knative.Service
	case s.Job != nil && s.Job.Image != "":
		return "job " + s.Job.Image
	case s.Job != nil:
		return "job " + strings.Join(s.Job.Command, " ")
	case s.Image != "":
		return kind + " " + s.Image
	}
	return strings.Join(s.Command, " ")
}
