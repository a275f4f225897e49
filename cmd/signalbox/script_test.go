package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signalbox-dev/signalbox/app"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"signalbox": main})
}

// TestScripts runs the transcripts of testdata/script, each against a server
// of its own with everything embedded, and with two functions to call:
//
//	$REGISTRY          a registry of images, as host:port
//	$SIGNALBOX_SERVER  the server; with a file root-key it needs credentials
//	$FUNCTIONS         answers by the path: /ok, /refuse (400), /fail (500),
//	                   /picky (400 unless the data holds "ok"), /reply/TYPE (an event)
//
// Variables in the transcript's YAML files are filled in. Beside testscript's
// own there are the commands
//
//	exits CODE COMMAND…  wants just that exit code, and one line on stderr unless it is 0
//	shows FILE           compares what was printed with a file, up to what differs from run to run
//	await FILE TEXT      waits until a file holds a text
//	awaits COMMAND TEXT  repeats a command until it prints what matches a pattern
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(env *testscript.Env) error { return setup(t, env) },
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "shows": shows, "await": awaitFile, "awaits": awaitCommand},
	})
}

func setup(t *testing.T, env *testscript.Env) error {
	addr, stop, err := startServer(env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := stop(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	functions := httptest.NewServer(http.HandlerFunc(answer))
	env.Defer(functions.Close)
	env.Setenv("SIGNALBOX_SERVER", "http://"+addr)
	env.Setenv("FUNCTIONS", functions.URL)
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	env.Defer(images.Close)
	env.Setenv("REGISTRY", strings.TrimPrefix(images.URL, "http://"))
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // else everything is built again
		env.Setenv(name, goEnv(name))
	}
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second under the race detector
	return filepath.WalkDir(env.WorkDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(os.Expand(string(b), env.Getenv)), 0o600)
	})
}

// startServer runs everything in this process; stop ends it.
func startServer(dir string) (addr string, stop func() error, err error) {
	opts := app.DefaultOptions()
	opts.HTTP, opts.KafkaListen, opts.RedisListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	opts.Data, opts.InstanceID, opts.DrainTimeout = filepath.Join(dir, ".signalbox"), "script", time.Second
	if key := filepath.Join(dir, "root-key"); exists(key) {
		opts.Auth, opts.RootKeyFile = app.AuthRequired, key
	}
	ready := make(chan app.Addresses, 1)
	a, err := app.New(opts, app.Hooks{Ready: func(where app.Addresses) { ready <- where }})
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = func() error { cancel(); return <-done }
	select {
	case where := <-ready:
		return where.HTTP, stop, nil
	case err := <-done:
		cancel()
		return "", nil, fmt.Errorf("the server ended before it was ready: %w", err)
	}
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output() // without Go the transcript says so
	return strings.TrimSpace(string(out))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// answer is what the functions of the transcripts do.
func answer(w http.ResponseWriter, r *http.Request) {
	reply, isReply := strings.CutPrefix(r.URL.Path, "/reply/")
	switch {
	case isReply:
		for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "any", "ce-source": "/functions", "ce-type": reply} {
			w.Header().Set(name, value)
		}
	case r.URL.Path == "/refuse":
		http.Error(w, "not my kind of event", http.StatusBadRequest)
	case r.URL.Path == "/picky":
		if b, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(b), `"ok"`) {
			http.Error(w, "that is not ok", http.StatusBadRequest)
		}
	case r.URL.Path == "/fail":
		http.Error(w, "out of order", http.StatusInternalServerError)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if errOut := ts.ReadFile("stderr"); code != 0 && (!strings.HasPrefix(errOut, "signalbox: ") || strings.Count(errOut, "\n") != 1) {
		ts.Fatalf("want one line on stderr, got:\n%s", errOut)
	}
}

// masks replace what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://HOST"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`), "TIME"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "ID"},
	{regexp.MustCompile(`\b[a-z2-7]{32}\b`), "REPLYID"},
	{regexp.MustCompile(`[ -]\d+\.\d+( ms)?\b`), " N"},
	{regexp.MustCompile(`\b\d+:\d+\b`), "P:O"},
	{regexp.MustCompile(`\b\d+-\d+-[0-9a-f]{16}\b`), "LETTER"},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "}, // columns are as wide as what stands in them
	{regexp.MustCompile(`(?m) +$`), ""},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.by)
	}
	return s
}

func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shows FILE")
	}
	got, want := masked(ts.ReadFile("stdout")), masked(ts.ReadFile(args[0]))
	if got != want {
		ts.Fatalf("it shows\n%s\nwant\n%s", got, want)
	}
}

func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(b), args[1]) {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			ts.Fatalf("%s never held %q:\n%s", args[0], args[1], b)
		}
	}
}

func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits COMMAND PATTERN")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	command := strings.Fields(args[0])
	out := ""
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		ts.Check(ts.Exec(command[0], command[1:]...))
		if out = masked(ts.ReadFile("stdout")); want.MatchString(out) {
			return
		}
	}
	ts.Fatalf("%s never printed %q:\n%s", args[0], args[1], out)
}
