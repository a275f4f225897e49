package resource

import (
	"slices"
	"strings"
	"testing"
)

const callHead = "apiVersion: signalbox.dev/v1\nkind: Function\nmetadata: {name: f}\nspec:\n  url: https://f.example/\n"

func TestCallIsRead(t *testing.T) {
	objects, err := Decode("test", []byte(callHead+`  call:
    sign: {secrets: [one, two]}
    bearer: {oidc: {tokenURL: "https://id.example/token", clientID: me, clientSecret: id, scopes: [a], audience: b, clientAuth: post}}
    tls: {clientCert: cert, clientKey: key, ca: ca.pem}
`))
	if err != nil {
		t.Fatal(err)
	}
	set, faults := NewSet(1, objects)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	c := set.Function("f", "").Spec.Call
	if c == nil || !slices.Equal(c.Sign.Secrets, []string{"one", "two"}) || c.Bearer.OIDC.ClientSecret != "id" || c.TLS.CA != "ca.pem" {
		t.Errorf("%+v", c)
	}
}

func TestCallNamesEveryFault(t *testing.T) {
	for _, c := range []struct{ name, spec, want string }{
		{"nothing in it", "call: {}", "spec.call: empty"},
		{"no secret", "call: {sign: {secrets: []}}", "spec.call.sign.secrets: 0 names: want 1 to 4"},
		{"too many", "call: {sign: {secrets: [a, b, c, d, e]}}", "5 names"},
		{"one twice", "call: {sign: {secrets: [a, a]}}", `spec.call.sign.secrets[1]: "a" stands twice`},
		{"a path as a name", "call: {sign: {secrets: [../a]}}", `spec.call.sign.secrets[0]: 4 characters: want the name of a secret`},
		{"no token", "call: {bearer: {}}", "spec.call.bearer: want exactly one of secret, oidc"},
		{"two tokens", "call: {bearer: {secret: a, oidc: {tokenURL: 'https://i/t', clientID: c, clientSecret: s}}}", "want exactly one of secret, oidc"},
		{"a token in the manifest", "call: {bearer: {secret: eyJhbGciOi}}", "spec.call.bearer.secret: 10 characters"},
		{"a relative endpoint", "call: {bearer: {oidc: {tokenURL: /token, clientID: c, clientSecret: s}}}", "spec.call.bearer.oidc.tokenURL"},
		{"credentials in it", "call: {bearer: {oidc: {tokenURL: 'https://u:p@i/t', clientID: c, clientSecret: s}}}", "credentials do not belong in a manifest"},
		{"no client", "call: {bearer: {oidc: {tokenURL: 'https://i/t', clientSecret: s}}}", "spec.call.bearer.oidc.clientID"},
		{"no client secret", "call: {bearer: {oidc: {tokenURL: 'https://i/t', clientID: c}}}", "spec.call.bearer.oidc.clientSecret"},
		{"a scope that is two", "call: {bearer: {oidc: {tokenURL: 'https://i/t', clientID: c, clientSecret: s, scopes: ['a b']}}}", "spec.call.bearer.oidc.scopes[0]"},
		{"an unknown client auth", "call: {bearer: {oidc: {tokenURL: 'https://i/t', clientID: c, clientSecret: s, clientAuth: jwt}}}", "want basic or post"},
		{"a certificate without its key", "call: {tls: {clientCert: a}}", "spec.call.tls: want clientCert and clientKey, or neither"},
		{"no certificate", "call: {tls: {}}", "spec.call.tls: empty"},
		{"a misspelt field", "call: {mtls: {}}", "mtls"},
	} {
		t.Run(c.name, func(t *testing.T) { wantFault(t, callHead+"  "+c.spec+"\n", c.want) })
	}
	wantFault(t, strings.Replace(callHead, "https", "http", 1)+"  call: {tls: {ca: a}}\n", "begins with http: want https")
	wantFault(t, strings.Replace(callHead, "url: https://f.example/", "command: [f]", 1)+"  call: {tls: {ca: a}}\n", "is called without TLS")
}

func wantFault(t *testing.T, manifest, want string) {
	t.Helper()
	objects, err := Decode("test", []byte(manifest))
	if err == nil {
		_, faults := NewSet(1, objects)
		err = faults
		if len(faults) == 0 {
			err = nil
		}
	}
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "u:p@") {
		t.Errorf("%v: want %q", err, want)
	}
}
