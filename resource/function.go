package resource

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// KindFunction is what events are delivered to.
const KindFunction = "Function"

// FunctionSpec says where a function runs and what it listens to. Exactly one
// of URL, Command and Scripts is set.
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
	// Dir is where Command runs and Scripts are looked for: by default the
	// manifest's, which is also what a relative path starts from.
	Dir string `json:"dir,omitempty"`
	// On is short for a link with these types, named after the function.
	On []string `json:"on,omitempty"`
	// Schedule runs the function at certain times.
	Schedule []Schedule `json:"schedule,omitempty"`
	// Emits declares the types of the events the function answers with.
	Emits []string `json:"emits,omitempty"`
	// Config is given to the function as environment variable
	// SIGNALBOX_CONFIG (JSON) when it runs by Command.
	Config map[string]json.RawMessage `json:"config,omitempty"`
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
	}{{"url", s.URL != ""}, {"command", len(s.Command) > 0}, {"scripts", s.Scripts != nil}} {
		if kind.is {
			set = append(set, kind.name)
		}
	}
	switch len(set) {
	case 0:
		f.add("spec", "want exactly one of url, command, scripts")
	case 1:
	default:
		f.add("spec", "has %s: want exactly one of them", strings.Join(set, " and "))
	}
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
			f.add("spec.url", "%q: want an absolute http or https URL", s.URL)
		} else if u.User != nil {
			f.add("spec.url", "a URL with a user name or password: credentials do not belong in a manifest")
		}
	}
	if len(s.Command) > 0 && s.Command[0] == "" {
		f.add("spec.command[0]", "empty: want a program")
	}
	if s.Scripts != nil {
		s.Scripts.validate(f)
	}
	if s.Dir != "" && len(s.Command) == 0 && s.Scripts == nil {
		f.add("spec.dir", "only with command or scripts")
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
