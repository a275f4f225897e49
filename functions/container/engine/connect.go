package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// MinVersion is the oldest version of the API that will do.
const MinVersion = "1.41"

// pingTimeout bounds the first question to an engine.
const pingTimeout = 5 * time.Second

// Client talks to one engine. All methods are safe for concurrent use.
type Client struct {
	host string

	mu     sync.Mutex
	docker *client.Client
	// podman says that docker is Podman.
	podman bool
}

// New makes a client of the engine at host, such as unix:///run/docker.sock; ""
// is what DOCKER_HOST says, else the first of the usual sockets that answers.
// Nothing is dialled before the first call.
func New(host string) *Client { return &Client{host: host} }

// Host is the engine's address; while there is none, what was asked for.
func (c *Client) Host() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docker != nil {
		return c.docker.DaemonHost()
	}
	return c.host
}

// Connect sees to it that an engine answers; the error wraps ErrUnavailable.
func (c *Client) Connect(ctx context.Context) error {
	_, err := c.engine(ctx)
	return err
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.forget()
	return nil
}

// hosts are the addresses to try, in order.
func (c *Client) hosts() []string {
	if c.host != "" {
		return []string{c.host}
	}
	if h := os.Getenv(client.EnvOverrideHost); h != "" {
		return []string{h}
	}
	sockets := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		sockets = append(sockets, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman/podman.sock"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		sockets = append(sockets, filepath.Join(home, ".docker/run/docker.sock"))
	}
	var there []string
	for _, s := range sockets {
		if _, err := os.Stat(s); err == nil {
			there = append(there, "unix://"+s)
		}
	}
	return there
}

// engine returns the connected library, connected now if need be.
func (c *Client) engine(ctx context.Context) (*client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docker != nil {
		return c.docker, nil
	}
	hosts := c.hosts()
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%w: DOCKER_HOST is not set, and there is no socket of Docker or Podman at the usual places", ErrUnavailable)
	}
	var faults []error
	for _, host := range hosts {
		docker, podman, err := connect(ctx, host)
		if err == nil {
			c.docker, c.podman = docker, podman
			return docker, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(faults...))
}

func (c *Client) isPodman() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.podman
}

// connect asks the engine at host whether it will do, and whether it is Podman.
func connect(ctx context.Context, host string) (docker *client.Client, podman bool, err error) {
	if path, ok := strings.CutPrefix(host, "/"); ok { // a bare path is a socket
		host = "unix:///" + path
	}
	var libpod atomic.Bool // hooks are called at any time
	docker, err = client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithUserAgent("signalbox"),
		client.WithHTTPResponseHook(func(r *http.Response) {
			if r.Header.Get("Libpod-Api-Version") != "" {
				libpod.Store(true)
			}
		}))
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := docker.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, false, err // names the host
	}
	if v := docker.ClientVersion(); versions.LessThan(v, MinVersion) {
		return nil, false, fmt.Errorf("%s speaks version %s of the API: want at least %s", host, v, MinVersion)
	}
	return docker, libpod.Load(), nil
}

// forget drops the connection, so that the next call looks for the engine anew.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docker != nil {
		_ = c.docker.Close() // closes idle connections; those in use end by themselves
		c.docker = nil
	}
}
