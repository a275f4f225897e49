package resource

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Container says how the image of a function is run.
type Container struct {
	// Port is where the function listens inside; it finds it as PORT. Default 8080.
	Port int `json:"port,omitempty"`
	// Command and Args take the place of the image's entrypoint and command.
	Command []string `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
	// MemoryMB bounds the memory, in MiB; default 256, 6 to 1048576.
	MemoryMB int `json:"memoryMB,omitempty"`
	// CPUs bounds the processors, such as "0.5" or "2"; default "1".
	CPUs string `json:"cpus,omitempty"`
	// Pids bounds the processes and threads; default 256, 1 to 100000.
	Pids int `json:"pids,omitempty"`
	// Health is a path that answers GET with 200 to 299 once the function is ready;
	// "" takes an accepted connection for that.
	Health string `json:"health,omitempty"`
	// MinReplicas is how many run always; 0 (default) lets the function go to zero
	// when nothing has come for IdleAfter. MaxReplicas is how many may run at most; default
	// the larger of 1 and MinReplicas, at most 1000.
	MinReplicas int `json:"minReplicas,omitempty"`
	MaxReplicas int `json:"maxReplicas,omitempty"`
	// Target is how many calls in flight a replica takes before another one is
	// started; default 16, 1 to 10000.
	Target int `json:"target,omitempty"`
	// IdleAfter is the time without calls after which the last replica ends; default 5m, 1s to 24h.
	IdleAfter Duration `json:"idleAfter,omitzero"`
	// Pull says when the image is fetched: missing (default), always or never.
	Pull string `json:"pull,omitempty"`
	// Writable lets the function write to its root filesystem; else only /tmp is for that.
	Writable bool `json:"writable,omitempty"`
	// User is the user, or user:group, in numbers or names of the image; "" is the image's.
	User string `json:"user,omitempty"`
	// Namespace is where the function runs on knative and kubernetes; "" is Signalbox's own.
	Namespace string `json:"namespace,omitempty"`
}

// When images are fetched.
const (
	PullMissing = "missing"
	PullAlways  = "always"
	PullNever   = "never"
)

// WithDefaults fills in what is zero; c may be nil.
func (c *Container) WithDefaults() Container {
	var out Container
	if c != nil {
		out = *c
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&out.Port, 8080}, {&out.MemoryMB, 256}, {&out.Pids, 256}, {&out.MaxReplicas, max(1, out.MinReplicas)}, {&out.Target, 16}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if out.CPUs == "" {
		out.CPUs = "1"
	}
	if out.IdleAfter == 0 {
		out.IdleAfter = Duration(5 * time.Minute)
	}
	if out.Pull == "" {
		out.Pull = PullMissing
	}
	return out
}

// imageRE is what a reference may be made of: a registry, a path, a tag and a
// digest. The engine has the last word.
var imageRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:-]*(@sha256:[0-9a-f]{64})?$`)

func validateImage(f *Faults, field, image string) {
	if len(image) > 512 || !imageRE.MatchString(image) {
		f.add(field, "%q: want a reference such as registry.example/thumbs:2", image)
	}
}

func (c *Container) validate(f *Faults, field string) {
	for _, b := range []struct {
		name            string
		value, low, top int
	}{
		{"port", c.Port, 1, 65535}, {"memoryMB", c.MemoryMB, 6, 1 << 20}, {"pids", c.Pids, 1, 100_000},
		{"minReplicas", c.MinReplicas, 0, 1000}, {"maxReplicas", c.MaxReplicas, 1, 1000}, {"target", c.Target, 1, 10_000},
	} {
		if b.value != 0 && (b.value < b.low || b.value > b.top) {
			f.add(field+"."+b.name, "%d: want %d to %d, or 0 for the default", b.value, b.low, b.top)
		}
	}
	if c.MaxReplicas != 0 && c.MaxReplicas < c.MinReplicas {
		f.add(field+".maxReplicas", "%d: want at least minReplicas, %d", c.MaxReplicas, c.MinReplicas)
	}
	if n, err := strconv.ParseFloat(c.CPUs, 64); c.CPUs != "" && (err != nil || !(n >= 0.01 && n <= 1024)) {
		f.add(field+".cpus", "%q: want a number of processors from 0.01 to 1024, such as \"0.5\"", c.CPUs)
	}
	if c.Health != "" && !strings.HasPrefix(c.Health, "/") {
		f.add(field+".health", "%q: want a path that begins with /", c.Health)
	}
	if d := c.IdleAfter.D(); d != 0 && (d < time.Second || d > 24*time.Hour) {
		f.add(field+".idleAfter", "%s: want 1s to 24h, or 0 for 5m", c.IdleAfter)
	}
	switch c.Pull {
	case "", PullMissing, PullAlways, PullNever:
	default:
		f.add(field+".pull", "%q: want missing, always or never", c.Pull)
	}
	if strings.ContainsAny(c.User, " \t\n\x00") {
		f.add(field+".user", "%q: want a user or user:group", c.User)
	}
	if c.Namespace != "" && !validLabelName(c.Namespace) {
		f.add(field+".namespace", "%q: want lower-case letters, digits and '-'", c.Namespace)
	}
}

// KnativeRef names a Knative Service that somebody else looks after.
type KnativeRef struct {
	Service string `json:"service"`
	// Namespace is that of the Service; "" is Signalbox's own.
	Namespace string `json:"namespace,omitempty"`
}

func (k *KnativeRef) validate(f *Faults) {
	if !validLabelName(k.Service) {
		f.add("spec.knative.service", "%q: want the name of a Knative Service", k.Service)
	}
	if k.Namespace != "" && !validLabelName(k.Namespace) {
		f.add("spec.knative.namespace", "%q: want lower-case letters, digits and '-'", k.Namespace)
	}
}

// labelNameRE is an RFC 1123 label, as Kubernetes wants names of services.
var labelNameRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func validLabelName(s string) bool { return labelNameRE.MatchString(s) }
