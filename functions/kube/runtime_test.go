package kube

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/board/boardtest"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/kube/kubetest"
	"github.com/signalbox-dev/signalbox/functions/names"
	"github.com/signalbox-dev/signalbox/resource"
)

// stage is a Runtime over a fake API server.
type stage struct {
	*Runtime
	*boardtest.Stage
	server *kubetest.Server
}

const linger = 30 * time.Second

func newStage(t *testing.T, platform string, change ...func(*Config)) *stage {
	t.Helper()
	return onServer(t, kubetest.Start(t), platform, change...)
}

// onServer makes another process that uses the same cluster.
func onServer(t *testing.T, server *kubetest.Server, platform string, change ...func(*Config)) *stage {
	t.Helper()
	s := &stage{server: server, Stage: boardtest.New(t, func() string { return fmt.Sprintf("objects: %v\nwrites: %v", server.Paths(), server.Writes()) })}
	cc := cluster.DefaultConfig()
	cc.Kubeconfig = server.Kubeconfig(t, "fns")
	at, err := cluster.New(cc)
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Platform, c.Cluster, c.Now, c.Linger, c.Look = platform, at, s.Clock, linger, time.Millisecond
	c.Secrets, c.Log = s.Secret, s.Logger()
	for _, fn := range change {
		fn(&c)
	}
	if s.Runtime, err = New(c); err != nil {
		t.Fatal(err)
	}
	s.Start(s.Runtime)
	return s
}

func (s *stage) passes() { s.UntilPassed(s.Runtime) }

// sees reports whether the runtime knows of the version's object.
func (s *stage) sees(fn *resource.Function) bool {
	s.Runtime.mu.Lock()
	defer s.Runtime.mu.Unlock()
	for _, l := range s.seen {
		if o, _, _ := l.get(objectName(s.c.Owner, board.Of(fn))); o != nil {
			return true
		}
	}
	return false
}

func (s *stage) there(path string) bool { return s.server.Get(path) != nil }

// path is where the primary object of a version is.
func (s *stage) path(fn *resource.Function) string {
	name := objectName(s.c.Owner, board.Of(fn))
	if s.c.Platform == resource.PlatformKnative {
		return "/apis/serving.knative.dev/v1/namespaces/fns/services/" + name
	}
	return "/apis/apps/v1/namespaces/fns/deployments/" + name
}

