//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/resource"
)

// kube is a namespace of the real API server, seen by its administrator.
type kube struct {
	t         *testing.T
	env       parts.Env
	namespace string
	api       dynamic.Interface
}

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	kubeSecrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	scalers     = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	ksvcs       = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}
)

// newKube makes a namespace that ends with the test.
func newKube(t *testing.T) *kube {
	t.Helper()
	k := &kube{t: t, env: parts.Up(t, "kube"), namespace: unique(t)}
	k.api = kubeClient(t, k.env.KubeConfig())
	namespaces := k.api.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	_, err := namespaces.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": k.namespace},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), k.namespace, metav1.DeleteOptions{}) })
	return k
}

// restrict makes the namespace refuse pods that do not keep to the Pod Security Standard restricted.
func (k *kube) restrict() {
	k.t.Helper()
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	_, err := k.api.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Patch(k.t.Context(), k.namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
}

func kubeClient(t *testing.T, kubeconfig string) dynamic.Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	api, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func (k *kube) in(r schema.GroupVersionResource) dynamic.ResourceInterface {
	return k.api.Resource(r).Namespace(k.namespace)
}

// install installs the chart with the values; nothing of it has to run.
func (k *kube) install(values ...string) {
	k.t.Helper()
	k.helm(append([]string{"install", "sb", "charts/signalbox"}, values...)...)
}

// helm runs Helm in the namespace.
func (k *kube) helm(args ...string) {
	k.t.Helper()
	if out, err := helm(k.t, k.env, append(args, "--namespace", k.namespace, "--kubeconfig", k.env.KubeConfig())...); err != nil {
		k.t.Fatalf("helm %s: %v\n%s", args, err, out)
	}
}

func helm(t *testing.T, env parts.Env, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(env.Value("KUBE_HELM"), args...)
	cmd.Dir = repoRoot(t)
	dir := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// as writes a kubeconfig for a service account of the namespace.
func (k *kube) as(account string) string {
	k.t.Helper()
	accounts := k.in(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"})
	request := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": account}, "spec": map[string]any{},
	}}
	got, err := accounts.Create(k.t.Context(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		k.t.Fatal(err)
	}
	token, _, _ := unstructured.NestedString(got.Object, "status", "token")
	server, ca := k.env.KubeServer()
	file := filepath.Join(k.t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}],
users: [{name: u, user: {token: %s}}], contexts: [{name: c, context: {cluster: c, user: u, namespace: %s}}]}`, server, ca, token, k.namespace)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return file
}

// of is the object of a function's version, once it is there.
func (k *kube) of(r schema.GroupVersionResource, function, version string) *unstructured.Unstructured {
	k.t.Helper()
	var found *unstructured.Unstructured
	await(k.t, fmt.Sprintf("%s of %s@%s", r.Resource, function, version), func() error {
		all := k.list(r, function, version)
		if len(all) != 1 {
			return fmt.Errorf("there are %d", len(all))
		}
		found = &all[0]
		return nil
	})
	return found
}

func (k *kube) list(r schema.GroupVersionResource, function, version string) []unstructured.Unstructured {
	all, err := k.in(r).List(k.t.Context(), metav1.ListOptions{LabelSelector: "signalbox.dev/managed-by,signalbox.dev/function=" + function + ",signalbox.dev/version=" + version})
	if err != nil {
		return nil // the API server may be away
	}
	return all.Items
}

// ready plays Knative's controller: the service is ready at the URL.
func (k *kube) ready(name, url string) {
	k.t.Helper()
	await(k.t, "the status of "+name, func() error {
		o, err := k.in(ksvcs).Get(k.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		patch, _ := json.Marshal(map[string]any{"status": map[string]any{
			"observedGeneration": o.GetGeneration(), "url": "http://public.invalid", "address": map[string]any{"url": url}, "latestReadyRevisionName": name + "-00001",
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
		}})
		_, err = k.in(ksvcs).Patch(k.t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
}

// awaitState waits until a function is in a state, at a URL.
func (s *server) awaitState(function, state, url string) {
	s.t.Helper()
	kind, _ := resource.LookupKind("Function")
	await(s.t, function+" to be "+state, func() error {
		o, err := s.Get(s.t.Context(), kind, function)
		if err != nil {
			return err
		}
		var is resource.FunctionStatus
		if err := json.Unmarshal(o.Status, &is); err != nil || is.State != state || is.URL != url {
			return fmt.Errorf("its status is %s: %v", o.Status, err)
		}
		return nil
	})
}

func nested(o *unstructured.Unstructured, path ...string) string {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return fmt.Sprint(v)
}

func imageManifest(name, version, platform, more string) string {
	return fmt.Sprintf("---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: %s}\nspec: {version: %q, image: \"registry.example/%s:%s\", platform: %s, on: [com.example.%s]%s}\n",
		name, version, name, version, platform, name, more)
}

// newCluster starts Signalbox with the rights that the chart gives it, and no others.
func newCluster(t *testing.T) (*kube, *server, *recorder) {
	return inKube(t, newKube(t))
}

func inKube(t *testing.T, k *kube) (*kube, *server, *recorder) {
	k.install("--set", "functions.kubernetes.enabled=true,image.repository=registry.example/none")
	fn := newRecorder(t, nil)
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "api"), []byte("hunter2-hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(embeddedArgs(t), "--kubeconfig", k.as("sb-signalbox"), "--kube-service-url", fn.URL+"/{namespace}/{service}", "--secrets-dir", secrets)
	return k, start(t, args...), fn
}

// TestFunctionsRunInACluster is one test of several functions side by side:
// what is removed lingers, and need not be waited for twice.
func TestFunctionsRunInACluster(t *testing.T) {
	k, s, fn := newCluster(t)
	const everything = `, env: [{name: A, value: plain}, {name: B, secret: api}, {name: C, kubernetesSecret: {name: db, key: pw}}],
  mounts: [{path: /etc/f/key, secret: api}, {path: /etc/f/conf, value: x}], config: {a: 1},
  container: {port: 9000, command: [/fn], args: [-v], memoryMB: 64, cpus: "0.5", health: /up, minReplicas: 2, maxReplicas: 4, target: 8, idleAfter: 3h, pull: always, user: "1000:1000"}`
	s.apply(imageManifest("kube", "1", "kubernetes", everything) + imageManifest("plain", "1", "kubernetes", "") +
		imageManifest("kn", "1", "knative", everything) + imageManifest("gone", "1", "kubernetes", `, env: [{name: B, secret: api}]`))

	t.Run("images get replicas, a Service and an autoscaler, and events", func(t *testing.T) {
		// The pods name a Secret that is not there; the nodes are played, and do not look at it.
		name := k.of(deployments, "kube", "1").GetName()
		k.of(services, "kube", "1")
		if got := k.of(scalers, "kube", "1"); nested(got, "spec", "minReplicas") != "2" || nested(got, "spec", "maxReplicas") != "4" {
			t.Errorf("autoscaler %v", got.Object["spec"])
		}
		secret := k.of(kubeSecrets, "kube", "1")
		if data, _, _ := unstructured.NestedStringMap(secret.Object, "data"); len(data) != 3 || data["env.B"] == "" {
			t.Errorf("the secret holds %d values", len(data))
		}
		if b, _ := json.Marshal(k.of(deployments, "kube", "1")); strings.Contains(string(b), "hunter2") || strings.Contains(s.out.String(), "hunter2") {
			t.Error("the secret stands in the Deployment or in the log")
		}
		s.emitID("k1", "com.example.kube", `{}`)
		if c := fn.awaitCalls(t, 1)[0]; c.id() != "k1" || c.path != "/"+k.namespace+"/"+name {
			t.Errorf("got %s at %s: want it at the Service of %s", c.id(), c.path, name)
		}
	})

	t.Run("the rights do not reach others' secrets", func(t *testing.T) {
		mine := kubeClient(t, flagValue(s.args, "--kubeconfig"))
		for _, r := range []schema.GroupVersionResource{kubeSecrets, {Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "nodes"}} {
			_, err := mine.Resource(r).Namespace(k.namespace).List(t.Context(), metav1.ListOptions{})
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v, want forbidden", r.Resource, err)
			}
		}
		if _, err := mine.Resource(deployments).Namespace("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("another namespace: %v, want forbidden", err)
		}
	})

	// What follows is removed while the other parts of the test go on.
	s.apply(imageManifest("kube", "2", "kubernetes", ""))
	kind, _ := resource.LookupKind("Function")
	k.of(deployments, "gone", "1")
	if err := s.Delete(t.Context(), kind, "gone"); err != nil {
		t.Fatal(err)
	}

	t.Run("Knative's own admission takes what is made", func(t *testing.T) {
		o := k.of(ksvcs, "kn", "1")
		for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
			unstructured.RemoveNestedField(o.Object, "metadata", field)
		}
		b, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(k.env.Value("KUBE_KNATIVE_CHECK"))
		cmd.Stdin = strings.NewReader(string(b))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})

	t.Run("a Knative Service gets events at the URL of its status", func(t *testing.T) {
		name := k.of(ksvcs, "kn", "1").GetName()
		s.emitID("n1", "com.example.kn", `{}`)
		k.ready(name, fn.URL+"/knative")
		awaitCallAt(t, fn, "/knative", "n1")
		s.awaitState("kn", resource.StateReady, fn.URL+"/knative")
	})

	t.Run("a Knative Service of somebody else is found and left alone", func(t *testing.T) {
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": map[string]any{"name": "theirs"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "registry.example/theirs"}}}}},
		}}
		before, err := k.in(ksvcs).Create(t.Context(), o, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.apply("apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: ref}\nspec: {knative: {service: theirs}, on: [com.example.ref]}\n")
		s.emitID("r1", "com.example.ref", `{}`)
		k.ready("theirs", fn.URL+"/theirs")
		awaitCallAt(t, fn, "/theirs", "r1")
		after, err := k.in(ksvcs).Get(t.Context(), "theirs", metav1.GetOptions{})
		if err != nil || after.GetGeneration() != before.GetGeneration() || after.GetLabels() != nil {
			t.Errorf("%v, %v", after, err)
		}
	})

	t.Run("the rights are enough for jobs", func(t *testing.T) {
		s.apply("apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: once}\nspec: {job: {image: \"registry.example/once:1\", keepFor: 1s}, platform: kubernetes, on: [com.example.once], env: [{name: B, secret: api}]}\n")
		s.emitID("o1", "com.example.once", `{}`)
		s.awaitDelivered("once", 1)
	})

	t.Run("an autoscaler of others keeps the replicas, other changes are taken back", func(t *testing.T) {
		name := k.of(deployments, "plain", "1").GetName()
		theirs := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q},"spec":{"replicas":3,"revisionHistoryLimit":9}}`, name)
		force := true
		_, err := k.in(deployments).Patch(t.Context(), name, types.ApplyPatchType, []byte(theirs), metav1.PatchOptions{FieldManager: "somebody", Force: &force})
		if err != nil {
			t.Fatal(err)
		}
		s.apply(imageManifest("plain", "1", "kubernetes", ", container: {memoryMB: 99}"))
		await(t, "the change", func() error {
			o := k.of(deployments, "plain", "1")
			if b, _ := json.Marshal(o); !strings.Contains(string(b), "99Mi") {
				return errors.New("not there")
			}
			if nested(o, "spec", "replicas") != "3" || nested(o, "spec", "revisionHistoryLimit") != "2" {
				return fmt.Errorf("replicas %s, history %s: want theirs, 3, and ours, 2", nested(o, "spec", "replicas"), nested(o, "spec", "revisionHistoryLimit"))
			}
			return nil
		})
		await(t, "the log to name the field that was taken back", func() error { return s.printed("revisionHistoryLimit") })
	})

	t.Run("URLs outlive the API server, whose changes are seen again when it is back", func(t *testing.T) {
		k.env.RestartKube()
		s.emitID("n2", "com.example.kn", `{}`)
		awaitCallAt(t, fn, "/knative", "n2")
		k.ready(k.of(ksvcs, "kn", "1").GetName(), fn.URL+"/moved")
		n := 0
		await(t, "an event at the new place", func() error {
			n++
			s.emitID(fmt.Sprintf("m%d", n), "com.example.kn", `{}`)
			for _, c := range fn.all() {
				if c.path == "/moved" {
					return nil
				}
			}
			return errors.New("none")
		})
	})

	t.Run("what is not in use is removed with all that belongs to it, after a while", func(t *testing.T) {
		for _, which := range []struct{ function, version string }{{"gone", "1"}, {"kube", "1"}} {
			for _, r := range []schema.GroupVersionResource{deployments, services, kubeSecrets, scalers} {
				// It lingers as long as await waits.
				awaitFor(t, 3*bound, r.Resource+" of "+which.function+" to be removed", func() error {
					if n := len(k.list(r, which.function, which.version)); n != 0 {
						return fmt.Errorf("%d are there", n)
					}
					return nil
				})
			}
		}
		k.of(deployments, "kube", "2")
		k.of(deployments, "plain", "1")
		k.of(ksvcs, "kn", "1")
	})
}

