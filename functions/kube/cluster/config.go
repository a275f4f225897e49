package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/client-go/dynamic"
)

// Config says which cluster, and where in it.
type Config struct {
	// Kubeconfig is a file that says where the API server is, and who asks; "" is
	// the service account of the pod that this process runs in. The file in a
	// user's home is never looked for: who means it names it.
	Kubeconfig string
	// Namespace is where objects go that name none; "" is that of the kubeconfig's
	// context or of the pod, else default.
	Namespace string
	// Timeout bounds a request, watches excepted; 1s to 5m, default 15s.
	Timeout time.Duration
	// Agent is the User-Agent of requests.
	Agent string
	// Log gets what the API server warns of.
	Log *slog.Logger
	// Client is used in place of one by Kubeconfig, when set: tests' fakes.
	Client dynamic.Interface
}

// DefaultConfig is the cluster of the pod that this process runs in.
func DefaultConfig() Config {
	return Config{Timeout: 15 * time.Second, Agent: Manager, Log: slog.Default()}
}

func (c *Config) validate() error {
	var faults []error
	if c.Timeout < time.Second || c.Timeout > 5*time.Minute {
		faults = append(faults, fmt.Errorf("Timeout %s: want 1s to 5m", c.Timeout))
	}
	if c.Agent == "" {
		faults = append(faults, errors.New("Agent: missing"))
	}
	if c.Log == nil {
		faults = append(faults, errors.New("Log: nil: want a logger"))
	}
	return errors.Join(faults...)
}
