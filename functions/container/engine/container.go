package engine

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/resource"
)

// Spec is a container to be made. It never gets more rights than it says: all
// capabilities are dropped, and none can be gained.
type Spec struct {
	Name, Image string
	// Container bounds the container; its defaults are filled in.
	Container resource.Container
	// Env are "name=value".
	Env []string
	// Files are mounted read-only, unless they say something else.
	Files []Bind
	// Labels find the container again.
	Labels map[string]string
	// Publish makes Container.Port reachable at a free port of this machine's loopback.
	Publish bool
}

// Bind is a file of this machine at a path of the container.
type Bind struct {
	Source, Target string
	// Writable lets the container write to the file.
	Writable bool
}

// Info is a container as the engine sees it.
type Info struct {
	ID, Name string
	Labels   map[string]string
	// Created is a zero time where the engine did not say.
	Created time.Time
	Running bool
	// Port is where a published port is on loopback; 0 while it is nowhere.
	Port int
	Exit Exit
}

// Exit is how a container ended.
type Exit struct {
	Code int
	// OOM: the kernel ended it for want of memory. Podman does not always say so.
	OOM bool
	// Error is what the engine says, such as that there is no such program.
	Error string
}

// Killed is the exit code of what was ended by SIGKILL.
const Killed = 137

// Reason says how a container with so much memory ended.
func (e Exit) Reason(memoryMB int) string {
	switch {
	case e.OOM:
		return fmt.Sprintf("the container ran out of memory (limit %d MB, exit code %d)", memoryMB, e.Code)
	case e.Code == Killed:
		return fmt.Sprintf("the container was killed, by somebody or since it ran out of memory (limit %d MB, exit code %d)", memoryMB, e.Code)
	case e.Error != "":
		return fmt.Sprintf("the container ended with exit code %d: %s", e.Code, e.Error)
	}
	return fmt.Sprintf("the container ended with exit code %d", e.Code)
}

// logSize bounds what the engine keeps of a container's output, which is read as it is written.
var logSize = map[string]string{"max-size": "8m"}

// Create makes a container and returns its id; nothing runs yet. A name that is
// taken wraps ErrExists, an image that is not there ErrNotFound.
func (c *Client) Create(ctx context.Context, s *Spec) (string, error) {
	docker, err := c.engine(ctx)
	if err != nil {
		return "", err
	}
	limits := s.Container.WithDefaults()
	cpus, err := strconv.ParseFloat(limits.CPUs, 64)
	if err != nil {
		return "", fmt.Errorf("container %s: cpus: %w", s.Name, err)
	}
	pids := int64(limits.Pids)
	config := &container.Config{
		Image: s.Image, Entrypoint: limits.Command, Cmd: limits.Args, Env: s.Env, User: limits.User, Labels: s.Labels,
	}
	host := &container.HostConfig{
		ReadonlyRootfs: !limits.Writable,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		Tmpfs:          map[string]string{"/tmp": fmt.Sprintf("rw,nosuid,nodev,mode=1777,size=%dm", max(1, limits.MemoryMB/2))},
		LogConfig:      container.LogConfig{Type: "json-file", Config: logSize},
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Resources: container.Resources{
			Memory: int64(limits.MemoryMB) << 20, MemorySwap: int64(limits.MemoryMB) << 20,
			NanoCPUs: int64(math.Round(cpus * 1e9)), PidsLimit: &pids,
		},
	}
	for _, f := range s.Files {
		mode := ":ro,Z"
		if f.Writable {
			mode = ":rw,Z"
		}
		host.Binds = append(host.Binds, f.Source+":"+f.Target+mode)
	}
	if s.Publish {
		port, _ := network.PortFrom(uint16(limits.Port), network.TCP)
		config.ExposedPorts = network.PortSet{port: struct{}{}}
		host.PortBindings = network.PortMap{port: []network.PortBinding{{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}}
	}
	made, err := docker.ContainerCreate(ctx, client.ContainerCreateOptions{Name: s.Name, Config: config, HostConfig: host})
	return made.ID, c.fault(ctx, "creating container "+s.Name, err)
}

// Start runs a container that was made.
func (c *Client) Start(ctx context.Context, id string) error {
	docker, err := c.engine(ctx)
	if err != nil {
		return err
	}
	_, err = docker.ContainerStart(ctx, id, client.ContainerStartOptions{})
	return c.fault(ctx, "starting container "+short(id), err)
}

// Inspect says how a container is; one that is gone wraps ErrNotFound.
func (c *Client) Inspect(ctx context.Context, id string) (Info, error) {
	docker, err := c.engine(ctx)
	if err != nil {
		return Info{}, err
	}
	r, err := docker.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Info{}, c.fault(ctx, "container "+short(id), err)
	}
	return infoOf(&r.Container), nil
}

func infoOf(r *container.InspectResponse) Info {
	info := Info{ID: r.ID, Name: r.Name}
	info.Created, _ = time.Parse(time.RFC3339Nano, r.Created)
	if r.Config != nil {
		info.Labels = r.Config.Labels
	}
	if s := r.State; s != nil {
		info.Running = s.Running
		info.Exit = Exit{Code: s.ExitCode, OOM: s.OOMKilled, Error: s.Error}
	}
	if r.NetworkSettings != nil {
		for _, bindings := range r.NetworkSettings.Ports {
			for _, b := range bindings {
				if p, err := strconv.Atoi(b.HostPort); err == nil {
					info.Port = p
				}
			}
		}
	}
	return info
}

// List finds containers, running or not, that have all these labels; a label
// without a value asks for the label alone.
func (c *Client) List(ctx context.Context, labels map[string]string) ([]Info, error) {
	docker, err := c.engine(ctx)
	if err != nil {
		return nil, err
	}
	filters := client.Filters{}
	for k, v := range labels {
		if v != "" {
			k += "=" + v
		}
		filters.Add("label", k)
	}
	r, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, c.fault(ctx, "listing containers", err)
	}
	out := make([]Info, len(r.Items))
	for i, s := range r.Items {
		out[i] = Info{ID: s.ID, Labels: s.Labels, Created: time.Unix(s.Created, 0), Running: s.State == container.StateRunning}
		if len(s.Names) > 0 {
			out[i].Name = s.Names[0]
		}
	}
	return out, nil
}

// Stop asks a container to end, kills it after grace (whole seconds), and returns when it has ended.
// One that runs no more is no error.
func (c *Client) Stop(ctx context.Context, id string, grace time.Duration) error {
	docker, err := c.engine(ctx)
	if err != nil {
		return err
	}
	seconds := int((grace + time.Second - 1) / time.Second)
	_, err = docker.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds})
	return c.fault(ctx, "stopping container "+short(id), err)
}

// Remove kills a container, if it runs, and removes it with its volumes. One
// that is gone is no error.
func (c *Client) Remove(ctx context.Context, id string) error {
	docker, err := c.engine(ctx)
	if err != nil {
		return err
	}
	_, err = docker.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err = c.fault(ctx, "removing container "+short(id), err); isGone(err) {
		return nil
	}
	return err
}

// idLength is that of an engine's ids.
const idLength = 64

// short is an id as people know it; names stay whole.
func short(id string) string {
	if len(id) == idLength {
		return id[:12]
	}
	return id
}
