package cluster

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kind is a kind of objects as the API server knows it.
type Kind struct {
	Group, Version, Name string
	// Resource is the plural, as it stands in paths.
	Resource string
}

// The kinds that functions are made of.
func Deployments() Kind { return Kind{"apps", "v1", "Deployment", "deployments"} }
func Services() Kind    { return Kind{"", "v1", "Service", "services"} }
func Secrets() Kind     { return Kind{"", "v1", "Secret", "secrets"} }
func Pods() Kind        { return Kind{"", "v1", "Pod", "pods"} }
func Jobs() Kind        { return Kind{"batch", "v1", "Job", "jobs"} }
func Leases() Kind      { return Kind{"coordination.k8s.io", "v1", "Lease", "leases"} }
func Autoscalers() Kind {
	return Kind{"autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"}
}
func KnativeServices() Kind { return Kind{"serving.knative.dev", "v1", "Service", "services"} }

// APIVersion is group/version, as it stands in objects.
func (k Kind) APIVersion() string {
	return schema.GroupVersion{Group: k.Group, Version: k.Version}.String()
}

// String is the resource as people write it, such as services.serving.knative.dev.
func (k Kind) String() string {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}.String()
}

func (k Kind) resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}
