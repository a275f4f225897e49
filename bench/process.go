package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement or beside it.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  *os.File
}

// startProcess starts a program; when firstLine is set, its first line of
// output is its address.
func startProcess(ctx context.Context, firstLine bool, name string, args ...string) (*process, error) {
	log, err := os.CreateTemp("", "bench-*.log")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	p := &process{cmd: cmd, log: log}
	if !firstLine {
		cmd.Stdout = log
		return p, cmd.Start()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s %v said nothing: %w (log: %s)", name, args, err, log.Name())
	}
	p.addr = strings.TrimSpace(line)
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait() // how it ended does not matter here
	_ = p.log.Close()
	_ = os.Remove(p.log.Name())
}

// clockTicks is the unit of CPU time in /proc (sysconf(_SC_CLK_TCK)).
const clockTicks = 100

// cpu is the user and system time the process has used.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err1, err2)
}

// rss is the resident memory in bytes: the process's own and pages of the
// binary, which the kernel can drop and shares with others who run it.
func (p *process) rss() (int64, error) { return p.status("VmRSS:") }

// anon is the part of rss that is the process's own: heap, stacks, changed data.
func (p *process) anon() (int64, error) { return p.status("RssAnon:") }

// status is a size of /proc/PID/status in bytes.
func (p *process) status(field string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", field)
}

// awaitHTTP polls url until it answers below 400.
func awaitHTTP(ctx context.Context, url string, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode < 400 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready within %s", url, bound)
		}
	}
}
