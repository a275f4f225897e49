//go:build unix

package job

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/kube/kubetest"
	"github.com/signalbox-dev/signalbox/resource"
)

// yard is a rig with an API server.
type yard struct {
	*rig
	api *kubetest.Server
}

func newYard(t *testing.T, change func(*Config)) *yard {
	y := &yard{api: kubetest.Start(t)}
	y.rig = newRig(t, func(c *Config) {
		cfg := cluster.DefaultConfig()
		cfg.Kubeconfig = y.api.Kubeconfig(t, "fns")
		var err error
		if c.Cluster, err = cluster.New(cfg); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(c)
		}
	})
	return y
}

func clusterJobOf() *resource.Function {
	fn := imageJob()
	fn.Spec.Platform = resource.PlatformKubernetes
	fn.Spec.Env = []resource.EnvVar{{Name: "TOKEN", Secret: "token"}, {Name: "DB", KubernetesSecret: &resource.SecretKey{Name: "db", Key: "url"}}}
	fn.Spec.Job.KeepFor = resource.Duration(90 * time.Second)
	return fn
}

func secretToken(c *Config) {
	c.Secrets = func(string) ([]byte, error) { return []byte("hunter22"), nil }
}

// awaitJobs waits until there are n Jobs that what is true of, and returns the path of the last one.
func (y *yard) awaitJobs(n int, what func(kubetest.Object) bool) string {
	y.t.Helper()
	bound := time.NewTimer(20 * time.Second)
	defer bound.Stop()
	for {
		changed := y.api.Changed()
		var found []string
		for _, path := range y.api.Paths() {
			if strings.Contains(path, "/jobs/") && (what == nil || what(y.api.Get(path))) {
				found = append(found, path)
			}
		}
		if len(found) == n {
			return found[n-1]
		}
		select {
		case <-changed:
		case <-bound.C:
			y.t.Fatalf("%d such Jobs: want %d: %v", len(found), n, y.api.Paths())
		}
	}
}

// end ends a Job as its controller and a kubelet would.
func (y *yard) end(path, kind, reason string, terminated kubetest.Object) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if terminated != nil {
		y.api.Put("/api/v1/namespaces/fns/pods/"+name+"-x", kubetest.Object{
			"apiVersion": "v1", "kind": "Pod", "metadata": kubetest.Object{"name": name + "-x", "namespace": "fns", "labels": kubetest.Object{"job-name": name}},
			"status": kubetest.Object{"phase": "Succeeded", "containerStatuses": []any{kubetest.Object{"name": "job", "state": kubetest.Object{"terminated": terminated}}}},
		})
	}
	y.api.Update(path, func(o kubetest.Object) {
		o["status"] = kubetest.Object{"conditions": []any{kubetest.Object{"type": kind, "status": "True", "reason": reason, "message": "so it is", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}}
	})
}

func TestAKubernetesJobGetsTheEventAndIsLeftToBeLookedAt(t *testing.T) {
	y := newYard(t, secretToken)
	fn := clusterJobOf()
	y.use(fn)
	y.deliver(fn, aToken, "$(e1)")
	path := y.awaitJobs(1, nil)
	job := y.api.Get(path)
	name := path[strings.LastIndexByte(path, '/')+1:]
	if len(name) > 63 || !strings.HasPrefix(path, "/apis/batch/v1/namespaces/fns/jobs/job-j-") {
		t.Errorf("at %s", path)
	}
	b, _ := json.Marshal(job)
	for _, want := range []string{
		`"backoffLimit":0`, `"restartPolicy":"Never"`, `"activeDeadlineSeconds":3600`, `"image":"thumbs:1"`, `"args":["$$(e1)","/signalbox/data"]`,
		`{"name":"SIGNALBOX_REPLIES","value":"/dev/termination-log"}`, `{"name":"CE_ID","value":"$$(e1)"}`, `"secretKeyRef":{"key":"url","name":"db"}`, `"secretKeyRef":{"key":"env.TOKEN"`,
		`"memory":"64Mi"`, `"runAsUser":1000`, `"runAsNonRoot":true`, `"readOnlyRootFilesystem":true`, `"mountPath":"/etc/x"`, `"mountPath":"/signalbox"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if strings.Contains(string(b), "hunter") || strings.Contains(string(b), `"ada`) {
		t.Errorf("the Job holds a secret or data: %s", b)
	}
	secret := y.api.Get("/api/v1/namespaces/fns/secrets/" + name)
	data := secret["data"].(kubetest.Object)
	for key, want := range map[string]string{"data": `{"name":"ada","n":[1,true],"deep":{"x":"-v"},"empty":""}`, "env.TOKEN": "hunter22", "file.0": "y"} {
		if got, _ := base64.StdEncoding.DecodeString(data[key].(string)); string(got) != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	if owners := secret["metadata"].(kubetest.Object)["ownerReferences"].([]any); owners[0].(kubetest.Object)["uid"] != job["metadata"].(kubetest.Object)["uid"] {
		t.Errorf("owned by %v", owners)
	}
	y.end(path, "Complete", "", kubetest.Object{"exitCode": 0, "message": `{"type":"com.test.made"}`})
	if end := y.awaitEnd(1); end.Status != 200 || len(end.Replies) != 1 {
		t.Errorf("reported %+v", end)
	}
	y.awaitJobs(1, func(o kubetest.Object) bool {
		return o["metadata"].(kubetest.Object)["annotations"].(kubetest.Object)[noteReported] != nil && o["spec"].(kubetest.Object)["ttlSecondsAfterFinished"] == float64(90)
	})
}

func TestHowAKubernetesJobEndsIsReported(t *testing.T) {
	for _, c := range []struct {
		name, kind, reason string
		terminated         kubetest.Object
		status             int
		body               string
	}{
		{"exit code", "Failed", "BackoffLimitExceeded", kubetest.Object{"exitCode": 3, "reason": "Error"}, 500, "exit code 3"},
		{"permanent", "Failed", "BackoffLimitExceeded", kubetest.Object{"exitCode": 65, "reason": "Error"}, 422, "exit code 65 (permanent)"},
		{"out of memory", "Failed", "BackoffLimitExceeded", kubetest.Object{"exitCode": 137, "reason": "OOMKilled"}, 500, "exit code 137: OOMKilled"},
		{"time is up", "Failed", "DeadlineExceeded", nil, 504, "not done within 1h0m0s"},
		{"no pod", "Failed", "BackoffLimitExceeded", nil, 500, "BackoffLimitExceeded: so it is"},
		{"done, and its pod is gone", "Complete", "", nil, 502, "exit code 0, but its pod is gone"},
		{"replies that were cut", "Complete", "", kubetest.Object{"exitCode": 0, "message": strings.Repeat(" ", 4096)}, 502, "more than 4095 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, secretToken)
			fn := clusterJobOf()
			y.use(fn)
			y.deliver(fn, aToken, "e1")
			y.end(y.awaitJobs(1, nil), c.kind, c.reason, c.terminated)
			if end := y.awaitEnd(1); end.Status != c.status || !strings.Contains(end.Body, c.body) {
				t.Errorf("reported %d %q: want %d %q", end.Status, end.Body, c.status, c.body)
			}
		})
	}
}

