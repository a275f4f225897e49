package verify

import (
	"context"
	"io"
	"os/exec"
	"sync/atomic"
	"time"
)

// killer runs the user's command at intervals, one at a time.
type killer struct {
	command string
	every   time.Duration
	output  io.Writer

	ran, failed atomic.Int64
}

// run goes on until ctx ends; a command that is under way then is let finish,
// unless hard ends too: it may be the one that starts the deployment again.
func (k *killer) run(ctx, hard context.Context) {
	if k.command == "" {
		return
	}
	t := time.NewTicker(k.every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
		cmd := exec.CommandContext(hard, "sh", "-c", k.command)
		cmd.Stdout, cmd.Stderr = k.output, k.output
		cmd.WaitDelay = 5 * time.Second // a child that outlives the shell keeps the output open
		k.ran.Add(1)
		if err := cmd.Run(); err != nil {
			k.failed.Add(1)
		}
	}
}

func (k *killer) counts() (ran, failed int) { return int(k.ran.Load()), int(k.failed.Load()) }