// serve plays the cluster's controllers: the object's pods take calls.
func (s *stage) serve(fn *resource.Function) {
	s.server.Update(s.path(fn), func(o kubetest.Object) {
		if s.c.Platform == resource.PlatformKnative {
			o["status"] = kubetest.Object{"url": "http://public", "address": kubetest.Object{"url": "http://inside"}, "latestReadyRevisionName": "r-1",
				"conditions": []any{kubetest.Object{"type": "Ready", "status": "True"}}}
			return
		}
		o["status"] = kubetest.Object{"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "conditions": []any{kubetest.Object{"type": "Available", "status": "True"}}}
	})
}

func (s *stage) state(fn *resource.Function) string { return boardtest.State(s.Runtime, fn) }

func image(name, version, platform string) *resource.Function {
	return &resource.Function{
		Metadata: resource.Metadata{Name: name, UID: "uid-of-" + name, Revision: 7},
		Spec:     resource.FunctionSpec{Version: version, Image: "registry.example/" + name + ":" + version, Platform: platform},
	}
}

func TestAnImageIsBroughtUpAndHasAURLOnceItServes(t *testing.T) {
	for _, c := range []struct{ platform, url, others string }{
		{resource.PlatformKubernetes, "http://hello-1-" + names.Digest("signalbox", "hello", "1")[:8] + ".fns.svc/", "services"},
		{resource.PlatformKnative, "http://inside", ""},
	} {
		t.Run(c.platform, func(t *testing.T) {
			s, fn := newStage(t, c.platform), image("hello", "1", c.platform)
			s.Reconcile([]*resource.Function{fn}, nil)
			s.Until("the object", func() bool { return s.there(s.path(fn)) })
			if _, err := s.URL(fn); !errors.Is(err, functions.ErrNotReady) {
				t.Errorf("%v: want ErrNotReady", err)
			}
			s.serve(fn)
			s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
			if url, err := s.URL(fn); url != c.url {
				t.Errorf("URL %s, %v: want %s", url, err, c.url)
			}
			s.passes()
			if got := len(s.server.Paths()); got != 1+len(strings.Fields(c.others)) {
				t.Errorf("objects %v", s.server.Paths())
			}
		})
	}
}

func TestAVersionThatGetsNoEventsLingersUntilItsPlaceIsTakenAndNobodyAsks(t *testing.T) {
	s := newStage(t, resource.PlatformKubernetes)
	one, two := image("f", "1", resource.PlatformKubernetes), image("f", "2", resource.PlatformKubernetes)
	s.Reconcile([]*resource.Function{one}, nil)
	s.Until("version 1", func() bool { return s.there(s.path(one)) })
	s.serve(one)
	s.Until("version 1 ready", func() bool { return s.state(one) == functions.StateReady })
	s.Reconcile([]*resource.Function{two}, []*resource.Function{one})
	s.Until("version 2", func() bool { return s.there(s.path(two)) })
	s.Advance(2 * linger)
	s.passes()
	if !s.there(s.path(one)) {
		t.Fatal("removed while version 2 does not serve")
	}
	s.serve(two)
	s.Until("version 2 ready", func() bool { return s.state(two) == functions.StateReady })
	s.passes()
	s.Advance(linger - time.Second)
	if _, err := s.URL(one); err != nil {
		t.Error(err)
	}
	s.Until("it is noted that version 1 was asked for", func() bool { return strings.Contains(fmt.Sprint(s.server.Get(s.path(one))), noteAsked) })
	s.Advance(2 * time.Second)
	s.passes()
	if !s.there(s.path(one)) {
		t.Fatal("removed though it was asked for")
	}
	s.Advance(linger)
	s.Until("removal", func() bool { return !s.there(s.path(one)) })
	if got := s.state(one); got != functions.StateIdle && got != functions.StateStarting {
		t.Errorf("state %s: want idle", got)
	}
	if _, err := s.URL(one); !errors.Is(err, functions.ErrNotReady) {
		t.Error(err)
	}
	s.Until("it is brought up again, being asked for", func() bool { return s.there(s.path(one)) })
}

func TestWhatIsGoneIsRemovedAndOthersObjectsStay(t *testing.T) {
	for _, platform := range []string{resource.PlatformKubernetes, resource.PlatformKnative} {
		t.Run(platform, func(t *testing.T) {
			s, fn := newStage(t, platform), image("f", "", platform)
			s.Reconcile([]*resource.Function{fn}, nil)
			s.Until("the object", func() bool { return s.there(s.path(fn)) && s.sees(fn) })
			dir := s.path(fn)[:strings.LastIndex(s.path(fn), "/")]
			foreign := func(owner string) kubetest.Object {
				return kubetest.Object{"apiVersion": "v1", "kind": "X", "metadata": kubetest.Object{"name": owner, "namespace": "fns", "labels": kubetest.Object{labelOwner: owner}}}
			}
			s.server.Put(dir+"/theirs", foreign("theirs"))
			s.server.Put(dir+"/nobodys", foreign(""))
			s.Reconcile(nil, nil)
			s.passes()
			if !s.there(s.path(fn)) {
				t.Error("removed at once: another process may know of it already")
			}
			s.Advance(linger)
			s.Until("removal", func() bool { return !s.there(s.path(fn)) })
			s.Advance(10 * linger)
			s.passes()
			if !s.there(dir+"/theirs") || !s.there(dir+"/nobodys") {
				t.Errorf("left are %v", s.server.Paths())
			}
		})
	}
}

func TestNothingIsRemovedBeforeTheFunctionsAreKnown(t *testing.T) {
	first, fn := newStage(t, resource.PlatformKubernetes), image("f", "", resource.PlatformKubernetes)
	first.Reconcile([]*resource.Function{fn}, nil)
	first.Until("the object", func() bool { return first.there(first.path(fn)) })
	s := onServer(t, first.server, resource.PlatformKubernetes)
	s.passes()
	s.Advance(10 * linger)
	s.passes()
	if !s.there(s.path(fn)) {
		t.Error("removed")
	}
}

func TestSeveralProcessesApplyAChangeOnce(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	a := newStage(t, resource.PlatformKubernetes)
	a.Reconcile([]*resource.Function{fn}, nil)
	a.Until("applied", func() bool { return strings.Contains(fmt.Sprint(a.server.Get(a.path(fn))), noteSpec) })
	before := len(a.server.Writes())
	b := onServer(t, a.server, resource.PlatformKubernetes)
	b.Reconcile([]*resource.Function{fn}, nil)
	b.Until("b knows it", func() bool { return b.state(fn) != "" })
	b.passes()
	if got := a.server.Writes()[before:]; len(got) != 0 {
		t.Errorf("a second process wrote %v", got)
	}
	older := *fn
	older.Metadata.Revision, older.Spec.Image = 6, "registry.example/older"
	b.Reconcile([]*resource.Function{&older}, nil)
	b.passes()
	if got := a.server.Writes()[before:]; len(got) != 0 {
		t.Errorf("a process that is behind wrote %v", got)
	}
	again := older
	again.Metadata.UID = "of another function of that name"
	b.Reconcile([]*resource.Function{&again}, nil)
	b.passes()
	other := again
	other.Spec.Image = "registry.example/other"
	b.Reconcile([]*resource.Function{&other}, nil)
	b.Until("another function of the name is applied", func() bool {
		return strings.Contains(fmt.Sprint(a.server.Get(a.path(fn))), "registry.example/other")
	})
}

func TestAnObjectThatSomebodyRemovedOrChangedComesBack(t *testing.T) {
	s, fn := newStage(t, resource.PlatformKubernetes), image("f", "", resource.PlatformKubernetes)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("ready", func() bool {
		return strings.Contains(s.Logged(), "applied") && s.there(s.path(fn))
	})
	s.passes()
	s.server.Update(s.path(fn), func(o kubetest.Object) {
		o["spec"].(kubetest.Object)["replicas"] = 5
	})
	s.Advance(s.c.Resync)
	s.Until("taken back", func() bool { return fmt.Sprint(s.server.Get(s.path(fn))["spec"].(kubetest.Object)["replicas"]) == "1" })
}

func TestAnAutoscalerOfOthersKeepsTheReplicas(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes)
	s.server.Own(s.path(fn), ".spec.replicas", "keda")
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("the object", func() bool { return strings.Contains(s.Logged(), "applied") })
	if _, has := s.server.Get(s.path(fn))["spec"].(kubetest.Object)["replicas"]; has {
		t.Error("the replicas were set")
	}
	if strings.Contains(s.Logged(), "taken back") {
		t.Errorf("log: %s", s.Logged())
	}
}

