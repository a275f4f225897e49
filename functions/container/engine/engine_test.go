package engine

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// daemon answers like an engine, on a socket; the handlers are by method and path below the version.
func daemon(t *testing.T, version string, routes map[string]http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", version)
		path, _ := strings.CutPrefix(r.URL.Path, "/v"+version)
		if h := routes[r.Method+" "+path]; h != nil {
			h(w, r)
			return
		}
		if path == "/_ping" {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"message": "no such thing"}`))
	}))
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	c := New("unix://" + socket)
	t.Cleanup(func() { c.Close() })
	return c
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestAContainerGetsNoRightsAndItsLimits(t *testing.T) {
	var got struct {
		Image, User     string
		Env, Entrypoint []string
		ExposedPorts    map[string]any
		HostConfig      struct {
			ReadonlyRootfs, Privileged              bool
			CapDrop, SecurityOpt, Binds             []string
			Tmpfs                                   map[string]string
			Memory, MemorySwap, NanoCpus, PidsLimit int64
			PortBindings                            map[string][]struct{ HostIp, HostPort string }
		}
	}
	c := daemon(t, "1.41", map[string]http.HandlerFunc{"POST /containers/create": func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		answers(http.StatusCreated, `{"Id": "abc"}`)(w, r)
	}})
	id, err := c.Create(t.Context(), &Spec{
		Name: "n", Image: "thumbs:1", Container: resource.Container{Port: 9000, MemoryMB: 64, CPUs: "0.5", Pids: 20, User: "65532", Command: []string{"/fn"}},
		Env: []string{"A=b"}, Files: []Bind{{Source: "/here/0", Target: "/etc/app/key"}, {Source: "/here/1", Target: "/out", Writable: true}}, Publish: true,
	})
	if err != nil || id != "abc" {
		t.Fatalf("got %q, %v", id, err)
	}
	h := got.HostConfig
	if !h.ReadonlyRootfs || h.Privileged || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Equal(h.SecurityOpt, []string{"no-new-privileges"}) || h.Tmpfs["/tmp"] == "" {
		t.Errorf("its rights are %+v", h)
	}
	if h.Memory != 64<<20 || h.MemorySwap != h.Memory || h.NanoCpus != 5e8 || h.PidsLimit != 20 {
		t.Errorf("its limits are %+v", h)
	}
	if b := h.PortBindings["9000/tcp"]; len(b) != 1 || b[0].HostIp != "127.0.0.1" || b[0].HostPort != "" || got.ExposedPorts["9000/tcp"] == nil {
		t.Errorf("its port is bound to %+v", h.PortBindings)
	}
	if !slices.Equal(h.Binds, []string{"/here/0:/etc/app/key:ro,Z", "/here/1:/out:rw,Z"}) || got.User != "65532" || !slices.Equal(got.Entrypoint, []string{"/fn"}) || !slices.Equal(got.Env, []string{"A=b"}) {
		t.Errorf("got %+v", got)
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	c := daemon(t, "1.41", map[string]http.HandlerFunc{
		"POST /containers/create":     answers(http.StatusConflict, `{"message": "the name is in use"}`),
		"POST /containers/gone/start": answers(http.StatusNotFound, `{"message": "no such container"}`),
	})
	if _, err := c.Create(t.Context(), &Spec{Name: "n", Image: "a"}); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := c.Start(t.Context(), "gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a container that is gone: %v", err)
	}
	if err := c.Remove(t.Context(), "gone"); err != nil {
		t.Errorf("removing a container that is gone: %v", err)
	}
	if err := c.Pull(t.Context(), "none:1", resource.PullNever); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "pull is never") {
		t.Errorf("an image that is not there: %v", err)
	}
	if err := New("unix://"+filepath.Join(t.TempDir(), "none")).Start(t.Context(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no engine: %v", err)
	}
}

func TestAnEngineThatIsTooOldIsRefused(t *testing.T) {
	err := daemon(t, "1.40", nil).Connect(t.Context())
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "want at least 1.41") {
		t.Errorf("got %v", err)
	}
}

func TestAnEngineThatWasAwayIsFoundAgain(t *testing.T) {
	c := daemon(t, "1.41", map[string]http.HandlerFunc{"POST /containers/a/start": answers(http.StatusNoContent, "")})
	if err := c.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	socket := c.docker.DaemonHost()
	c.mu.Unlock()
	c.forget()
	if c.Host() != socket {
		t.Errorf("asked for %s, and is %s", socket, c.Host())
	}
	if err := c.Start(t.Context(), "a"); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestAnEngineIsLookedForWhereDockerHostSays(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/s")
	if err := New("").Connect(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "/nowhere/s") {
		t.Errorf("got %v", err)
	}
}

func TestOutputIsLinesOfTwoStreams(t *testing.T) {
	frame := func(stream byte, text string) string {
		return string([]byte{stream, 0, 0, 0, 0, 0, 0, byte(len(text))}) + text
	}
	var since string
	c := daemon(t, "1.41", map[string]http.HandlerFunc{"GET /containers/a/logs": func(w http.ResponseWriter, r *http.Request) {
		since = r.URL.Query().Get("since")
		_, _ = w.Write([]byte(frame(1, "one\ntw") + frame(2, "bad\n") + frame(1, "o\nrest")))
	}})
	var got []string
	err := c.Logs(t.Context(), "a", time.Unix(7, 5), func(stream, line string) { got = append(got, stream+" "+line) })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stdout one", "stderr bad", "stdout two", "stdout rest"}; !slices.Equal(got, want) {
		t.Errorf("got %q: want %q", got, want)
	}
	if since != "7.000000005" {
		t.Errorf("asked for what came since %s", since)
	}
}

func TestTheEndOfAContainerSaysWhy(t *testing.T) {
	for _, c := range []struct {
		exit Exit
		want string
	}{
		{Exit{Code: 137, OOM: true}, "ran out of memory (limit 64 MB, exit code 137)"},
		{Exit{Code: 137}, "by somebody or since it ran out of memory (limit 64 MB, exit code 137)"},
		{Exit{Code: 127, Error: "no such file"}, "exit code 127: no such file"},
		{Exit{Code: 3}, "exit code 3"},
	} {
		if got := c.exit.Reason(64); !strings.HasSuffix(got, c.want) {
			t.Errorf("%+v is %q: want %q", c.exit, got, c.want)
		}
	}
}

func TestWaitReturnsHowAContainerEnded(t *testing.T) {
	c := daemon(t, "1.41", map[string]http.HandlerFunc{
		"POST /containers/a/wait": answers(http.StatusOK, `{"StatusCode": 137}`),
		"GET /containers/a/json":  answers(http.StatusOK, `{"Id": "a", "State": {"ExitCode": 137, "OOMKilled": true}}`),
	})
	if exit, err := c.Wait(t.Context(), "a"); err != nil || !exit.OOM || exit.Code != 137 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// Podman looks without a pause between two looks when Docker's API is used.
func TestTheEndOfAContainerOfPodmanIsWaitedForInItsOwnAPI(t *testing.T) {
	podman := func(routes map[string]http.HandlerFunc) *Client {
		routes["HEAD /_ping"] = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Libpod-Api-Version", "4.3.1") }
		routes["POST /containers/a/wait"] = func(http.ResponseWriter, *http.Request) { t.Error("Docker's API was used") }
		return daemon(t, "1.41", routes)
	}
	const path = "POST /v4.0.0/libpod/containers/a/wait"
	for name, test := range map[string]struct {
		wait, inspect http.HandlerFunc
		want          Exit
		fault         error
	}{
		"that ended": {
			wait:    answers(http.StatusOK, "3\n"),
			inspect: answers(http.StatusOK, `{"Id": "a", "State": {"ExitCode": 3, "Error": "why"}}`), want: Exit{Code: 3, Error: "why"},
		},
		"that ended and was removed":    {wait: answers(http.StatusOK, "3\n"), want: Exit{Code: 3}},
		"that was removed while it ran": {wait: answers(http.StatusOK, "137\n"), fault: ErrNotFound},
		"that is not there":             {wait: answers(http.StatusNotFound, `{"cause": "no such container"}`), fault: ErrNotFound},
		"whose engine goes away":        {wait: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault: ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			routes := map[string]http.HandlerFunc{path: test.wait}
			if test.inspect != nil {
				routes["GET /containers/a/json"] = test.inspect
			}
			exit, err := podman(routes).Wait(t.Context(), "a")
			if exit != test.want || !errors.Is(err, test.fault) {
				t.Errorf("got %+v, %v: want %+v, %v", exit, err, test.want, test.fault)
			}
		})
	}
	t.Run("with a pause between two looks", func(t *testing.T) {
		var query string
		c := podman(map[string]http.HandlerFunc{path: func(w http.ResponseWriter, r *http.Request) {
			query = r.URL.RawQuery
			answers(http.StatusOK, "0")(w, r)
		}})
		if _, err := c.Wait(t.Context(), "a"); err != nil || !strings.Contains(query, "interval=250ms") {
			t.Errorf("asked %q: %v", query, err)
		}
	})
}
