//go:build unix

package functions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// vault is secrets that change.
type vault struct {
	mu     sync.Mutex
	values map[string]string
	looks  int
}

func (v *vault) lookup(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks++
	if value, ok := v.values[name]; ok {
		return []byte(value), nil
	}
	return nil, errors.New("secret " + name + ": no such secret")
}

func (v *vault) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.values == nil {
		v.values = map[string]string{}
	}
	v.values[name] = value
}

// looked counts the looks there were.
func (v *vault) looked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.looks
}

// confidant is a function that gets a secret as a variable and as a file.
func confidant(name string) *resource.Function {
	fn := command(name, as("confide")...)
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "shop-token"}}
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/app/token", Secret: "shop-token"}}
	return fn
}

func TestAProgramGetsItsSecretsAndDoesNotTellThem(t *testing.T) {
	v := &vault{}
	v.set("shop-token", "s3cret-token")
	f := run(t, func(c *Config) { c.Secrets, c.MountsDir = v.lookup, t.TempDir() })
	f.reconcile(confidant("a"))
	url := f.ready("a")
	if got := f.get(url + "token"); got != "s3cret-token" {
		t.Errorf("its variable is %q", got)
	}
	if got := f.get(url + "file"); got != "s3cret-token <nil>" {
		t.Errorf("its file is %q", got)
	}
	f.line("a stdout the token is ***!")
	mounts := f.get(url + "mounts")
	f.reconcile()
	for left := true; left; { // the program and then its files are gone
		_, err := os.Stat(mounts)
		left = !os.IsNotExist(err)
		if t.Context().Err() != nil {
			t.Fatal("the files are still there")
		}
	}
}

func TestAProgramWithoutItsSecretIsNotReadyUntilThereIsOne(t *testing.T) {
	v := &vault{}
	f := run(t, func(c *Config) { c.Secrets, c.MountsDir = v.lookup, t.TempDir() })
	f.reconcile(confidant("a"), command("other", as("serve")...))
	_, err := f.until("a", func(_ string, err error) bool { return err != nil && strings.Contains(err.Error(), "shop-token") })
	if !errors.Is(err, ErrNotReady) {
		t.Errorf("got %v, want ErrNotReady", err)
	}
	f.ready("other")
	v.set("shop-token", "s3cret-token")
	if got := f.get(f.ready("a") + "token"); got != "s3cret-token" {
		t.Errorf("its variable is %q", got)
	}
}

func TestAChangedSecretReplacesTheProgramAndBreaksNoCall(t *testing.T) {
	v := &vault{}
	v.set("shop-token", "first-token")
	f := run(t, func(c *Config) { c.Secrets, c.MountsDir, c.Linger = v.lookup, t.TempDir(), time.Minute })
	f.reconcile(confidant("a"), command("other", as("serve")...))
	old, other := f.ready("a"), f.ready("other")
	otherPID := f.get(other + "pid")
	held := make(chan string, 1)
	go func() { held <- f.get(old + "hold") }()
	v.set("shop-token", "second-token")
	url, _ := f.until("a", func(u string, err error) bool { return err == nil && u != old })
	if token, file := f.get(url+"token"), f.get(url+"file"); token != "second-token" || file != "second-token <nil>" {
		t.Errorf("the new program has %q, %q", token, file)
	}
	f.get(old + "release")
	if got := <-held; got != "first-token" {
		t.Errorf("the call under way was answered %q", got)
	}
	if now := f.ready("other"); now != other || f.get(now+"pid") != otherPID {
		t.Error("a function without secrets was started again")
	}
	v.mu.Lock()
	delete(v.values, "shop-token")
	v.mu.Unlock()
	for until := v.looked() + 4; v.looked() < until; {
		runtime.Gosched() // two looks at least: it is seen that there is none
	}
	if now := f.ready("a"); now != url {
		t.Error("a program that has its secret does not go on without it")
	}
}

func TestOfManyReplacedProgramsOnlyTwoWait(t *testing.T) {
	f := run(t, func(c *Config) { c.Linger = time.Hour })
	address, accept := listen(t)
	for i := range maxRetired + 2 {
		fn := command("a", as("family", address)...)
		fn.Spec.Env = []resource.EnvVar{{Name: "N", Value: fmt.Sprint(i)}}
		before, _ := f.URL(fn)
		f.reconcile(fn)
		f.until("a", func(u string, err error) bool { return err == nil && u != before })
		if one, two := accept(), accept(); i == 0 {
			defer func() { gone(t, one); gone(t, two) }()
		}
	}
}

func TestWithoutSecretsNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		w := newSecretWatch(v.lookup)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.watch(ctx) })
		w.use(ctx, &resource.Set{Functions: []*resource.Function{command("a", "x")}})
		time.Sleep(time.Hour)
		if n := v.looked(); n != 0 {
			t.Errorf("%d looks", n)
		}
		w.use(ctx, &resource.Set{Functions: []*resource.Function{confidant("a"), confidant("b")}})
		time.Sleep(time.Minute)
		if n := v.looked(); n < 50 || n > 62 {
			t.Errorf("%d looks at one secret in a minute", n)
		}
		v.set("shop-token", "x")
		<-w.changed
		stop()
		running.Wait()
	})
}
