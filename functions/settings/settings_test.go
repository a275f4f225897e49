package settings

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

func function() *resource.Function {
	return &resource.Function{
		Metadata: resource.Metadata{Name: "thumbs"},
		Spec: resource.FunctionSpec{
			Version: "v2", Config: map[string]json.RawMessage{"width": json.RawMessage("200")},
			Env: []resource.EnvVar{
				{Name: "LEVEL", Value: "debug"}, {Name: "TOKEN", Secret: "shop-token"},
				{Name: "DB", KubernetesSecret: &resource.SecretKey{Name: "db", Key: "url"}},
			},
			Mounts: []resource.Mount{{Path: "/etc/app/ca.pem", Secret: "ca"}, {Path: "/etc/app/mode", Value: "fast"}},
		},
	}
}

func lookup(values map[string]string) Lookup {
	return func(name string) ([]byte, error) {
		if v, ok := values[name]; ok {
			return []byte(v), nil
		}
		return nil, errors.New("secret " + name + ": no such secret")
	}
}

func TestVariablesAndFilesHoldValuesAndSecrets(t *testing.T) {
	s, err := Resolve(function(), lookup(map[string]string{"shop-token": "s3cret", "ca": "PEM"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"SIGNALBOX_FUNCTION=thumbs", "SIGNALBOX_FUNCTION_VERSION=v2", `SIGNALBOX_CONFIG={"width":200}`, "LEVEL=debug", "TOKEN=s3cret"}
	if !slices.Equal(s.Env, want) {
		t.Errorf("env is %q: want %q", s.Env, want)
	}
	if len(s.Files) != 2 || string(s.Files[0].Data) != "PEM" || string(s.Files[1].Data) != "fast" {
		t.Errorf("files are %q", s.Files)
	}
	if len(s.Secrets) != 2 {
		t.Errorf("%d secrets are masked: want 2", len(s.Secrets))
	}
}

func TestEachMissingSecretIsNamed(t *testing.T) {
	_, err := Resolve(function(), lookup(nil))
	if err == nil || !strings.Contains(err.Error(), "env TOKEN: secret shop-token") || !strings.Contains(err.Error(), "mount /etc/app/ca.pem: secret ca") {
		t.Errorf("got %v", err)
	}
}

func TestTheDigestFollowsEveryPart(t *testing.T) {
	values := map[string]string{"shop-token": "a", "ca": "b"}
	digest := func(fn *resource.Function) string {
		s, err := Resolve(fn, lookup(values))
		if err != nil {
			t.Fatal(err)
		}
		return s.Digest
	}
	seen := map[string]string{digest(function()): "nothing"}
	note := func(what, d string) {
		if other, ok := seen[d]; ok {
			t.Errorf("%s changes nothing: same as %s", what, other)
		}
		seen[d] = what
	}
	fn := function()
	fn.Spec.Config["width"] = json.RawMessage("300")
	note("config", digest(fn))
	fn = function()
	fn.Spec.Env[0].Value = "info"
	note("a variable", digest(fn))
	fn = function()
	fn.Spec.Mounts[1].Path = "/etc/app/m"
	note("a path", digest(fn))
	values["shop-token"] = "c"
	note("a secret", digest(function()))
	values["shop-token"], values["ca"] = "a", "d"
	note("a file's secret", digest(function()))
	values["ca"] = "b"
	if _, same := seen[digest(function())]; !same {
		t.Error("the digest of the same settings is another one")
	}
}