// awaitCallAt waits for an event at a path of the function.
func awaitCallAt(t *testing.T, fn *recorder, path, id string) {
	t.Helper()
	await(t, id+" at "+path, func() error {
		for _, c := range fn.all() {
			if c.path == path && c.id() == id {
				return nil
			}
		}
		return fmt.Errorf("not among %d calls", len(fn.all()))
	})
}

// TestTheChartIsTakenByARealCluster installs what the chart renders, with none and with all of
// its values set: Helm applies it with strict checking, which its dry run does not do.
func TestTheChartIsTakenByARealCluster(t *testing.T) {
	k := newKube(t)
	k.install()
	k.helm("upgrade", "sb", "charts/signalbox", "--set", "functions.kubernetes.enabled=true")
	k.helm("rollback", "sb", "1")
	k.helm("uninstall", "sb")
	k.helm("lint", "--strict", "charts/signalbox", "--values", "charts/signalbox/ci/full-values.yaml")
	k.install("--values", "charts/signalbox/ci/full-values.yaml", "--set", "priorityClassName=,functions.kubernetes.namespace="+k.namespace)
}

func TestTheChartSaysWhatIsWrongWithValues(t *testing.T) {
	env := parts.Up(t, "kube")
	for values, want := range map[string]string{
		"replicaCount=3":                                "'replicaCount' not allowed",
		"workloads.both.replicas=10":                    "want more partitions than pods",
		"drainTimeoutSeconds=100":                       "want at least 140",
		"redis.url=redis://:password@redis:6379":        "/redis/url",
		"redis.tls.caKey=ca.pem":                        "redis.tls.existingSecret: missing",
		"kafka.sasl.mechanism=PLAIN":                    "kafka.sasl.existingSecret: missing",
		"kafka.tls.enabled=true,kafka.tls.caKey=ca.pem": "kafka.tls.existingSecret: missing",
		"workloads.both.autoscaling.enabled=true,workloads.both.autoscaling.minReplicas=8": "minReplicas 8 is more than maxReplicas 6",
		"workloads.both.podDisruptionBudget.maxUnavailable=all":                            "/workloads/both/podDisruptionBudget/maxUnavailable",
		"networkPolicy.enabled=true,networkPolicy.from=null":                               "networkPolicy.from: empty",
		"options.kube-owner=me": "kube-owner",
	} {
		if out, err := helm(t, env, "template", "sb", "charts/signalbox", "--set", values); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, want %q: %.300s", values, err, want, out)
		}
	}
}