func TestFieldsThatOthersTookAreTakenBack(t *testing.T) {
	fn := image("f", "", resource.PlatformKnative)
	s := newStage(t, resource.PlatformKnative)
	s.server.Own(s.path(fn), ".spec.template", "kubectl")
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("the object", func() bool { return strings.Contains(s.Logged(), "applied") })
	if !strings.Contains(s.Logged(), "kubectl") || !s.there(s.path(fn)) {
		t.Errorf("log: %s", s.Logged())
	}
}

func TestAnObjectOfOthersIsNotTouched(t *testing.T) {
	fn := image("f", "", resource.PlatformKnative)
	s := newStage(t, resource.PlatformKnative)
	s.server.Put(s.path(fn), kubetest.Object{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": kubetest.Object{"name": "x"}})
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); !errors.Is(err, functions.ErrNotReady) || !strings.Contains(err.Error(), "not ours") {
		t.Error(err)
	}
	if got := s.server.Writes(); len(got) != 0 {
		t.Errorf("wrote %v", got)
	}
}

func TestARefusedApplyIsSaidAndTriedAgain(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes)
	s.server.Refuse(func(method, path string) (int, string) {
		if method == "PATCH" && strings.Contains(path, "/services/") {
			return 403, "services is forbidden: quota"
		}
		return 0, ""
	})
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Error(err)
	}
	if strings.Contains(fmt.Sprint(s.server.Get(s.path(fn))), noteSpec) {
		t.Error("the Deployment says that all is applied")
	}
	tries := len(s.server.Writes())
	s.passes()
	if got := len(s.server.Writes()); got != tries {
		t.Error("tried again at once")
	}
	s.server.Refuse(nil)
	s.Advance(retryLast)
	s.Until("the Service", func() bool { return len(s.server.Paths()) == 2 })
	s.serve(fn)
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
}

