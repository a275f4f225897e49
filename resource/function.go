package resource

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// KindFunction is what events are delivered to.
const KindFunction = "Function"

// FunctionSpec says where a function runs and what it listens to. Exactly one
// of URL, Command, Scripts, Image, Knative and Job is set.
type FunctionSpec struct {
	// Version names this version; "" is an unnamed one.
	Version string `json:"version,omitempty"`
	// URL is an absolute http or https URL that gets each event by POST.
	URL string `json:"url,omitempty"`
	// Command starts a local HTTP server that listens on 127.0.0.1:$PORT; the
	// first element is the program. It runs in Dir.
	Command []string `json:"command,omitempty"`
	// Scripts are files that run in sequence for each event.
	Scripts *Scripts `json:"scripts,omitempty"`
	// Image is a container that listens on $PORT, which Platform runs as Container says.
	Image string `json:"image,omitempty"`
	// Platform runs Image: docker (default: an engine of the dispatcher's machine),
	// knative, kubernetes or openfaas; that of a job docker or kubernetes.
	Platform string `json:"platform,omitempty"`
	// Container bounds and scales Image.
	Container *Container `json:"container,omitempty"`
	// Knative is a Knative Service that is there already.
	Knative *KnativeRef `json:"knative,omitempty"`
	// Job runs once for each event, to its end.
	Job *Job `json:"job,omitempty"`
	// Dir is where programs run and Scripts are looked for: by default the
	// manifest's, which is also what a relative path starts from.
	Dir string `json:"dir,omitempty"`
	// Artifact is sha256: and the digest of an archive in the object store, whose
	// files take the place of Dir.
	Artifact string `json:"artifact,omitempty"`
	// On is short for a link with these types, named after the function.
	On []string `json:"on,omitempty"`
	// Schedule runs the function at certain times.
	Schedule []Schedule `json:"schedule,omitempty"`
	// Emits declares the types of the events the function answers with.
	Emits []string `json:"emits,omitempty"`
	// Config is given to functions that Signalbox runs as environment variable
	// SIGNALBOX_CONFIG (JSON).
	Config map[string]json.RawMessage `json:"config,omitempty"`
	// Env and Mounts are further variables and files of functions that Signalbox runs.
	Env    []EnvVar `json:"env,omitempty"`
	Mounts []Mount  `json:"mounts,omitempty"`
	// Call says what calls of the function present, so that it knows who calls.
	Call *Call `json:"call,omitempty"`
	// Concurrency bounds the calls of this version of the function in flight per
	// dispatcher, over all its links; 0 is the default of 64.
	Concurrency int `json:"concurrency,omitempty"`
	// Weight is the function's share of a dispatcher's calls in flight when
	// more functions want to be called than there is room for: 1 to 100; 0 is 1.
	Weight int `json:"weight,omitempty"`
	// Traffic splits the events between versions of the function; none is all to
	// this one. Links that name a version are not split.
	Traffic []TrafficShare `json:"traffic,omitempty"`
}

// TrafficShare is the part of a function's events that a version gets.
type TrafficShare struct {
	// Version is this one or one that was applied before it.
	Version string `json:"version"`
	// Weight is its part of the sum of all weights; 0 to 1000.
	Weight int `json:"weight"`
}

// Function is a resource of kind Function.
type Function struct {
	Metadata Metadata
	Spec     FunctionSpec
}

// The states of what runs a function.
const (
	StateStarting = "starting"
	StateReady    = "ready"
	// StateIdle: nothing runs, since there is nothing to do.
	StateIdle = "idle"
	// StateFailing: it does not get ready; the reason says why, and it is tried again.
	StateFailing = "failing"
)

// FunctionStatus is what the status of a function that Signalbox runs says. It is
// computed when it is asked for, and is as the process sees it that answers.
type FunctionStatus struct {
	// State is starting, ready, idle or failing; Reason says why it is not ready.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// URL is where its events go.
	URL string `json:"url,omitempty"`
	// Replicas are those that run, of which Ready take calls.
	Replicas int `json:"replicas"`
	Ready    int `json:"ready"`
}

