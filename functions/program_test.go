//go:build unix

package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

// role is the first argument that makes the test binary one of the programs
// below instead of running tests.
const role = "functions-test-program"

func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != role {
		os.Exit(m.Run())
	}
	programs := map[string]func(args []string){
		"serve": serve, "crash": crash, "deaf": deaf, "stubborn": stubborn, "family": family, "child": runChild, "owner": owner,
		"confide": confide, "recite": recite,
	}
	programs[os.Args[2]](os.Args[3:])
}

// as is the command of a role.
func as(args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{exe, role}, args...)
}

// serve answers what it was started with, and ends when it is told to.
func serve([]string) {
	fmt.Printf("pid %d\n", os.Getpid())
	fmt.Fprint(os.Stderr, "a line without an end")
	http.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		_ = json.NewEncoder(w).Encode(map[string]string{
			"function": os.Getenv("SIGNALBOX_FUNCTION"), "config": os.Getenv("SIGNALBOX_CONFIG"),
			"version": os.Getenv("SIGNALBOX_FUNCTION_VERSION"), "secret": os.Getenv("SIGNALBOX_REDIS"), "own": os.Getenv("OWN"), "dir": dir,
		})
	})
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(4) })
	die(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// confide prints and answers its secrets. A call of /hold is answered after one of /release.
func confide([]string) {
	fmt.Printf("the token is %s!\n", os.Getenv("TOKEN"))
	released := make(chan struct{})
	http.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("TOKEN")) })
	http.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile(filepath.Join(os.Getenv("SIGNALBOX_MOUNTS"), "etc/app/token"))
		fmt.Fprintf(w, "%s %v", b, err)
	})
	http.HandleFunc("/mounts", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("SIGNALBOX_MOUNTS")) })
	http.HandleFunc("/hold", func(w http.ResponseWriter, _ *http.Request) { <-released; fmt.Fprint(w, os.Getenv("TOKEN")) })
	http.HandleFunc("/release", func(http.ResponseWriter, *http.Request) { close(released) })
	die(http.ListenAndServe(os.Getenv("SIGNALBOX_HOST")+":"+os.Getenv("PORT"), nil))
}

// recite answers what the file args[0] held when it was started; "broken" does not run.
func recite(args []string) {
	text, err := os.ReadFile(args[0])
	die(err)
	if string(text) == "broken" {
		die(errors.New("broken"))
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	die(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func crash([]string) {
	fmt.Println("crashing")
	os.Exit(3)
}

// deaf never listens.
func deaf([]string) { select {} }

// stubborn does not end when it is asked to.
func stubborn(args []string) {
	signal.Ignore(syscall.SIGTERM)
	serve(args)
}

// family starts a child of its own, as `go run` does, which holds a connection
// to args[0]; so does family itself.
func family(args []string) {
	cmd := exec.Command(os.Args[0], role, "child", args[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	die(cmd.Start())
	c, err := net.Dial("tcp", args[0])
	die(err)
	defer c.Close()
	serve(nil)
}

func runChild(args []string) {
	c, err := net.Dial("tcp", args[0])
	die(err)
	_, _ = io.Copy(io.Discard, c)
	select {}
}

// owner is a Signalbox that runs a family, to be killed; args[1] is for mounts.
func owner(args []string) {
	c := DefaultConfig()
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	c.MountsDir = args[1]
	r, err := New(c)
	die(err)
	fn := command("family", as("family", args[0])...)
	fn.Spec.Mounts = []resource.Mount{{Path: "/token", Value: "s3cret"}}
	set := resource.Set{Functions: []*resource.Function{fn}}
	go func() {
		die(r.Reconcile(context.Background(), set))
		_, err := r.WaitReady(context.Background(), "family", "")
		die(err)
		fmt.Println("ready")
	}()
	die(r.Run(context.Background()))
}

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is a function with a command.
func command(name string, args ...string) *resource.Function {
	return &resource.Function{Metadata: resource.Metadata{Name: name}, Spec: resource.FunctionSpec{Command: args}}
}

// alive tells whether the process exists and is no zombie.
func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return false
	}
	return syscall.Kill(n, 0) == nil
}