func TestSecretsStayInASecret(t *testing.T) {
	for _, platform := range []string{resource.PlatformKubernetes, resource.PlatformKnative} {
		t.Run(platform, func(t *testing.T) {
			fn := image("f", "", platform)
			fn.Spec.Env = []resource.EnvVar{
				{Name: "PLAIN", Value: "costs $(X) $$"}, {Name: "HIDDEN", Secret: "api"},
				{Name: "THEIRS", KubernetesSecret: &resource.SecretKey{Name: "db", Key: "password"}},
			}
			fn.Spec.Mounts = []resource.Mount{{Path: "/etc/f/token", Secret: "token"}, {Path: "/etc/f/conf", Value: "x"}}
			s := newStage(t, platform)
			s.Reconcile([]*resource.Function{fn}, nil)
			s.Until("applied", func() bool { return strings.Contains(s.Logged(), "applied") })
			primary := fmt.Sprint(s.server.Get(s.path(fn)))
			for _, v := range []string{"value-of-api", "value-of-token"} {
				if strings.Contains(primary, v) || strings.Contains(primary, base64.StdEncoding.EncodeToString([]byte(v))) || strings.Contains(s.Logged(), v) {
					t.Errorf("%s stands in the object or in the log", v)
				}
			}
			for _, want := range []string{"map[key:env.HIDDEN name:" + objectName("signalbox", board.Of(fn)), "map[key:password name:db]", "costs $$(X) $$$$", "subPath:file.0"} {
				if !strings.Contains(primary, want) {
					t.Errorf("no %s in %s", want, primary)
				}
			}
			secret := s.server.Get("/api/v1/namespaces/fns/secrets/" + objectName("signalbox", board.Of(fn)))
			want := map[string]string{"env.HIDDEN": "value-of-api", "file.0": "value-of-token", "file.1": "x"}
			data := secret["data"].(kubetest.Object)
			if len(data) != len(want) {
				t.Errorf("data %v", data)
			}
			for key, v := range want {
				if data[key] != base64.StdEncoding.EncodeToString([]byte(v)) {
					t.Errorf("%s is %v", key, data[key])
				}
			}
			if !strings.Contains(fmt.Sprint(secret), "ownerReferences") {
				t.Error("nobody owns the secret")
			}
			before := s.server.Get(s.path(fn))
			s.server.Refuse(func(method, path string) (int, string) {
				if strings.Contains(path, "/secrets/") {
					return 422, "Secret is invalid: value-of-api"
				}
				return 0, ""
			})
			other := *fn
			other.Spec.Env = slices.Clone(fn.Spec.Env)
			other.Spec.Env[1].Secret = "other"
			s.Reconcile([]*resource.Function{&other}, nil)
			s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
			if status, _ := s.Status(fn); strings.Contains(status.Reason, "value-of") || strings.Contains(s.Logged(), "value-of") {
				t.Errorf("%s says the value", status.Reason)
			}
			s.server.Refuse(nil)
			s.Advance(retryLast)
			s.Until("pods are replaced", func() bool {
				return settingsNote(s.server.Get(s.path(fn))) != settingsNote(before)
			})
		})
	}
}

