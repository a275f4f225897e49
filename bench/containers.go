package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// engine is podman's API with an image of the sink in it.
type engine struct {
	*client.Client
	socket, image string
}

// startEngine starts podman beside the other parts and gives it the image.
func (cfg config) startEngine(ctx context.Context) (*engine, error) {
	p, err := upParts(ctx, cfg.parts, "podman-api")
	if err != nil {
		return nil, err
	}
	e := &engine{socket: p["PODMAN_SOCKET"], image: "localhost/bench-sink:1"}
	if e.Client, err = client.New(client.WithHost("unix://" + e.socket)); err != nil {
		return nil, err
	}
	layer, err := sinkLayer(ctx)
	if err != nil {
		return nil, err
	}
	load := exec.CommandContext(ctx, "podman", "import", "-c", `ENTRYPOINT ["/fn", "sink", "-listen", ":8080"]`, "-c", "USER 65532", "-", e.image)
	load.Env = os.Environ()
	for _, key := range []string{"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF"} {
		load.Env = append(load.Env, key+"="+p[key])
	}
	load.Stdin = layer
	if out, err := load.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("podman import: %w: %s", err, out)
	}
	return e, nil
}

// sinkLayer is this program as the only file of a root filesystem.
func sinkLayer(ctx context.Context) (io.Reader, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "fn"), "github.com/signalbox-dev/signalbox/bench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "fn"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "fn", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return &b, w.Close()
}

// run starts a container of the sink that nobody but us knows, and says where it is.
func (e *engine) run(ctx context.Context) (addr string, stop func(), err error) {
	port := network.MustParsePort("8080/tcp")
	made, err := e.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: e.image, ExposedPorts: network.PortSet{port: {}}},
		HostConfig: &container.HostConfig{
			PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1")}}},
			Resources:    container.Resources{Memory: 256 << 20, NanoCPUs: 1e9},
		},
	})
	if err != nil {
		return "", nil, err
	}
	stop = func() {
		_, _ = e.ContainerRemove(context.WithoutCancel(ctx), made.ID, client.ContainerRemoveOptions{Force: true}) // the part removes what is left
	}
	if _, err = e.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return "", stop, err
	}
	info, err := e.ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	if err != nil {
		return "", stop, err
	}
	addr = "127.0.0.1:" + info.Container.NetworkSettings.Ports[port][0].HostPort
	return addr, stop, awaitHTTP(ctx, "http://"+addr+"/report", 20*time.Second)
}

// startContained starts Signalbox with one function: the sink, in a container that is
// called by its URL, or in one that Signalbox looks after. direct is its URL, scale the
// fields of the container that say how many run.
func (e *engine) startContained(ctx context.Context, cfg config, s setup, p parts, direct, scale string) (*system, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	addr, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	name := "bench" + strconv.FormatInt(time.Now().UnixNano(), 36)
	args := append(s.args(name, addr, dir, p), "--docker-host", "unix://"+e.socket)
	sys := &system{dir: dir, name: name}
	if cfg.profiles != "" {
		if sys.pprof, err = freeport.Addr(); err != nil {
			return nil, err
		}
		args = append(args, "--pprof", sys.pprof)
	}
	if sys.process, err = startProcess(ctx, false, cfg.binary, args...); err != nil {
		return nil, err
	}
	sys.addr = addr
	if err := awaitHTTP(ctx, "http://"+addr+"/readyz", time.Minute); err != nil {
		return nil, fmt.Errorf("%w (log: %s)", err, sys.log.Name())
	}
	spec := fmt.Sprintf(`{"url":"http://%s/0","on":[%q]}`, direct, benchType)
	sys.sink = &process{addr: direct}
	if direct == "" {
		spec = fmt.Sprintf(`{"image":%q,"on":[%q],"container":{"health":"/report",%s}}`, e.image, benchType, scale)
		sys.sink.addr = addr + "/function/f0"
	}
	return sys, postManifests(ctx, addr, `{"apiVersion":"signalbox.dev/v1","kind":"Function","metadata":{"name":"f0"},"spec":`+spec+`}`)
}

func (s *system) stopContained() {
	s.process.stop()
	_ = os.RemoveAll(s.dir)
}

