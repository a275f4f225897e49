package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// resolved parses args, env and a configuration file into options.
func resolved(t *testing.T, args []string, env map[string]string, file string) (Options, error) {
	t.Helper()
	o := DefaultOptions()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	name := ""
	if file != "" {
		name = filepath.Join(t.TempDir(), "signalbox.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := Resolve(fs, func(k string) (string, bool) { v, ok := env[k]; return v, ok }, name)
	return o, err
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	env := map[string]string{"SIGNALBOX_KAFKA": "env:1", "SIGNALBOX_MAX_BODY": "2048"}
	o, err := resolved(t, []string{"--kafka", "flag:1"}, env, "kafka: file:1\nmax-body: 4096\nmax-batch: 7\nroles: [gateway]\n")
	if err != nil {
		t.Fatal(err)
	}
	if o.Kafka != "flag:1" || o.MaxBody != 2048 || o.MaxBatch != 7 || len(o.Roles) != 1 || o.Roles[0] != "gateway" {
		t.Errorf("got kafka %q, max-body %d, max-batch %d, roles %v", o.Kafka, o.MaxBody, o.MaxBatch, o.Roles)
	}
}

func TestAWrongValueIsNamedWithItsSource(t *testing.T) {
	tables := map[string]struct {
		env  map[string]string
		file string
		want string
	}{
		"in the environment":        {env: map[string]string{"SIGNALBOX_MAX_BODY": "many"}, want: `SIGNALBOX_MAX_BODY="many"`},
		"in the file":               {file: "max-body: many\n", want: "max-body"},
		"an unknown key":            {file: "max-bodies: 1\n", want: `unknown key "max-bodies"`},
		"a file that is no mapping": {file: "- a\n", want: "not a YAML mapping"},
	}
	for name, tt := range tables {
		t.Run(name, func(t *testing.T) {
			_, err := resolved(t, nil, tt.env, tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestValidateNamesEveryFaultAndWhatIsAllowed(t *testing.T) {
	o := DefaultOptions()
	o.Data = t.TempDir()
	if err := o.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	o.Roles, o.LogFormat, o.DedupAway = []string{"cook"}, "xml", "forget"
	err := o.Validate()
	for _, want := range []string{"--roles cook", "--log-format xml: want text or json", "--dedup-away forget: want deliver or hold"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}