func settingsNote(o kubetest.Object) string {
	_, after, _ := strings.Cut(fmt.Sprint(o), noteSettings+":")
	note, _, _ := strings.Cut(after, "]")
	return note
}

func TestASecretThatIsMissingIsSaid(t *testing.T) {
	fn := image("f", "", resource.PlatformKnative)
	fn.Spec.Env = []resource.EnvVar{{Name: "A", Secret: "missing"}}
	s := newStage(t, resource.PlatformKnative)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); err == nil || !strings.Contains(err.Error(), "no such secret") {
		t.Error(err)
	}
	good := *fn
	good.Spec.Env = []resource.EnvVar{{Name: "A", Secret: "there"}}
	s.Reconcile([]*resource.Function{&good}, nil)
	s.Until("applied", func() bool { return s.there(s.path(fn)) })
}

func TestAReferenceHasTheURLOfItsStatusAndIsNotChanged(t *testing.T) {
	fn := &resource.Function{Metadata: resource.Metadata{Name: "ref"}, Spec: resource.FunctionSpec{Knative: &resource.KnativeRef{Service: "theirs", Namespace: "shop"}}}
	s := newStage(t, resource.PlatformKnative)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("missing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); err == nil || !strings.Contains(err.Error(), "no Knative Service theirs in namespace shop") {
		t.Error(err)
	}
	path := "/apis/serving.knative.dev/v1/namespaces/shop/services/theirs"
	put := func(status kubetest.Object) {
		s.server.Put(path, kubetest.Object{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": kubetest.Object{"name": "theirs", "namespace": "shop"}, "status": status})
	}
	put(kubetest.Object{})
	s.Until("starting", func() bool { return s.state(fn) == functions.StateStarting })
	put(kubetest.Object{"url": "http://theirs.shop", "conditions": []any{kubetest.Object{"type": "Ready", "status": "True"}}})
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
	if url, err := s.URL(fn); url != "http://theirs.shop" {
		t.Error(url, err)
	}
	put(kubetest.Object{"url": "http://theirs.shop", "latestReadyRevisionName": "r", "conditions": []any{kubetest.Object{"type": "Ready", "status": "False", "message": "no such image"}}})
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if url, err := s.URL(fn); url != "http://theirs.shop" {
		t.Errorf("%s, %v: the revision before goes on", url, err)
	}
	if status, _ := s.Status(fn); status.Reason != "no such image" {
		t.Errorf("reason %q", status.Reason)
	}
	s.Reconcile(nil, nil)
	s.Advance(10 * linger)
	s.passes()
	if got := s.server.Writes(); len(got) != 0 || !s.there(path) {
		t.Errorf("wrote %v", got)
	}
}

func TestURLsOutliveTheAPIServer(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("the object", func() bool { return strings.Contains(s.Logged(), "applied") })
	s.serve(fn)
	s.Until("ready", func() bool { return s.state(fn) == functions.StateReady })
	s.server.Refuse(func(string, string) (int, string) { return 500, "away" })
	s.server.Cut()
	s.Until("it is noticed", func() bool { return strings.Contains(s.Logged(), "cannot be seen") })
	if url, err := s.URL(fn); err != nil {
		t.Error(url, err)
	}
	s.server.Refuse(nil)
	s.server.Update(s.path(fn), func(o kubetest.Object) {
		o["status"] = kubetest.Object{"conditions": []any{kubetest.Object{"type": "Progressing", "status": "False", "message": "deadline"}}}
	})
	s.Until("changes are seen again", func() bool { return s.state(fn) == functions.StateFailing })
}

func TestWithoutAClusterTheReasonIsSaid(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes, func(c *Config) {
		c.Cluster, _ = cluster.New(cluster.DefaultConfig())
	})
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("failing", func() bool { return s.state(fn) == functions.StateFailing })
	if _, err := s.URL(fn); !errors.Is(err, functions.ErrNotReady) || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Error(err)
	}
}

