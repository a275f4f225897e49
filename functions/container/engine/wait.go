package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Wait returns how a container ended, once it has. An engine that goes away
// meanwhile wraps ErrUnavailable: the container may run on. One that is gone wraps ErrNotFound.
func (c *Client) Wait(ctx context.Context, id string) (Exit, error) {
	docker, err := c.engine(ctx)
	if err != nil {
		return Exit{}, err
	}
	var exit Exit
	if c.isPodman() {
		exit, err = waitPodman(ctx, docker, id)
	} else {
		exit, err = waitDocker(ctx, docker, id)
	}
	if err != nil {
		return Exit{}, c.fault(ctx, "waiting for container "+short(id), err)
	}
	info, err := c.Inspect(ctx, id) // knows whether it was for want of memory
	switch {
	case err == nil:
		return info.Exit, nil
	case errors.Is(err, ErrNotFound) && exit.Code == Killed:
		return Exit{}, err // removed while it ran
	}
	return exit, nil
}

func waitDocker(ctx context.Context, docker *client.Client, id string) (Exit, error) {
	ctx, cancel := context.WithCancel(ctx) // the library's goroutine ends with it
	defer cancel()
	w := docker.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case r := <-w.Result:
		exit := Exit{Code: int(r.StatusCode)}
		if r.Error != nil {
			exit.Error = r.Error.Message
		}
		return exit, nil
	case err := <-w.Error:
		return Exit{}, err
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// podmanWait is how Podman is asked for the end of a container: in its own API, since behind
// Docker's it looks without a pause between two looks, which takes half a processor for each
// container that is waited for.
const podmanWait = "/v4.0.0/libpod/containers/%s/wait?condition=stopped&condition=exited&interval=250ms"

func waitPodman(ctx context.Context, docker *client.Client, id string) (Exit, error) {
	dial := docker.Dialer()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://podman"+fmt.Sprintf(podmanWait, url.PathEscape(id)), nil)
	if err != nil {
		return Exit{}, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return Exit{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	switch {
	case err != nil:
		return Exit{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case resp.StatusCode == http.StatusNotFound:
		return Exit{}, ErrNotFound
	case resp.StatusCode != http.StatusOK:
		return Exit{}, fmt.Errorf("podman answers %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	var exit Exit
	if _, err := fmt.Sscan(string(body), &exit.Code); err != nil {
		return Exit{}, fmt.Errorf("podman answers %q: %w", body, err)
	}
	return exit, nil
}
