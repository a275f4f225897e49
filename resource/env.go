package resource

import (
	"path"
	"regexp"
	"strings"
)

// EnvVar is a variable of a function's environment. Exactly one of Value,
// Secret and KubernetesSecret says what is in it; none is the empty Value.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Secret is the name of a secret.
	Secret string `json:"secret,omitempty"`
	// KubernetesSecret is a key of a Secret of the cluster that the function runs
	// in: on platforms knative and kubernetes, which hand it on unseen.
	KubernetesSecret *SecretKey `json:"kubernetesSecret,omitempty"`
}

// SecretKey is a key of a Kubernetes Secret.
type SecretKey struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// Mount is a file that the function finds. Exactly one of Value and Secret says
// what is in it; none is the empty Value.
type Mount struct {
	// Path is where: absolute in a container; below the directory that
	// SIGNALBOX_MOUNTS names for a local program.
	Path   string `json:"path"`
	Value  string `json:"value,omitempty"`
	Secret string `json:"secret,omitempty"`
}

var envNameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// maxSettings bounds the variables, and the mounts, of a function.
const maxSettings = 200

func (s *FunctionSpec) validateSettings(f *Faults) {
	if len(s.Env) > maxSettings {
		f.add("spec.env", "%d variables: want at most %d", len(s.Env), maxSettings)
	}
	if len(s.Mounts) > maxSettings {
		f.add("spec.mounts", "%d files: want at most %d", len(s.Mounts), maxSettings)
	}
	if s.URL != "" || s.Knative != nil {
		if len(s.Env) > 0 {
			f.add("spec.env", "only for functions that Signalbox runs: not with url or knative")
		}
		if len(s.Mounts) > 0 {
			f.add("spec.mounts", "only for functions that Signalbox runs: not with url or knative")
		}
	}
	seen := map[string]bool{}
	for i := range s.Env {
		s.Env[i].validate(f, index("spec.env", i), s.onCluster())
		if seen[s.Env[i].Name] {
			f.add(index("spec.env", i)+".name", "%q stands twice", s.Env[i].Name)
		}
		seen[s.Env[i].Name] = true
	}
	paths := map[string]bool{}
	for i := range s.Mounts {
		s.Mounts[i].validate(f, index("spec.mounts", i))
		if paths[s.Mounts[i].Path] {
			f.add(index("spec.mounts", i)+".path", "%q stands twice", s.Mounts[i].Path)
		}
		paths[s.Mounts[i].Path] = true
	}
}

// onCluster reports whether a Kubernetes cluster runs the function.
func (s *FunctionSpec) onCluster() bool {
	return s.Platform == PlatformKnative || s.Platform == PlatformKubernetes
}

func (e *EnvVar) validate(f *Faults, field string, onCluster bool) {
	switch {
	case !envNameRE.MatchString(e.Name):
		f.add(field+".name", "%q: want letters, digits and '_', not beginning with a digit", e.Name)
	case e.Name == "PORT" || strings.HasPrefix(e.Name, "SIGNALBOX_"):
		f.add(field+".name", "%q: PORT and what begins with SIGNALBOX_ are given by Signalbox", e.Name)
	}
	sources := 0
	for _, is := range []bool{e.Value != "", e.Secret != "", e.KubernetesSecret != nil} {
		if is {
			sources++
		}
	}
	if sources > 1 {
		f.add(field, "has more than one of value, secret and kubernetesSecret: want one of them")
	}
	if strings.ContainsRune(e.Value, 0) {
		f.add(field+".value", "holds a NUL character, which no environment can")
	}
	if e.Secret != "" {
		validateSecret(f, field+".secret", e.Secret)
	}
	if k := e.KubernetesSecret; k != nil {
		if !onCluster {
			f.add(field+".kubernetesSecret", "only on platforms knative and kubernetes: elsewhere use secret")
		}
		if k.Name == "" || k.Key == "" {
			f.add(field+".kubernetesSecret", "want name and key")
		}
	}
}

func (m *Mount) validate(f *Faults, field string) {
	if !path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path || m.Path == "/" || strings.ContainsAny(m.Path, ":\x00\n") {
		f.add(field+".path", "%q: want an absolute path without '..' and ':', such as /etc/app/ca.pem", m.Path)
	}
	if m.Value != "" && m.Secret != "" {
		f.add(field, "has value and secret: want one of them")
	}
	if m.Secret != "" {
		validateSecret(f, field+".secret", m.Secret)
	}
}
