//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// opaCommand builds OPA's own command, of the version in go.mod, where other
// runs find it too.
func opaCommand(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSpace(string(out))
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "signalbox-test", "opa-"+version)
	opa := filepath.Join(bin, "opa")
	if _, err := os.Stat(opa); err == nil {
		return opa
	}
	cmd := exec.Command("go", "install", "github.com/open-policy-agent/opa@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return opa
}

// signingKey is a pair of keys in files.
type signingKey struct{ public, private string }

func newSigningKey(t testing.TB) signingKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key := signingKey{filepath.Join(dir, "public.pem"), filepath.Join(dir, "private.pem")}
	writeTo(t, key.public, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	writeTo(t, key.private, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
	return key
}

func writeTo(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// built is a bundle made by `opa build`, signed unless the key is empty.
func built(t testing.TB, revision, private string, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		writeTo(t, filepath.Join(dir, "src", name), content)
	}
	args := []string{"build", "--bundle", ".", "--revision", revision, "--output", "../bundle.tar.gz"}
	if private != "" {
		args = append(args, "--signing-key", private, "--signing-alg", "ES256")
	}
	cmd := exec.Command(opaCommand(t), args...)
	cmd.Dir = filepath.Join(dir, "src")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("opa %v: %v\n%s", args, err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "bundle.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bundleServer answers one bundle, with its digest as entity tag.
type bundleServer struct {
	*httptest.Server
	mu          sync.Mutex
	bundle      []byte
	status      int
	notModified int
}

func newBundleServer(t testing.TB) *bundleServer {
	b := &bundleServer{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := sha256.Sum256(b.bundle)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	switch {
	case b.status != 0:
		w.WriteHeader(b.status)
	case r.Header.Get("If-None-Match") == tag:
		b.notModified++
		w.WriteHeader(http.StatusNotModified)
	default:
		_, _ = w.Write(b.bundle)
	}
}

func (b *bundleServer) serves(bundle []byte, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bundle, b.status = bundle, status
}

// refuses is an admission policy that refuses events of a type.
func refuses(typ string) map[string]string {
	return map[string]string{
		"admission/types.rego": "package signalbox.admission\n\ndeny contains sprintf(\"no %s here\", [t]) if {\n\tsome t in data.types.refused\n\tinput.event.type == t\n}\n",
		"types/data.json":      fmt.Sprintf(`{"refused": [%q]}`, typ),
	}
}

// wants waits until just the one type of a and b is refused.
func (s *server) wants(refused, accepted string) {
	s.t.Helper()
	await(s.t, refused+" to be refused", func() error {
		if status, body := s.post("/events", binaryHeader(unique(s.t), refused), "{}"); status != http.StatusForbidden {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if status, body := s.post("/events", binaryHeader(unique(s.t), accepted), "{}"); status != http.StatusAccepted {
		s.t.Errorf("%s: %d %s", accepted, status, body)
	}
}

func TestPoliciesOfABundleServerAreInForce(t *testing.T) {
	everywhere(t, func(t *testing.T, first *server) {
		key, next, stranger := newSigningKey(t), newSigningKey(t), newSigningKey(t)
		bundles := newBundleServer(t)
		good := built(t, "r1", key.private, refuses("com.example.a"))
		bundles.serves(good, 0)
		first.stop()
		args := append(slices.Clone(first.args[:len(first.args)-2]), "--policy-bundle", bundles.URL+"/authz.tar.gz", "--policy-bundle-poll", "1s",
			"--policy-bundle-key", key.public, "--policy-bundle-alg", "ES256")
		s := start(t, args...)
		s.wants("com.example.a", "com.example.b")
		p, err := s.Get(t.Context(), policyKind(t), "authz.admission.types")
		if err != nil || p.Metadata.Annotations["signalbox.dev/bundle-revision"] != "r1" {
			t.Fatalf("%+v, %v", p.Metadata, err)
		}
		stays := func(what string, bundle []byte, status int) {
			t.Helper()
			var failed float64
			for s.metricAtLeast(`signalbox_policy_bundle_polls_total{bundle="authz",result="failed"}`, failed+1) == nil {
				failed++
			}
			bundles.serves(bundle, status)
			await(t, what+": two failures to be counted", func() error {
				return s.metricAtLeast(`signalbox_policy_bundle_polls_total{bundle="authz",result="failed"}`, failed+2)
			})
			s.awaitReady()
			now, err := s.Get(t.Context(), policyKind(t), "authz.admission.types")
			if err != nil || now.Metadata.Revision != p.Metadata.Revision {
				t.Errorf("%s: %+v, %v", what, now.Metadata, err)
			}
			s.wants("com.example.a", "com.example.b")
		}
		stays("signed by a stranger", built(t, "r2", stranger.private, refuses("com.example.b")), 0)
		stays("not signed", built(t, "r3", "", refuses("com.example.b")), 0)
		stays("cut off", good[:len(good)/2], 0)
		stays("a policy that does not compile here", built(t, "r4", key.private, map[string]string{"a.rego": "package signalbox.trigger\n\ndeny := 1\n"}), 0)
		stays("a server that fails", good, http.StatusInternalServerError)

		bundles.serves(built(t, "r5", key.private, refuses("com.example.b")), 0)
		s.wants("com.example.b", "com.example.a")
		bundles.mu.Lock()
		before := bundles.notModified
		bundles.mu.Unlock()
		await(t, "the bundle not to be sent again", func() error {
			bundles.mu.Lock()
			defer bundles.mu.Unlock()
			if bundles.notModified < before+2 {
				return fmt.Errorf("%d answers of 304", bundles.notModified-before)
			}
			return nil
		})

		// The key is replaced, and a module that is gone goes here, too.
		b, err := os.ReadFile(next.public)
		if err != nil {
			t.Fatal(err)
		}
		writeTo(t, key.public, string(b))
		bundles.serves(built(t, "r6", next.private, map[string]string{
			"admission/other.rego": "package signalbox.admission\n\ndeny contains \"no c here\" if input.event.type == \"com.example.c\"\n",
		}), 0)
		s.wants("com.example.c", "com.example.b")
		if _, err := s.Get(t.Context(), policyKind(t), "authz.admission.types"); !client.IsNotFound(err) {
			t.Errorf("the module that is gone: %v", err)
		}

		// Down, and started again: what was in force stays so.
		bundles.Close()
		s.stop()
		s = start(t, args...)
		s.wants("com.example.c", "com.example.b")
	})
}

func policyKind(t testing.TB) resource.Kind {
	t.Helper()
	k, err := resource.LookupKind(resource.KindPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIfComparesWhatWasRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, s *server) {
		fn := newRecorder(t, nil)
		s.apply(functionManifest("sink", fn.URL, "com.example.even"))
		var batch []string
		for i := range 500 {
			typ := []string{"com.example.even", "com.example.odd"}[i%2]
			batch = append(batch, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/e2e","type":%q,"data":{"n":%d}}`, i, typ, i))
		}
		if status, body := s.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, "["+strings.Join(batch, ",")+"]"); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, body)
		}
		objects, err := resource.Decode("test", []byte(`
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: odd}
spec: {function: sink, types: [com.example.odd]}
---
apiVersion: signalbox.dev/v1
kind: Policy
metadata: {name: low}
spec:
  rego: |
    package signalbox.trigger
    deny contains {"link": "sink", "reason": "too low"} if input.event.data.n < 100
`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.WhatIf(t.Context(), client.WhatIf{Objects: objects, Where: "source = '/e2e'", Examples: 2}, nil)
		if err != nil || got.Events != 500 || got.Changed != 300 || len(got.Functions) != 1 || len(got.Links) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if f := got.Functions[0]; f.Before != 250 || f.After != 450 || f.Newly != 250 || f.Stops != 50 || len(f.Examples) != 4 {
			t.Errorf("%+v", f)
		}
		for _, x := range got.Links[1].Examples {
			if x.Change != "stops" || !strings.Contains(x.After, "too low") {
				t.Errorf("%+v", x)
			}
		}
		if _, err := s.Get(t.Context(), policyKind(t), "low"); !client.IsNotFound(err) {
			t.Errorf("the candidate is there: %v", err)
		}
	})
}