var versionRE = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62})$`)

// maxFunctionName leaves room for the prefix in the name of the function's
// parked topic, which Kafka bounds to 249 characters.
const maxFunctionName = 200

func (s *FunctionSpec) validate(m Metadata) Faults {
	var f Faults
	if len(m.Name) > maxFunctionName {
		f.add("metadata.name", "%d characters: a function's name has at most %d, since a topic is named after it", len(m.Name), maxFunctionName)
	}
	s.validateRuntime(&f)
	s.validateTraffic(&f)
	s.Call.validate(&f, s)
	if s.Version != "" && !versionRE.MatchString(s.Version) {
		f.add("spec.version", "%q: want at most 63 letters, digits, '-', '_' and '.'", s.Version)
	}
	validateTypes(&f, "spec.on", s.On)
	validateSchedules(&f, s.Schedule)
	for i, t := range s.Emits {
		if t == "" {
			f.add(index("spec.emits", i), "empty: want an event type")
		}
	}
	if s.Concurrency < 0 || s.Concurrency > 10000 {
		f.add("spec.concurrency", "%d: want 1 to 10000, or 0 for the default of 64", s.Concurrency)
	}
	if s.Weight < 0 || s.Weight > 100 {
		f.add("spec.weight", "%d: want 1 to 100, or 0 for 1", s.Weight)
	}
	return f
}

func (s *FunctionSpec) validateTraffic(f *Faults) {
	total, seen := 0, map[string]bool{}
	for i, t := range s.Traffic {
		field := index("spec.traffic", i)
		switch {
		case t.Version == "":
			f.add(field+".version", "missing: want a version of the function")
		case seen[t.Version]:
			f.add(field+".version", "%q stands twice", t.Version)
		}
		if t.Weight < 0 || t.Weight > 1000 {
			f.add(field+".weight", "%d: want 0 to 1000", t.Weight)
		}
		seen[t.Version] = true
		total += t.Weight
	}
	if len(s.Traffic) > 0 && total == 0 {
		f.add("spec.traffic", "all weights are 0: want one that is more")
	}
}

func (s *FunctionSpec) validateRuntime(f *Faults) {
	var set []string
	for _, kind := range []struct {
		name string
		is   bool
	}{
		{"url", s.URL != ""}, {"command", len(s.Command) > 0}, {"scripts", s.Scripts != nil}, {"image", s.Image != ""}, {"knative", s.Knative != nil}, {"job", s.Job != nil},
	} {
		if kind.is {
			set = append(set, kind.name)
		}
	}
	switch len(set) {
	case 0:
		f.add("spec", "want exactly one of url, command, scripts, image, knative, job")
	case 1:
	default:
		f.add("spec", "has %s: want exactly one of them", strings.Join(set, " and "))
	}
	s.validateURL(f)
	if len(s.Command) > 0 && s.Command[0] == "" {
		f.add("spec.command[0]", "empty: want a program")
	}
	if s.Scripts != nil {
		s.Scripts.validate(f)
	}
	if s.Knative != nil {
		s.Knative.validate(f)
	}
	if s.Job != nil {
		s.Job.validate(f)
	}
	s.validatePlatform(f)
	s.validateFiles(f)
	s.validateSettings(f)
}

func (s *FunctionSpec) validateURL(f *Faults) {
	if s.URL == "" {
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		f.add("spec.url", "%q: want an absolute http or https URL", s.URL)
	} else if u.User != nil {
		f.add("spec.url", "a URL with a user name or password: credentials do not belong in a manifest")
	}
}

// validatePlatform checks the image and what belongs to it.
func (s *FunctionSpec) validatePlatform(f *Faults) {
	platforms := []string{PlatformDocker, PlatformKnative, PlatformKubernetes, PlatformOpenFaaS}
	if s.Image != "" {
		validateImage(f, "spec.image", s.Image)
	}
	job := s.Job != nil && s.Job.Image != ""
	if job {
		platforms = []string{PlatformDocker, PlatformKubernetes}
	}
	if s.Container != nil {
		s.Container.validate(f, "spec.container")
	}
	if s.Image == "" && !job {
		if s.Platform != "" {
			f.add("spec.platform", "only with image or job.image")
		}
		if s.Container != nil {
			f.add("spec.container", "only with image or job.image")
		}
		return
	}
	if s.Platform != "" && !slices.Contains(platforms, s.Platform) {
		f.add("spec.platform", "%q: want %s", s.Platform, strings.Join(platforms, ", "))
	}
}

var artifactRE = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (s *FunctionSpec) validateFiles(f *Faults) {
	if s.Dir != "" && !s.HasFiles() {
		f.add("spec.dir", "only with command, scripts or job.command")
	}
	if s.Artifact == "" {
		return
	}
	if !s.HasFiles() {
		f.add("spec.artifact", "only with command, scripts or job.command")
	}
	if !artifactRE.MatchString(s.Artifact) {
		f.add("spec.artifact", "%q: want sha256: and 64 hexadecimal digits", s.Artifact)
	}
}

// validateTypes checks event types: exact, or a prefix ending in '*'.
func validateTypes(f *Faults, field string, types []string) {
	for i, t := range types {
		switch {
		case t == "":
			f.add(index(field, i), "empty: want an event type, or a prefix ending in *")
		case strings.Contains(strings.TrimSuffix(t, "*"), "*"):
			f.add(index(field, i), "%q: '*' is allowed at the end only", t)
		}
	}
}
