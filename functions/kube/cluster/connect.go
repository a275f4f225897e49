package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Manager is the field manager of server-side apply: what is ours in an object
// that others write to as well.
const Manager = "signalbox"

// namespaceFile is where a pod finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Cluster is a Kubernetes API server. All methods are safe for concurrent use.
type Cluster struct {
	c Config
	// short is what a watch lasts at least that was not hung up on.
	short time.Duration

	mu sync.Mutex
	// to is nil before a connection was made ready.
	to *connection
}

// connection is what it takes to ask.
type connection struct {
	objects   dynamic.Interface
	namespace string
	// http and host are for what the dynamic client cannot; nil and "" with a fake.
	http *http.Client
	host string
}

// New asks nothing of anybody yet.
func New(c Config) (*Cluster, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Cluster{c: c, short: time.Second}, nil
}

// Configured reports whether somebody said where the cluster is, or this
// process runs in one. It does not ask whether the cluster answers.
func (c *Cluster) Configured() bool {
	_, err := c.connect()
	return !errors.Is(err, ErrNoCluster)
}

// Namespace is where objects go that name none.
func (c *Cluster) Namespace() (string, error) {
	to, err := c.connect()
	if err != nil {
		return "", err
	}
	return to.namespace, nil
}

// connect reads the configuration at the first call that finds one.
func (c *Cluster) connect() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to != nil {
		return c.to, nil
	}
	to, err := c.open()
	if err != nil {
		return nil, err
	}
	if c.c.Namespace != "" {
		to.namespace = c.c.Namespace
	}
	if to.namespace == "" {
		to.namespace = "default"
	}
	c.to = to
	return to, nil
}

func (c *Cluster) open() (*connection, error) {
	if c.c.Client != nil {
		return &connection{objects: c.c.Client}, nil
	}
	cfg, namespace, err := c.settings()
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = c.c.Agent
	cfg.QPS = -1 // the API server has limits of its own
	cfg.WarningHandlerWithContext = warnings{c.c.Log}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	host := cfg.Host
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	return &connection{objects: objects, namespace: namespace, http: client, host: strings.TrimSuffix(host, "/")}, nil
}

// settings are those of the kubeconfig, else of the pod.
func (c *Cluster) settings() (*rest.Config, string, error) {
	if c.c.Kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) || errors.Is(err, os.ErrNotExist) {
			return nil, "", fmt.Errorf("%w: --kubeconfig names none, and this process runs in no pod with the token of a service account", ErrNoCluster)
		}
		if err != nil {
			return nil, "", fmt.Errorf("the pod's service account: %w", err)
		}
		namespace, _ := os.ReadFile(namespaceFile)
		return cfg, strings.TrimSpace(string(namespace)), nil
	}
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.c.Kubeconfig}, &clientcmd.ConfigOverrides{})
	cfg, err := loaded.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("--kubeconfig %s: %w", c.c.Kubeconfig, err)
	}
	namespace, _, err := loaded.Namespace()
	return cfg, namespace, err
}

// warnings are what the API server has to say about requests it took.
type warnings struct{ log *slog.Logger }

func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code == 299 && text != "" {
		w.log.Debug("the Kubernetes API server warns", "warning", text)
	}
}
