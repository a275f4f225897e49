package scripts

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

// secret is a settings.Lookup.
func (r *rig) secret(name string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.secrets[name]; ok {
		return []byte(v), nil
	}
	return nil, errors.New("secret " + name + ": no such secret")
}

func (r *rig) setSecret(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[name] = value
}

// confidant is a function of scripts that gets a secret as a variable and as a file.
func (r *rig) confidant(runtime string, files ...string) *resource.Function {
	fn := r.function(runtime, nil, files...)
	r.host.Reconcile(nil, nil) // it had no settings
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "shop-token"}}
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/app/token", Secret: "shop-token"}}
	r.host.Reconcile([]*resource.Function{fn}, nil)
	return fn
}

var confiding = map[string]string{
	"python": `
import os, sys
from signalbox import context
with open(context.mount("/etc/app/token")) as f: token = f.read()
print("printed", token, "width", context.config["width"])
sys.stderr.write(f"wrote {token}\\n")
context.log.info("logged " + token, token=token)
if context.params.get("fail"): raise ValueError(token)
context.events.send("out", {"same": token == os.environ["TOKEN"], "size": len(token), "mounts": os.environ["SIGNALBOX_MOUNTS"]})
`,
	"node": `
const { context } = require("signalbox");
const token = require("fs").readFileSync(context.mount("/etc/app/token"), "utf8");
console.log("printed", token, "width", context.config.width);
process.stderr.write("wrote " + token + "\\n");
context.log.info("logged " + token, { token });
if (context.params.get("fail")) throw new Error(token);
await context.events.send("out", { same: token === process.env.TOKEN, size: token.length, mounts: process.env.SIGNALBOX_MOUNTS });
`,
}

func TestScriptsGetTheirSecretsAndDoNotTellThem(t *testing.T) {
	for runtime, content := range confiding {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t)
			r.setSecret("shop-token", "s3cret-token")
			fn := r.confidant(runtime, content)
			if got := r.run(fn, "1", "{}"); got.status != 204 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if data := string(r.events()[0].Event.Data); !strings.Contains(strings.ReplaceAll(data, " ", ""), `"same":true,"size":12`) {
				t.Errorf("it had %s", data)
			}
			if got := r.run(fn, "2", `{"fail":true}`); got.status != 500 || !strings.Contains(got.body, "***") || strings.Contains(got.body, "s3cret") {
				t.Errorf("%d %s", got.status, got.body)
			}
			for _, line := range []string{"printed *** width 200", "wrote ***", "logged *** token=***"} {
				r.awaitLine(line)
			}
			r.mu.Lock()
			if all := strings.Join(r.lines, "\n"); strings.Contains(all, "s3cret") {
				t.Errorf("the secret is in:\n%s", all)
			}
			r.mu.Unlock()
			r.host.Reconcile(nil, nil)
			for gone := false; !gone; goruntime.Gosched() { // a worker that was just starting goes when it is ready
				left, err := os.ReadDir(r.host.c.MountsDir)
				if err != nil {
					t.Fatal(err)
				}
				gone = len(left) == 0
			}
		})
	}
}

func TestScriptsWithoutTheirSecretAreNotReadyUntilThereIsOne(t *testing.T) {
	r := newRig(t)
	fn := r.confidant("python", confiding["python"])
	if _, err := r.host.URL(fn); err == nil || !strings.Contains(err.Error(), "shop-token") {
		t.Errorf("got %v", err)
	}
	r.setSecret("shop-token", "s3cret-token")
	r.host.Reconcile([]*resource.Function{fn}, nil)
	if got := r.run(fn, "1", "{}"); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	r.mu.Lock()
	delete(r.secrets, "shop-token")
	r.mu.Unlock()
	r.host.Reconcile([]*resource.Function{fn}, nil)
	if got := r.run(fn, "2", "{}"); got.status != 204 {
		t.Errorf("once it had the secret, it does not go on without: %d %s", got.status, got.body)
	}
}

// All workers are busy while secrets and the configuration change again and again:
// no run fails, and none is put off.
func TestAChangeOfSettingsUnderLoadFailsNoRun(t *testing.T) {
	r := newRig(t)
	const last = "token-number-5"
	r.setSecret("shop-token", "token-number-0")
	fn := r.confidant("python", `
import os
from signalbox import context
context.events.send("out", os.environ["TOKEN"] + " " + str(context.config["width"]))
`)
	var n atomic.Int64
	var running sync.WaitGroup
	seen := func() bool {
		sent := r.events()
		return len(sent) > 0 && string(sent[len(sent)-1].Event.Data) == fmt.Sprintf("%q", last+" 205")
	}
	for range 16 {
		running.Go(func() {
			for !seen() {
				if got, err := r.post(t.Context(), fn, fmt.Sprint(n.Add(1)), "{}"); err != nil || got.status != 204 {
					t.Errorf("%d %s %v", got.status, got.body, err)
					return
				}
			}
		})
	}
	for i := 1; i <= 5; i++ {
		next := *fn
		next.Spec.Config = map[string]json.RawMessage{"width": json.RawMessage(fmt.Sprint(200 + i))}
		r.setSecret("shop-token", fmt.Sprint("token-number-", i))
		r.host.Reconcile([]*resource.Function{&next}, nil)
		for before := len(r.events()); len(r.events()) < before+20 && !seen(); { // with the last one the runs end
			if t.Failed() {
				break
			}
		}
	}
	running.Wait()
	t.Logf("%d runs", n.Load())
}
