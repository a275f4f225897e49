package openfaas

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board/boardtest"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/functions/openfaas/openfaastest"
	"github.com/signalbox-dev/signalbox/resource"
)

const linger = time.Minute

// stage is a Runtime over a fake gateway.
type stage struct {
	*Runtime
	*boardtest.Stage
	server *openfaastest.Server
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return onServer(t, openfaastest.Start(t, "value-of-gateway", nil))
}

func onServer(t *testing.T, server *openfaastest.Server, change ...func(*Config)) *stage {
	t.Helper()
	s := &stage{server: server, Stage: boardtest.New(t, func() string { return fmt.Sprintf("functions: %v\nwrites: %v", server.Functions(), server.Writes()) })}
	c := DefaultConfig()
	c.Gateway, c.PasswordSecret, c.Linger, c.Poll, c.Now = server.URL, "gateway", linger, time.Millisecond, s.Clock
	c.Secrets, c.Log = s.Secret, s.Logger()
	for _, fn := range change {
		fn(&c)
	}
	var err error
	if s.Runtime, err = New(c); err != nil {
		t.Fatal(err)
	}
	s.Start(s.Runtime)
	return s
}

func (s *stage) passes() { s.UntilPassed(s.Runtime) }

func (s *stage) there(fn *resource.Function) bool { return s.server.Function(nameIn(fn)) != nil }

func (s *stage) state(fn *resource.Function) string { return boardtest.State(s.Runtime, fn) }

func nameIn(fn *resource.Function) string {
	return names.Object("signalbox", fn.Metadata.Name, fn.Spec.Version)
}

func image(name, version string) *resource.Function {
	return &resource.Function{
		Metadata: resource.Metadata{Name: name, UID: "uid-of-" + name, Revision: 7},
		Spec:     resource.FunctionSpec{Version: version, Image: "registry.example/" + name + ":" + version, Platform: resource.PlatformOpenFaaS},
	}
}

func TestAnImageIsDeployedAndHasAURLOnceAReplicaIsReady(t *testing.T) {
	s, fn := newStage(t), image("hello", "1")
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("deployed", func() bool { return s.state(fn) == functions.StateStarting && s.there(fn) })
	if _, err := s.URL(fn); !errors.Is(err, functions.ErrNotReady) {
		t.Errorf("%v: want ErrNotReady", err)
	}
	s.server.Scale(nameIn(fn), 1, 1)
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
	if url, err := s.URL(fn); url != s.server.URL+"/function/"+nameIn(fn) {
		t.Error(url, err)
	}
	s.server.Scale(nameIn(fn), 0, 0)
	s.Until("idle", func() bool { return s.state(fn) == functions.StateIdle })
	if url, err := s.URL(fn); err != nil {
		t.Errorf("%s, %v: a call starts it", url, err)
	}
	if got := s.server.Writes(); !slices.Equal(got, []string{"POST /system/functions"}) {
		t.Errorf("wrote %v", got)
	}
}

func TestAChangeIsPutOnceByAllProcesses(t *testing.T) {
	s, fn := newStage(t), image("f", "")
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("deployed", func() bool { return s.there(fn) })
	other := onServer(t, s.server)
	other.Reconcile([]*resource.Function{fn}, nil)
	other.Until("seen", func() bool { return other.state(fn) == functions.StateStarting })
	other.passes()
	changed := *fn
	changed.Metadata.Revision, changed.Spec.Image = 8, "registry.example/other"
	s.Reconcile([]*resource.Function{&changed}, nil)
	s.Until("changed", func() bool { return s.server.Function(nameIn(fn))["image"] == "registry.example/other" })
	again := *fn
	other.Reconcile([]*resource.Function{&again}, nil)
	other.passes()
	if got := s.server.Writes(); !slices.Equal(got, []string{"POST /system/functions", "PUT /system/functions"}) {
		t.Errorf("wrote %v", got)
	}
}

