package app

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

const aRootKey = "a-root-key-of-at-least-32-characters"

func TestWhoListensToTheNetworkSaysWhoMayCome(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "root-key")
	if err := os.WriteFile(file, []byte(aRootKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	oidc := []string{"--oidc-issuer", "https://id.example", "--oidc-audience", "signalbox"}
	for name, x := range map[string]struct {
		args []string
		want string
	}{
		"loopback":                     {nil, ""},
		"loopback by name":             {[]string{"--http", "localhost:80"}, ""},
		"every address":                {[]string{"--http", "0.0.0.0:8080"}, "anyone who reaches this address may do everything: set --auth required, listen on loopback, or say --allow-unauthenticated-network"},
		"no host is every address":     {[]string{"--http", ":8080"}, "--allow-unauthenticated-network"},
		"every address, and said so":   {[]string{"--http", "0.0.0.0:8080", "--allow-unauthenticated-network"}, ""},
		"every address, with keys":     {[]string{"--http", "0.0.0.0:8080", "--auth", "required"}, ""},
		"a dispatcher serves nothing":  {[]string{"--http", "0.0.0.0:8080", "--roles", "dispatcher"}, ""},
		"auth of another kind":         {[]string{"--auth", "maybe"}, "--auth maybe: want none or required"},
		"a short root key":             {[]string{"--root-key", "secret"}, "--root-key of 6 characters: want at least 32"},
		"a root key with blanks":       {[]string{"--root-key", strings.Repeat("a b ", 10)}, "--root-key: want letters"},
		"a root key in a file":         {[]string{"--root-key-file", file}, ""},
		"a root key twice":             {[]string{"--root-key-file", file, "--root-key", aRootKey}, "not both"},
		"no such file":                 {[]string{"--root-key-file", file + "x"}, "--root-key-file: open"},
		"a certificate without a key":  {[]string{"--tls-cert", "x"}, "--tls-cert and --tls-key, or neither"},
		"a CA without a certificate":   {[]string{"--tls-client-ca", "x"}, "--tls-cert beside it"},
		"a negative rate":              {[]string{"--identity-rate", "-1"}, "--identity-rate -1"},
		"an issuer":                    {oidc, ""},
		"no audience":                  {oidc[:2:2], "--oidc-audience empty"},
		"an audience alone":            {oidc[2:], "--oidc-issuer beside it"},
		"keys without TLS":             {append([]string{"--oidc-jwks-url", "http://id.example/keys"}, oidc...), "--oidc-jwks-url: \"http://id.example/keys\": want an https URL"},
		"a role map, one value a flag": {append([]string{"--oidc-role-map", "group=ops=admin", "--oidc-role-map", "staff=viewer"}, oidc...), ""},
		"a role map without a role":    {append([]string{"--oidc-role-map", "staff="}, oidc...), "want value=role"},
	} {
		o, err := resolved(t, append(slices.Clone(x.args), "--data", dir), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		err = o.Validate()
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v shows the key", name, err)
		}
	}
}

func TestOptionsOfAccessReachTheGateway(t *testing.T) {
	o, err := resolved(t, []string{"--auth", "required", "--oidc-issuer", "https://id.example", "--oidc-audience", "a", "--oidc-role-map", "group=ops=admin"}, map[string]string{"SIGNALBOX_ROOT_KEY": aRootKey}, "identity-rate: 5\noidc-roles-claim: groups\n")
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.AccessOptions.config()
	if err != nil || !c.Required || c.RootKey != aRootKey || c.Rate != 5 || c.Tokens == nil || c.Tokens.RolesClaim != "groups" || c.Tokens.RoleMap["group=ops"] != "admin" || c.Tokens.Skew == 0 {
		t.Errorf("%+v, %+v, %v", c, c.Tokens, err)
	}
}

// policyObject is a policy of a package.
func policyObject(name, pkg, rules string) resource.Object {
	spec, _ := json.Marshal(resource.PolicySpec{Rego: "package signalbox." + pkg + "\nimport rego.v1\n" + rules})
	return resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindPolicy, Metadata: resource.Metadata{Name: name}, Spec: spec}
}

