package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/functions/child"
)

// Logs calls line with what a container writes, from since on (a zero time is
// the start), until it ends or ctx does; stream is stdout or stderr. It is called from one
// goroutine, and the engine keeps what comes meanwhile.
func (c *Client) Logs(ctx context.Context, id string, since time.Time, line func(stream, line string)) error {
	docker, err := c.engine(ctx)
	if err != nil {
		return err
	}
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true}
	if !since.IsZero() {
		o.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	r, err := docker.ContainerLogs(ctx, id, o)
	if err != nil {
		return c.fault(ctx, "output of container "+short(id), err)
	}
	defer r.Close()
	out := child.NewLines(func(l string) { line("stdout", l) })
	errs := child.NewLines(func(l string) { line("stderr", l) })
	_, err = stdcopy.StdCopy(out, errs, r)
	out.Flush()
	errs.Flush()
	return c.fault(ctx, "output of container "+short(id), err)
}

func isGone(err error) bool { return errors.Is(err, ErrNotFound) }