func TestTheDeploymentSaysAllThatOpenFaaSCanDo(t *testing.T) {
	fn := image("f", "1")
	fn.Spec.Config = map[string]json.RawMessage{"a": json.RawMessage("1")}
	fn.Spec.Env = []resource.EnvVar{{Name: "A", Value: "b"}}
	fn.Spec.Mounts = []resource.Mount{{Path: secretsDir + "f-key", Secret: "key"}}
	fn.Spec.Container = &resource.Container{MemoryMB: 64, CPUs: "0.5", Health: "/up", MinReplicas: 2, MaxReplicas: 4, Target: 8, Namespace: "shop"}
	s := newStage(t)
	s.Reconcile([]*resource.Function{fn}, nil)
	name := "shop/" + nameIn(fn)
	s.Until("deployed", func() bool { return s.server.Function(name) != nil })
	b, _ := json.Marshal(s.server.Function(name))
	for _, want := range []string{
		`"A":"b"`, `"SIGNALBOX_CONFIG":"{\"a\":1}"`, `"secrets":["f-key"]`, `"limits":{"cpu":"500m","memory":"64Mi"}`, `"requests":{"cpu":"125m","memory":"64Mi"}`, `"readOnlyRootFilesystem":true`,
		`"com.openfaas.scale.min":"2"`, `"com.openfaas.scale.max":"4"`, `"com.openfaas.scale.target":"8"`, `"com.openfaas.scale.zero":"false"`, `"com.openfaas.health.http.path":"/up"`, `"signalbox.dev/function":"f"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if s.server.Secret("f-key") != "value-of-key" || strings.Contains(string(b), "value-of") || strings.Contains(s.Logged(), "value-of") {
		t.Errorf("the secret is %q, in %s", s.server.Secret("f-key"), b)
	}
	s.server.Scale(name, 1, 1)
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
	if url, _ := s.URL(fn); url != s.server.URL+"/function/"+nameIn(fn)+".shop" {
		t.Error(url)
	}
}

func TestWhatOpenFaaSCannotDoIsSaid(t *testing.T) {
	fn := image("f", "")
	fn.Spec.Env = []resource.EnvVar{{Name: "A", Secret: "key"}}
	fn.Spec.Mounts = []resource.Mount{{Path: "/etc/f", Value: "x"}}
	fn.Spec.Container = &resource.Container{Port: 9000, Args: []string{"-v"}, User: "1"}
	s := newStage(t)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	_, err := s.URL(fn)
	for _, want := range []string{"container.port", "container.command", "container.user", "env A", "mount /etc/f"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if !errors.Is(err, functions.ErrNotReady) || len(s.server.Writes()) != 0 {
		t.Errorf("%v, wrote %v", err, s.server.Writes())
	}
}

func TestAVersionThatGetsNoEventsLingersAndComesBackWhenAsked(t *testing.T) {
	s, one, two := newStage(t), image("f", "1"), image("f", "2")
	s.Reconcile([]*resource.Function{one}, nil)
	s.Until("version 1", func() bool { return s.there(one) })
	s.server.Scale(nameIn(one), 1, 1)
	s.Reconcile([]*resource.Function{two}, []*resource.Function{one})
	s.Until("version 2", func() bool { return s.there(two) })
	s.Advance(2 * linger)
	s.passes()
	if !s.there(one) {
		t.Fatal("removed while version 2 has no replica")
	}
	s.server.Scale(nameIn(two), 1, 1)
	s.Until("version 2 ready", func() bool { return s.state(two) == functions.StateReady })
	s.Advance(linger)
	s.Until("removal", func() bool { return !s.there(one) })
	s.Until("idle", func() bool { return s.state(one) == functions.StateIdle })
	if _, err := s.URL(one); !errors.Is(err, functions.ErrNotReady) {
		t.Error(err)
	}
	s.Until("deployed again", func() bool { return s.there(one) })
}

func TestWhatIsGoneIsRemovedAndOthersFunctionsStay(t *testing.T) {
	s, fn := newStage(t), image("f", "")
	s.server.Put("theirs", openfaastest.Object{"name": "theirs", "image": "x", "labels": map[string]string{names.LabelOwner: "another"}})
	s.server.Put("nobodys", openfaastest.Object{"name": "nobodys", "image": "x"})
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("deployed", func() bool { return s.there(fn) })
	s.Reconcile(nil, nil)
	s.passes()
	if !s.there(fn) {
		t.Error("removed at once")
	}
	s.Advance(linger)
	s.Until("removal", func() bool { return !s.there(fn) })
	if got := s.server.Functions(); !slices.Equal(got, []string{"nobodys", "theirs"}) {
		t.Errorf("left are %v", got)
	}
}

func TestAFunctionOfOthersIsNotTouched(t *testing.T) {
	s, fn := newStage(t), image("f", "")
	s.server.Put(nameIn(fn), openfaastest.Object{"name": nameIn(fn), "image": "x", "replicas": 1, "availableReplicas": 1})
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); err == nil || !strings.Contains(err.Error(), "not ours") || len(s.server.Writes()) != 0 {
		t.Errorf("%v, wrote %v", err, s.server.Writes())
	}
}

func TestFaultsOfTheGatewayAreSaidAndTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		broken int
		want   string
	}{
		"no gateway":           {func(c *Config) { c.Gateway = "" }, 0, "--openfaas-gateway"},
		"a wrong user":         {func(c *Config) { c.User = "nobody" }, 0, "401"},
		"a password not there": {func(c *Config) { c.PasswordSecret = "missing" }, 0, "no such secret"},
		"a broken gateway":     {func(*Config) {}, 500, "500: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			server := openfaastest.Start(t, "value-of-gateway", nil)
			server.Break(c.broken)
			s, fn := onServer(t, server, c.change), image("f", "")
			s.Reconcile([]*resource.Function{fn}, nil)
			s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
			if _, err := s.URL(fn); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "value-of") {
				t.Errorf("%v: want %s", err, c.want)
			}
			if c.broken != 0 {
				server.Break(0)
				s.Until("deployed", func() bool { return s.there(fn) })
			}
		})
	}
}

func TestURLsOutliveTheGatewaysList(t *testing.T) {
	s, fn := newStage(t), image("f", "")
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("deployed", func() bool { return s.there(fn) })
	s.server.Scale(nameIn(fn), 1, 1)
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
	s.server.Break(503)
	s.passes()
	if url, err := s.URL(fn); err != nil {
		t.Errorf("%s, %v", url, err)
	}
}

func TestAConfigurationSaysAllItsFaults(t *testing.T) {
	c := Config{Gateway: "ftp://u:p@x?a=b"}
	if _, err := New(c); err == nil || strings.Count(err.Error(), "\n") != 7 || strings.Contains(fmt.Sprint(err), "u:p") {
		t.Errorf("%v", err)
	}
}
