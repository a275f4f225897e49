package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// Config says where functions run, and as what.
type Config struct {
	// Platform is resource.PlatformKubernetes or resource.PlatformKnative.
	Platform string
	Cluster  *cluster.Cluster
	// Owner tells this Signalbox from others that use the same namespace: all its
	// processes have the same one, and no other has it. A label's value; default signalbox.
	Owner string
	// ServiceURL is where a Deployment's Service is reached from here; {service}
	// and {namespace} stand for its. Default http://{service}.{namespace}.svc/
	ServiceURL string
	// ReadOnly processes see where functions are, and change nothing in the cluster.
	ReadOnly bool
	// Secrets finds the secrets that functions name.
	Secrets settings.Lookup
	// Output gets each line that the pods of functions print, from one of all
	// processes; nil: they are not read. It may block.
	Output func(event.Log)
	// Process names this one among those that might read a pod; default signalbox.
	Process string
	// Linger is how long a version goes on that gets no events any more, and what
	// belongs to no function; default 30s, 1ms to 24h.
	Linger time.Duration
	// Resync is how often what should be there is applied again, whatever seems to
	// be there; default 10m, 1s to 24h.
	Resync time.Duration
	// Look is how often something may be due; default 1s, 1ms to 1m.
	Look time.Duration
	Log  *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// DefaultConfig lacks Platform, Cluster and Secrets.
func DefaultConfig() Config {
	return Config{
		Owner: "signalbox", Process: "signalbox", ServiceURL: "http://{service}.{namespace}.svc/",
		Linger: 30 * time.Second, Resync: 10 * time.Minute, Look: time.Second, Log: slog.Default(), Now: time.Now,
	}
}

var ownerRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

// ValidOwner reports whether s can tell one Signalbox from others.
func ValidOwner(s string) bool { return ownerRE.MatchString(s) }

// ValidServiceURL reports whether s can lead to Services.
func ValidServiceURL(s string) bool {
	return strings.Contains(s, "{service}") && (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://"))
}

func (c *Config) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Platform == resource.PlatformKubernetes || c.Platform == resource.PlatformKnative, "Platform %q: want kubernetes or knative", c.Platform)
	check(c.Cluster != nil, "Cluster: missing")
	check(ValidOwner(c.Owner), "Owner %q: want at most 63 lower-case letters, digits, '-' and '.'", c.Owner)
	check(ValidServiceURL(c.ServiceURL), "ServiceURL %q: want http:// or https:// and {service}", c.ServiceURL)
	check(c.Linger >= time.Millisecond && c.Linger <= 24*time.Hour, "Linger %s: want 1ms to 24h", c.Linger)
	check(c.Resync >= time.Second && c.Resync <= 24*time.Hour, "Resync %s: want 1s to 24h", c.Resync)
	check(c.Look >= time.Millisecond && c.Look <= time.Minute, "Look %s: want 1ms to 1m", c.Look)
	check(c.Process != "", "Process: missing")
	check(c.Log != nil, "Log: nil: want a logger")
	check(c.Now != nil, "Now: nil: want a clock")
	return errors.Join(faults...)
}