func managerOf(t *testing.T, objects ...resource.Object) manager {
	t.Helper()
	engine, err := policies.New(policies.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	set, faults := resource.NewSet(1, objects)
	if faults = append(faults, engine.Load(set)...); len(faults) > 0 {
		t.Fatal(faults)
	}
	return manager{engine: engine, config: policies.DefaultConfig(), all: func(context.Context) ([]resource.Object, error) { return slices.Clone(objects), nil }}
}

func TestManagementPoliciesSayWhoMayManage(t *testing.T) {
	link := resource.Object{Kind: resource.KindLink, Metadata: resource.Metadata{Name: "night-run"}, Spec: json.RawMessage(`{"function":"f","types":["t"]}`)}
	deny := policyObject("d", "management", `deny contains "not by night" if { input.verb == "write"; input.resource.kind == "Link"; startswith(input.resource.name, "night"); input.resource.spec.function == "f"; input.identity.kind == "anonymous" }`)
	allow := policyObject("a", "management", `allow if input.verb == "read"`)
	write := &gateway.ManageRequest{Verb: access.Write, Kind: resource.KindLink, Name: "night-run", Object: &link, Route: "/api/v1/links", Method: "POST"}
	for name, x := range map[string]struct {
		objects []resource.Object
		request *gateway.ManageRequest
		want    gateway.ManageVerdict
	}{
		"no policy":           {nil, write, gateway.ManageVerdict{}},
		"a denial":            {[]resource.Object{deny}, write, gateway.ManageVerdict{Denied: true, Reason: "not by night", Policy: "d"}},
		"one that is silent":  {[]resource.Object{deny}, &gateway.ManageRequest{Verb: access.Read, Kind: "runs"}, gateway.ManageVerdict{}},
		"allow that holds":    {[]resource.Object{allow}, &gateway.ManageRequest{Verb: access.Read, Kind: "runs"}, gateway.ManageVerdict{Ruled: true}},
		"allow that does not": {[]resource.Object{allow}, write, gateway.ManageVerdict{Denied: true, Reason: "no management policy allows it", Ruled: true}},
	} {
		if got, err := managerOf(t, x.objects...).Manage(t.Context(), x.request); err != nil || got != x.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, x.want)
		}
	}
}

func TestTheManagerLooksAhead(t *testing.T) {
	library := policyObject("l", "x", "")
	library.Spec = json.RawMessage(`{"rego":"package teams\nimport rego.v1\nauthors := {\"anonymous\"}"}`)
	uses := policyObject("u", "management", `allow if input.identity.kind in data.teams.authors`)
	emptied := library
	emptied.Spec = json.RawMessage(`{"rego":"package teams\nimport rego.v1\nauthors := {\"nobody\"}"}`)
	m := managerOf(t, library, uses)
	ask := &gateway.ManageRequest{Verb: access.Write, Kind: resource.KindPolicy, Name: "l"}
	for name, x := range map[string]struct {
		change gateway.ManageChange
		denied bool
	}{
		"the same again":            {gateway.ManageChange{Written: []resource.Object{library}}, false},
		"a library that is emptied": {gateway.ManageChange{Written: []resource.Object{emptied}}, true},
		"a policy that denies all":  {gateway.ManageChange{Written: []resource.Object{policyObject("n", "management", `deny contains "closed"`)}}, true},
		"the policy is deleted":     {gateway.ManageChange{Deleted: []resource.Object{uses}}, false},
		"another stage":             {gateway.ManageChange{Written: []resource.Object{policyObject("n", "admission", `deny contains "closed"`)}}, false},
		"one in shadow mode":        {gateway.ManageChange{Written: []resource.Object{inShadow(policyObject("n", "management", `deny contains "closed"`))}}, false},
	} {
		if got, err := m.ManageAfter(t.Context(), ask, x.change); err != nil || got.Denied != x.denied {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	var faults resource.Faults
	if _, err := m.ManageAfter(t.Context(), ask, gateway.ManageChange{Written: []resource.Object{policyObject("n", "management", `allow if {`)}}); !errors.As(err, &faults) {
		t.Errorf("%v: want faults", err)
	}
	if got, err := m.Manage(t.Context(), ask); err != nil || got.Denied {
		t.Errorf("%+v, %v: looking ahead changed what is in force", got, err)
	}
}

func inShadow(o resource.Object) resource.Object {
	var s resource.PolicySpec
	_ = json.Unmarshal(o.Spec, &s)
	s.Mode = resource.ModeShadow
	o.Spec, _ = json.Marshal(s)
	return o
}