func TestAKubernetesJobIsFollowedByWhoComesAfter(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(y *yard)
		adopts bool
	}{
		{"the same place", func(*yard) {}, true},
		{"another place, after a while", func(y *yard) {
			y.c.Instance, y.c.Now = "other", func() time.Time { return time.Now().Add(time.Hour) }
		}, true},
		{"another place, at once", func(y *yard) { y.c.Instance = "other" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, secretToken)
			fn := clusterJobOf()
			fn.Spec.Job.Timeout = resource.Duration(100 * time.Hour)
			y.use(fn)
			y.deliver(fn, aToken, "e1")
			path := y.awaitJobs(1, nil)
			y.stop()
			if n := len(y.ends()); n != 0 {
				t.Fatalf("%d ends reported: the Job goes on", n)
			}
			c.change(y)
			y.run()
			y.use(fn)
			if c.adopts {
				y.end(path, "Complete", "", kubetest.Object{"exitCode": 0})
				if end := y.awaitEnd(1); end.Status != 200 || end.Delivery != aToken {
					t.Errorf("reported %+v", end)
				}
				return
			}
			// Only when the delivery comes again.
			y.deliver(fn, attempt(2), "e1")
			y.end(path, "Complete", "", kubetest.Object{"exitCode": 0})
			if end := y.awaitEnd(1); end.Status != 200 || end.Delivery != attempt(2) {
				t.Errorf("reported %+v", end)
			}
			y.awaitJobs(1, nil)
		})
	}
}

func TestAJobThatWasDeletedHasFailed(t *testing.T) {
	y := newYard(t, secretToken)
	fn := clusterJobOf()
	y.use(fn)
	y.deliver(fn, aToken, "e1")
	path := y.awaitJobs(1, nil)
	namespace, err := y.c.Cluster.Namespace()
	if err != nil {
		t.Fatal(err)
	}
	if err := y.c.Cluster.Delete(t.Context(), cluster.Jobs(), namespace, path[strings.LastIndexByte(path, '/')+1:], ""); err != nil {
		t.Fatal(err)
	}
	if end := y.awaitEnd(1); end.Status != 500 || end.Body != "the Job was deleted" {
		t.Errorf("reported %+v", end)
	}
}

func TestWhatTheClusterRefuses(t *testing.T) {
	for _, c := range []struct{ status, want int }{{http.StatusForbidden, 503}, {http.StatusUnprocessableEntity, 422}, {http.StatusInternalServerError, 503}} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			y := newYard(t, secretToken)
			fn := clusterJobOf()
			y.use(fn)
			y.api.Refuse(func(method, _ string) (int, string) {
				if method == http.MethodPatch {
					return c.status, "no"
				}
				return 0, ""
			})
			if resp, body := y.call(t.Context(), fn, &aToken, "e1"); resp.StatusCode != c.want {
				t.Errorf("answered %d %s", resp.StatusCode, body)
			}
			if s, _ := y.host.Status(fn); s.Replicas != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestAnEventThatIsTooLargeForASecretIsRefused(t *testing.T) {
	fn := clusterJobOf()
	d := &jobDesign{fn: fn, record: &record{}, input: &input{data: slices.Repeat([]byte("x"), maxSecret+1)}}
	if _, err := d.job(); err == nil || !strings.Contains(err.Error(), "fit into a Secret") {
		t.Errorf("got %v", err)
	}
}