// TestPodsKeepToTheRestrictedStandard is about those of the chart, of functions and of jobs.
func TestPodsKeepToTheRestrictedStandard(t *testing.T) {
	k := newKube(t)
	k.restrict()
	_, s, _ := inKube(t, k)
	await(t, "the chart's pods", func() error {
		all, err := k.in(kubePods).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=sb"})
		if err == nil && len(all.Items) != 2 {
			err = fmt.Errorf("there are %d", len(all.Items))
		}
		return err
	})
	const user = `, container: {user: "65532"}, mounts: [{path: /etc/f/key, secret: api}]`
	s.apply(imageManifest("confined", "1", "kubernetes", user) + imageManifest("rooted", "1", "kubernetes", "") +
		"---\napiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: once}\nspec: {job: {image: \"registry.example/once:1\", keepFor: 1s}, platform: kubernetes, on: [com.example.once]" + user + "}\n")
	s.emitID("o1", "com.example.once", `{}`)
	k.of(kubePods, "confined", "1")
	s.awaitDelivered("once", 1)
	await(t, "the reason of one whose user is not said", func() error {
		_, err := s.Invoke(t.Context(), "rooted", made("1"))
		if err == nil || !strings.Contains(err.Error(), "runAsNonRoot") {
			return fmt.Errorf("%w: want runAsNonRoot", err)
		}
		return nil
	})
}

func TestWithoutAClusterAFunctionSaysWhatIsMissing(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	s.apply(imageManifest("kn", "1", "knative", ""))
	await(t, "the reason", func() error {
		_, err := s.Invoke(t.Context(), "kn", made("1"))
		var answer *client.Problem
		if !errors.As(err, &answer) || answer.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "--kubeconfig") {
			return fmt.Errorf("%w: want 503 and what to give", err)
		}
		return nil
	})
}
