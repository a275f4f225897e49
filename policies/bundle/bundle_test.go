package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/signalbox-dev/signalbox/resource"
)

// server is a bundle server with entity tags.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	bundle   []byte
	tag      string
	status   int
	token    string
	requests []string // the status of each answer
}

func newServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(bundle []byte, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundle, s.tag, s.status = bundle, tag, 0
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := http.StatusOK
	switch {
	case s.status != 0:
		status = s.status
	case s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token:
		status = http.StatusUnauthorized
	case s.tag != "" && r.Header.Get("If-None-Match") == s.tag:
		status = http.StatusNotModified
	}
	s.requests = append(s.requests, fmt.Sprint(status))
	w.Header().Set("ETag", s.tag)
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = w.Write(s.bundle)
	}
}

// key is a pair of keys in files.
type key struct{ public, private string }

func newKey(t *testing.T) key {
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
	return key{writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))}
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// packed makes a bundle of modules and data, signed by OPA's own code unless private is "".
func packed(t testing.TB, revision string, modules map[string]string, data map[string]any, private, claims string) []byte {
	t.Helper()
	b := opa.Bundle{Manifest: opa.Manifest{Revision: revision}, Data: data}
	if data == nil {
		b.Data = map[string]any{}
	}
	for file, src := range modules {
		b.Modules = append(b.Modules, opa.ModuleFile{URL: file, Path: file, Raw: []byte(src), Parsed: ast.MustParseModule(src)})
	}
	slices.SortFunc(b.Modules, func(x, y opa.ModuleFile) int { return strings.Compare(x.Path, y.Path) })
	b.Manifest.Init()
	if private != "" {
		if err := b.GenerateSignature(opa.NewSigningConfig(private, "ES256", claims), "", false); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := opa.NewWriter(&out).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// edited changes one file of a bundle, or takes it out.
func edited(t *testing.T, raw []byte, name string, edit func([]byte) []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	w := tar.NewWriter(gz)
	r := tar.NewReader(z)
	found := false
	for {
		h, err := r.Next()
		if err != nil {
			break
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		b := content.Bytes()
		if strings.TrimPrefix(h.Name, "/") == name {
			found = true
			if b = edit(b); b == nil {
				continue
			}
		}
		h.Size = int64(len(b))
		if err := errors.Join(w.WriteHeader(h), func() error { _, err := w.Write(b); return err }()); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("the bundle has no %s", name)
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func source(t *testing.T, s *server, change func(*Config)) *Source {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.URL, cfg.Algorithm = "authz", s.URL+"/authz.tar.gz?sig=secret", "ES256"
	if change != nil {
		change(&cfg)
	}
	src, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

var modules = map[string]string{
	"/night.rego":      "# METADATA\n# custom:\n#   signalbox: {priority: 3}\npackage signalbox.trigger\n\ndeny contains \"x\" if input.event.x\n",
	"/lib/Clock.rego":  "package clock\n\np := 1\n",
	"/night_test.rego": "package night_test\n\ntest_x if true\n",
}

func TestABundleBecomesPolicies(t *testing.T) {
	s := newServer(t)
	s.set(packed(t, "r1", modules, map[string]any{"limits": map[string]any{"a": json.Number("12345678901234567890")}}, "", ""), `"1"`)
	b, err := source(t, s, nil).Fetch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]resource.PolicySpec{}
	for _, o := range b.Objects {
		var spec resource.PolicySpec
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			t.Fatal(err)
		}
		got[o.Metadata.Name] = spec
		if o.Metadata.Annotations[Annotation] != "authz" || o.Metadata.Annotations[RevisionAnnotation] != "r1" {
			t.Errorf("%s: annotations %v", o.Metadata.Name, o.Metadata.Annotations)
		}
	}
	if len(got) != 3 || b.ETag != `"1"` || b.Revision != "r1" {
		t.Errorf("%v, etag %s, revision %s", got, b.ETag, b.Revision)
	}
	if p := got["authz.night"]; p.Rego != modules["/night.rego"] || p.Priority != 3 {
		t.Errorf("authz.night: %+v", p)
	}
	if p := got["authz.lib.clock"]; !strings.HasPrefix(p.Rego, "package clock") {
		t.Errorf("authz.lib.clock: %+v", p)
	}
	if d := string(got["authz.data"].Data["limits"]); d != `{"a":12345678901234567890}` {
		t.Errorf("authz.data: %s", d)
	}
}

func TestWithoutARevisionTheContentIsIt(t *testing.T) {
	s := newServer(t)
	var revisions []string
	for _, src := range []string{"package a\n", "package a\n", "package b\n"} {
		s.set(packed(t, "", map[string]string{"/a.rego": src}, nil, "", ""), "")
		b, err := source(t, s, nil).Fetch(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, b.Revision)
	}
	if revisions[0] != revisions[1] || revisions[1] == revisions[2] || !strings.HasPrefix(revisions[0], "sha256:") {
		t.Errorf("%v", revisions)
	}
}

func TestTheEntityTagIsAskedFor(t *testing.T) {
	s := newServer(t)
	s.set(packed(t, "1", modules, nil, "", ""), `"1"`)
	src := source(t, s, nil)
	if _, err := src.Fetch(t.Context(), `"1"`); !errors.Is(err, ErrNotModified) {
		t.Errorf("the same tag: %v", err)
	}
	if b, err := src.Fetch(t.Context(), `"0"`); err != nil || b.ETag != `"1"` {
		t.Errorf("another tag: %v", err)
	}
	if got := strings.Join(s.requests, " "); got != "304 200" {
		t.Errorf("answers %s", got)
	}
}

func TestOnlyWhatOneOfTheKeysHasSignedIsTaken(t *testing.T) {
	ours, next, theirs := newKey(t), newKey(t), newKey(t)
	scoped := writeFile(t, []byte(`{"scope": "write"}`))
	good := packed(t, "1", modules, map[string]any{"a": 1}, ours.private, "")
	for name, tt := range map[string]struct {
		bundle []byte
		change func(*Config)
		want   string // "" is taken
	}{
		"signed":                   {good, nil, ""},
		"signed by the next":       {packed(t, "1", modules, nil, next.private, ""), nil, ""},
		"signed by a stranger":     {packed(t, "1", modules, nil, theirs.private, ""), nil, "failed to verify JWT signature"},
		"not signed":               {packed(t, "1", modules, nil, "", ""), nil, "bundle missing .signatures.json file"},
		"a module tampered with":   {edited(t, good, "night.rego", func(b []byte) []byte { return append(b, "deny contains \"y\"\n"...) }), nil, "digest mismatch"},
		"data tampered with":       {edited(t, good, "data.json", func([]byte) []byte { return []byte(`{"a":2}`) }), nil, "digest mismatch"},
		"a module taken out":       {edited(t, good, "lib/Clock.rego", func([]byte) []byte { return nil }), nil, "lib/Clock.rego"},
		"the signature taken out":  {edited(t, good, ".signatures.json", func([]byte) []byte { return nil }), nil, "bundle missing .signatures.json file"},
		"another algorithm":        {good, func(c *Config) { c.Algorithm = "RS256" }, "signature"},
		"a scope that is wanted":   {good, func(c *Config) { c.Scope = "write" }, "scope mismatch"},
		"the scope that is wanted": {packed(t, "1", modules, nil, ours.private, scoped), func(c *Config) { c.Scope = "write" }, ""},
		"no key is there":          {good, func(c *Config) { c.KeyFiles = []string{filepath.Join(t.TempDir(), "gone")} }, "no such file"},
		"no keys are configured":   {packed(t, "1", modules, nil, theirs.private, ""), func(c *Config) { c.KeyFiles = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.set(tt.bundle, "")
			_, err := source(t, s, func(c *Config) {
				c.KeyFiles = []string{ours.public, next.public}
				if tt.change != nil {
					tt.change(c)
				}
			}).Fetch(t.Context(), "")
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrSignature)):
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestAKeyMayBeReplacedWhileRunning(t *testing.T) {
	old, next := newKey(t), newKey(t)
	s := newServer(t)
	src := source(t, s, func(c *Config) { c.KeyFiles = []string{old.public} })
	s.set(packed(t, "2", modules, nil, next.private, ""), "")
	if _, err := src.Fetch(t.Context(), ""); !errors.Is(err, ErrSignature) {
		t.Errorf("before: %v", err)
	}
	b, err := os.ReadFile(next.public)
	if err == nil {
		err = os.WriteFile(old.public, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Fetch(t.Context(), ""); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestWhatIsNoBundleIsRefused(t *testing.T) {
	large := packed(t, "1", map[string]string{"/a.rego": "package a\n\nx := \"" + strings.Repeat("x", 100_000) + "\"\n"}, nil, "", "")
	for name, tt := range map[string]struct {
		bundle []byte
		kind   error
		want   string
	}{
		"text":                           {[]byte("<html>"), nil, "no bundle"},
		"nothing in it":                  {packed(t, "1", nil, nil, "", ""), nil, "holds no policies"},
		"large when unpacked":            {large, ErrTooLarge, "unpacked"},
		"large as it comes":              {bytes.Repeat([]byte{0}, 20_000), ErrTooLarge, "over 16384 bytes"},
		"Rego that is none":              {edited(t, packed(t, "1", modules, nil, "", ""), "night.rego", func([]byte) []byte { return []byte("package") }), nil, "night.rego:1"},
		"a package outside of the roots": {edited(t, packed(t, "1", modules, nil, "", ""), ".manifest", func([]byte) []byte { return []byte(`{"roots":["other"]}`) }), nil, "do not permit"},
		"two modules with one name":      {packed(t, "1", map[string]string{"/a-b.rego": "package a\n", "/a_b.rego": "package b\n"}, nil, "", ""), nil, "would both be policy authz.a-b"},
		"settings that are wrong":        {packed(t, "1", map[string]string{"/a.rego": "# METADATA\n# custom: {signalbox: {mode: loud}}\npackage a\n"}, nil, "", ""), nil, `a.rego: spec.mode: "loud"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.set(tt.bundle, "")
			_, err := source(t, s, func(c *Config) { c.MaxBytes = 16 << 10 }).Fetch(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestAServerThatFailsIsAnError(t *testing.T) {
	s := newServer(t)
	s.set(packed(t, "1", modules, nil, "", ""), "")
	s.token = "s3cret"
	token := writeFile(t, []byte("s3cret\n"))
	if _, err := source(t, s, nil).Fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") {
		t.Errorf("no token: %v", err)
	}
	if _, err := source(t, s, func(c *Config) { c.TokenFile = token }).Fetch(t.Context(), ""); err != nil {
		t.Errorf("with the token: %v", err)
	}
	s.token, s.status = "", http.StatusInternalServerError
	if _, err := source(t, s, nil).Fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("500: %v", err)
	}
	s.Close()
	if _, err := source(t, s, nil).Fetch(t.Context(), ""); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("down: %v", err)
	}
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hangs.Close()
	src := source(t, &server{Server: hangs}, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	if _, err := src.Fetch(context.Background(), ""); err == nil {
		t.Error("a server that hangs: no error")
	}
}

func TestTheServersCertificateIsChecked(t *testing.T) {
	s := &server{}
	s.Server = httptest.NewTLSServer(s)
	defer s.Close()
	s.Config.ErrorLog = nil
	s.set(packed(t, "1", modules, nil, "", ""), "")
	if _, err := source(t, s, nil).Fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown CA: %v", err)
	}
	ca := writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if _, err := source(t, s, func(c *Config) { c.CAFile = ca }).Fetch(t.Context(), ""); err != nil {
		t.Errorf("known CA: %v", err)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"https://host/bundles/authz.tar.gz":    "authz https://host/bundles/authz.tar.gz",
		"https://host/b/Authz_Main.tar.gz?a=b": "authz-main https://host/b/Authz_Main.tar.gz?a=b",
		"team.a=http://host:8181/x":            "team.a http://host:8181/x",
		"https://host/bundle.tgz":              "bundle https://host/bundle.tgz",
		"file:///x":                            "",
		"A=http://host/x":                      "",
		"http://host/":                         "",
	} {
		name, address, err := Parse(in)
		if got := name + " " + address; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	_, err := New(Config{Name: "A b", URL: "file:///x", Algorithm: "none"})
	for _, want := range []string{"Name", "URL", "Algorithm", "MaxBytes", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}
