//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/functions/openfaas/openfaastest"
)

// No OpenFaaS is started here: its gateway is one written after its API's description.
func TestAnImageRunsInOpenFaaS(t *testing.T) {
	fn := newRecorder(t, nil)
	gateway := openfaastest.Start(t, "hunter2-hunter2", fn)
	secrets := t.TempDir()
	for name, value := range map[string]string{"faas": "hunter2-hunter2", "api": "swordfish-swordfish"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, append(embeddedArgs(t), "--openfaas-gateway", gateway.URL, "--openfaas-password-secret", "faas", "--secrets-dir", secrets)...)
	s.apply(imageManifest("faas", "1", "openfaas", ", mounts: [{path: /var/openfaas/secrets/key, secret: api}]"))
	await(t, "the deployment", func() error {
		if len(gateway.Functions()) != 1 {
			return os.ErrNotExist
		}
		return nil
	})
	name := gateway.Functions()[0]
	s.emitID("1", "com.example.faas", `{"a": 1}`)
	gateway.Scale(name, 1, 1)
	if c := fn.awaitCalls(t, 1)[0]; c.id() != "1" || c.body != `{"a": 1}` || c.path != "/function/"+name {
		t.Errorf("got %s %s at %s", c.id(), c.body, c.path)
	}
	if gateway.Secret("key") != "swordfish-swordfish" || strings.Contains(s.out.String(), "hunter2") || strings.Contains(s.out.String(), "swordfish") {
		t.Errorf("the secret is %q, the log\n%s", gateway.Secret("key"), s.out)
	}
}
