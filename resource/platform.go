package resource

// What runs a function, as FunctionSpec.Runtime says.
const (
	RuntimeURL     = "url"
	RuntimeCommand = "command"
	RuntimeScripts = "scripts"
	RuntimeJob     = "job"
	// Platforms of images.
	PlatformDocker     = "docker"
	PlatformKnative    = "knative"
	PlatformKubernetes = "kubernetes"
	PlatformOpenFaaS   = "openfaas"
)

// Runtime names what runs the function: url, command, scripts, job, or the
// platform of its image. A reference to a Knative Service is of platform knative.
func (s *FunctionSpec) Runtime() string {
	switch {
	case s.URL != "":
		return RuntimeURL
	case len(s.Command) > 0:
		return RuntimeCommand
	case s.Scripts != nil:
		return RuntimeScripts
	case s.Job != nil:
		return RuntimeJob
	case s.Knative != nil:
		return PlatformKnative
	case s.Platform == "":
		return PlatformDocker
	}
	return s.Platform
}

// HasFiles reports whether the function runs files of its directory or artifact.
func (s *FunctionSpec) HasFiles() bool {
	return len(s.Command) > 0 || s.Scripts != nil || s.Job != nil && len(s.Job.Command) > 0
}
