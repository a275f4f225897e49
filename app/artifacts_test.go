package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// packFile is an artifact of one file.
func packFile(t *testing.T, content string) (digest string, b *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.py"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	b = &bytes.Buffer{}
	p, err := artifacts.Pack(dir, artifacts.DefaultLimits(), nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return p.Digest, b
}

func scriptsOf(version, digest string) resource.Object {
	return resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: "f"},
		Spec: []byte(`{"version":"` + version + `","scripts":{"runtime":"python","files":["f.py"]},"artifact":"` + digest + `"}`),
	}
}

func TestAFunctionNamesOnlyArtifactsThatAreThereAndKeepsThem(t *testing.T) {
	s := openShop(t)
	store, err := artifacts.NewStore(artifacts.StoreConfig{Objects: artifacts.NewDirectory(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	s.artifacts = store
	one, first := packFile(t, "1")
	two, second := packFile(t, "2")
	unused, third := packFile(t, "3")
	var faults resource.Faults
	if _, err := s.Apply(t.Context(), []resource.Object{scriptsOf("v1", one)}, false); !errors.As(err, &faults) || faults[0].Field != "spec.artifact" {
		t.Errorf("what is not there is named: %v", err)
	}
	if _, err := s.Apply(t.Context(), []resource.Object{scriptsOf("v1", one)}, true); err != nil {
		t.Errorf("a dry run before the upload: %v", err)
	}
	if _, _, err := s.Put(t.Context(), scriptsOf("v1", one), gateway.Condition{}); !errors.As(err, &faults) {
		t.Errorf("what is not there is named: %v", err)
	}
	for digest, b := range map[string]*bytes.Buffer{one: first, two: second, unused: third} {
		if _, err := store.Put(t.Context(), digest, bytes.NewReader(b.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	s.apply(scriptsOf("v1", one))
	s.apply(scriptsOf("v2", two))
	// v1 is kept beside v2, so its files are named too.
	a := &App{ledger: s.ledger, artifacts: store}
	named, err := a.namedArtifacts(t.Context())
	if err != nil || !named[one] || !named[two] || named[unused] {
		t.Errorf("%v %v", named, err)
	}
}

func TestArtifactOptionsNameEveryFault(t *testing.T) {
	for want, change := range map[string]func(*ArtifactOptions){
		"": func(o *ArtifactOptions) {
			o.Artifacts = "s3://bucket/prefix"
			o.ArtifactsEndpoint = "http://127.0.0.1:9000"
		},
		"--artifacts-grace 1s":   func(o *ArtifactOptions) { o.ArtifactsGrace = 1e9 },
		"want s3://bucket":       func(o *ArtifactOptions) { o.Artifacts = "s3:///x" },
		"want both or none":      func(o *ArtifactOptions) { o.Artifacts, o.ArtifactsAccessKey = "s3://b", "k" },
		"only with --artifacts ": func(o *ArtifactOptions) { o.ArtifactsRegion = "eu" },
	} {
		o := defaultArtifacts()
		change(&o)
		err := errors.Join(o.validate()...)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestErrorsOfTheStoreAreSaidInTheGatewaysTerms(t *testing.T) {
	for ours, want := range map[error]error{
		artifacts.ErrNotFound: gateway.ErrNotFound, artifacts.ErrMalformed: gateway.ErrArtifact, artifacts.ErrDigest: gateway.ErrArtifact,
		artifacts.ErrTooLarge: gateway.ErrArtifact, artifacts.ErrUnavailable: gateway.ErrUnavailable,
	} {
		if !errors.Is(artifactError(ours), want) {
			t.Errorf("%v is not %v", ours, want)
		}
	}
}

func TestTheStoresCredentialsAreNotTheFunctions(t *testing.T) {
	environ := []string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=y"}
	for name, c := range map[string]struct {
		options ArtifactOptions
		want    int
	}{
		"a directory":              {ArtifactOptions{}, 3},
		"S3 by the environment":    {ArtifactOptions{Artifacts: "s3://b"}, 1},
		"S3 by options of its own": {ArtifactOptions{Artifacts: "s3://b", ArtifactsAccessKey: "a", ArtifactsSecretKey: "b"}, 3},
	} {
		if got := c.options.inherited(environ); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
