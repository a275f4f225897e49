// Package kube runs functions in a Kubernetes cluster: images as Deployments
// behind Services, or as Knative Services, and it finds Knative Services that
// somebody else looks after.
package kube