// contained measures Signalbox with a function in a container: CPU in a closed
// loop, then latencies in an open one.
func (e *engine) contained(cfg config) func(context.Context, setup, parts) (sample, error) {
	return func(ctx context.Context, s setup, p parts) (out sample, err error) {
		direct := ""
		if s.apart == "direct" {
			addr, stop, err := e.run(ctx)
			if stop != nil {
				defer stop()
			}
			if err != nil {
				return out, err
			}
			direct = addr
		}
		sys, err := e.startContained(ctx, cfg, s, p, direct, `"minReplicas":1`)
		if err != nil {
			return out, err
		}
		defer sys.stopContained()
		l := newLoad(sys.addr, benchType)
		if err := cfg.warm(ctx, s, sys, l); err != nil {
			return out, err
		}
		if err := cfg.saturate(ctx, s, sys, l, &out); err != nil {
			return out, err
		}
		all := func(n int64, r sinkReport) bool { return r.Deliveries >= n }
		return out, cfg.latency(ctx, sys, l, 200, all, &out)
	}
}

// fromZero measures the time from an event for a function without a container to the
// end of its delivery, so many times, in milliseconds.
func (e *engine) fromZero(ctx context.Context, cfg config, p parts, times int) (ms []float64, err error) {
	sys, err := e.startContained(ctx, cfg, setup{embedded: true}, p, "", `"idleAfter":"1s"`)
	if err != nil {
		return nil, err
	}
	defer sys.stopContained()
	l := newLoad(sys.addr, benchType)
	for n := range times {
		if err := poll(ctx, "no container", func() (bool, error) {
			list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "signalbox.dev/function=f0")})
			return len(list.Items) == 0, err
		}); err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := l.open(ctx, 1000, time.Millisecond); err != nil {
			return nil, err
		}
		var end time.Time
		if err := poll(ctx, "a delivery", func() (bool, error) {
			done, err := sys.delivered(ctx)
			if len(done) > n {
				end = slices.MaxFunc(done, time.Time.Compare)
			}
			return len(done) > n, err
		}); err != nil {
			return nil, err
		}
		ms = append(ms, float64(end.Sub(begin).Microseconds())/1000)
	}
	slices.Sort(ms)
	return ms, nil
}

// delivered are the ends of the runs that succeeded.
func (s *system) delivered(ctx context.Context) (ends []time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/api/v1/runs?function=f0&limit=1000", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var page struct {
		Items []struct {
			Outcome    string
			Attempt    int
			Time       time.Time
			DurationMS float64
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return nil, err
	}
	for _, r := range page.Items {
		if r.Outcome == "delivered" {
			ends = append(ends, r.Time.Add(time.Duration(r.DurationMS*float64(time.Millisecond))))
		}
	}
	return ends, nil
}

// poll asks until what is so.
func poll(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := is()
		if err != nil || yes {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited 30s for %s", what)
		}
	}
}

func (cfg config) writeContainers(ctx context.Context, p parts, b *strings.Builder) error {
	e, err := cfg.startEngine(ctx)
	if err != nil {
		return err
	}
	rows, err := cfg.each(ctx, p, []setup{
		{name: "container called by its URL", fanout: 1, sample: 0.01, apart: "direct"},
		{name: "container that Signalbox runs", fanout: 1, sample: 0.01},
	}, e.contained(cfg))
	if err != nil {
		return err
	}
	b.WriteString("\n## Containers\n\nOne function in a container of Podman with one CPU. CPU is that of Signalbox, in a closed loop; latencies at 200 events/s, from the intended send time to the function.\n\n")
	b.WriteString("| function | CPU us per delivery | x first row | deliveries/s | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- | --- |\n")
	_, first := rows[0].of(cpuOf)
	for _, r := range rows {
		low, med := r.of(cpuOf)
		_, rate := r.of(rateOf)
		l50, m50 := r.of(p50Of)
		l99, m99 := r.of(p99Of)
		fmt.Fprintf(b, "| %s | %.1f (%.1f) | %.2f | %.0f | %.2f (%.2f) | %.2f (%.2f) |\n", r.setup.name, med, low, med/first, rate, m50, l50, m99, l99)
	}
	ms, err := e.fromZero(ctx, cfg, p, cfg.starts)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "from zero: %v ms\n", ms)
	fmt.Fprintf(b, "\nFrom zero: first event to the end of its delivery, the container started for it, %d times: median %.0f ms (%.0f to %.0f).\n", len(ms), ms[len(ms)/2], ms[0], ms[len(ms)-1])
	return nil
}