func TestWhyPodsDoNotRunIsSaid(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("the object", func() bool { return strings.Contains(s.Logged(), "applied") })
	s.server.Put("/api/v1/namespaces/fns/pods/p", kubetest.Object{"apiVersion": "v1", "kind": "Pod",
		"metadata": kubetest.Object{"name": "p", "namespace": "fns", "labels": kubetest.Object{labelInstance: objectName("signalbox", board.Of(fn))}},
		"status":   kubetest.Object{"containerStatuses": []any{kubetest.Object{"state": kubetest.Object{"waiting": kubetest.Object{"reason": "ImagePullBackOff", "message": "not found"}}}}}})
	s.Advance(time.Minute)
	s.Until("the reason", func() bool {
		status, _ := s.Status(fn)
		return status.Reason == "ImagePullBackOff: not found"
	})
}

func TestWhoOnlyLooksWritesNothing(t *testing.T) {
	fn := image("f", "", resource.PlatformKubernetes)
	s := newStage(t, resource.PlatformKubernetes)
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("applied", func() bool { return strings.Contains(s.Logged(), "applied") })
	s.serve(fn)
	before := len(s.server.Writes())
	looker := onServer(t, s.server, resource.PlatformKubernetes, func(c *Config) { c.ReadOnly = true })
	other := image("other", "", resource.PlatformKubernetes)
	looker.Reconcile([]*resource.Function{other}, []*resource.Function{fn})
	looker.Until("the URL", func() bool { url, _ := looker.URL(fn); return url != "" })
	looker.passes()
	looker.Advance(10 * linger)
	looker.passes()
	if got := s.server.Writes()[before:]; len(got) != 0 || looker.there(looker.path(other)) {
		t.Errorf("wrote %v", got)
	}
}

func TestARestartOfManyFunctionsAsksOnce(t *testing.T) {
	var all []*resource.Function
	for i := range 20 {
		all = append(all, image(fmt.Sprintf("f%d", i), "", resource.PlatformKubernetes))
	}
	s := newStage(t, resource.PlatformKubernetes)
	s.Reconcile(all, nil)
	s.Until("all applied", func() bool { return strings.Count(s.Logged(), "applied") == len(all) })
	var mu sync.Mutex
	asked := map[string]int{}
	s.server.Refuse(func(method, path string) (int, string) {
		mu.Lock()
		defer mu.Unlock()
		asked[method+" "+path]++
		return 0, ""
	})
	again := onServer(t, s.server, resource.PlatformKubernetes)
	again.Reconcile(all, nil)
	again.Until("all known", func() bool { return again.state(all[19]) != "" })
	again.passes()
	mu.Lock()
	defer mu.Unlock()
	for what, n := range asked {
		if strings.Contains(what, "/deployments/") || strings.HasPrefix(what, "PATCH") {
			t.Errorf("%s, %d times", what, n)
		}
	}
}

func TestAVersionThatIsNoLongerInForceIsLeftAsItIs(t *testing.T) {
	s, fn := newStage(t, resource.PlatformKubernetes), image("f", "1", resource.PlatformKubernetes)
	fn.Spec.Env = []resource.EnvVar{{Name: "A", Secret: "a"}}
	s.Reconcile([]*resource.Function{fn}, nil)
	s.Until("applied", func() bool { return strings.Contains(s.Logged(), "applied") })
	before := len(s.server.Writes())
	kept := *fn // as the ledger keeps it
	kept.Metadata.UID, kept.Metadata.Revision = "another", 9
	s.Reconcile([]*resource.Function{&kept}, nil)
	s.passes()
	if got := s.server.Writes()[before:]; len(got) != 0 {
		t.Errorf("wrote %v", got)
	}
}
