package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// What --auth can be.
const (
	AuthNone     = "none"
	AuthRequired = "required"
)

// AccessOptions say who is let in and by which certificate the server is known.
type AccessOptions struct {
	Auth                        string
	AllowUnauthenticatedNetwork bool
	RootKey                     string
	RootKeyFile                 string
	IdentityRate                float64

	TLSCert     string
	TLSKey      string
	TLSClientCA string

	OIDCIssuer     string
	OIDCAudience   string
	OIDCKeysURL    string
	OIDCKeysFile   string
	OIDCRolesClaim string
	OIDCRoleMap    []string

	FunctionNetworks []string
	CallbackNetworks []string
	CallbackSecrets  []string
	FunctionCA       string
}

func defaultAccess() AccessOptions {
	return AccessOptions{Auth: AuthNone, OIDCRolesClaim: access.DefaultJWTConfig().RolesClaim}
}

func (o *AccessOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Auth, "auth", o.Auth, "none, or required: requests need the token of a key, an OpenID token or a client certificate")
	fs.BoolVar(&o.AllowUnauthenticatedNetwork, "allow-unauthenticated-network", o.AllowUnauthenticatedNetwork, "with --auth none, listen on other addresses than loopback all the same: anyone who reaches this address may do everything")
	fs.StringVar(&o.RootKey, "root-key", o.RootKey, "a token of at least 32 characters that may do everything (better given by environment or file)")
	fs.StringVar(&o.RootKeyFile, "root-key-file", o.RootKeyFile, "file with the root key")
	fs.Float64Var(&o.IdentityRate, "identity-rate", o.IdentityRate, "events per second that this process takes from each identity that has no rate of its own; 0: no bound")

	fs.StringVar(&o.TLSCert, "tls-cert", o.TLSCert, "file with the server's certificate and its chain (PEM), read again when it changes; empty: HTTP without TLS")
	fs.StringVar(&o.TLSKey, "tls-key", o.TLSKey, "file with the key of the server's certificate (PEM)")
	fs.StringVar(&o.TLSClientCA, "tls-client-ca", o.TLSClientCA, "file with the CA certificates of clients (PEM), whose certificates are identities; empty: none are asked for")

	fs.StringVar(&o.OIDCIssuer, "oidc-issuer", o.OIDCIssuer, "issuer (iss) whose OpenID tokens are accepted; empty: none")
	fs.StringVar(&o.OIDCAudience, "oidc-audience", o.OIDCAudience, "audience (aud) that those tokens must be for")
	fs.StringVar(&o.OIDCKeysURL, "oidc-jwks-url", o.OIDCKeysURL, "where the issuer's keys are (https); empty: where its OpenID configuration says")
	fs.StringVar(&o.OIDCKeysFile, "oidc-jwks-file", o.OIDCKeysFile, "file with the issuer's keys, read again when it changes")
	fs.StringVar(&o.OIDCRolesClaim, "oidc-roles-claim", o.OIDCRolesClaim, "claim that holds the roles; a path such as realm_access.roles")
	fs.StringSliceVar(&o.OIDCRoleMap, "oidc-role-map", o.OIDCRoleMap, "what values of that claim stand for, as value=role,…; other values are no roles then; empty: the values are the roles")

	fs.StringSliceVar(&o.FunctionNetworks, "function-networks", o.FunctionNetworks, "addresses at which functions may be called: public, private, loopback, or networks such as 10.0.0.0/8; empty: public and private, and loopback where --http is loopback")
	fs.StringSliceVar(&o.CallbackNetworks, "callback-networks", o.CallbackNetworks, "addresses at which callers may want answers (X-Callback-Url), as for --function-networks; empty: public, and private and loopback where --http is loopback")
	fs.StringSliceVar(&o.CallbackSecrets, "callback-secrets", o.CallbackSecrets, "names of secrets that answers to callers (X-Callback-Url) are signed with, by Standard Webhooks; empty: they are not signed")
	fs.StringVar(&o.FunctionCA, "function-ca", o.FunctionCA, "file with CA certificates (PEM) that those of functions and token endpoints are checked against, beside the system's; read again when it changes")
}

// validate reports what the options of access are at odds with.
func (o *Options) validateAccess(check func(ok bool, flag string, value any, allowed string)) []error {
	var faults []error
	check(o.Auth == AuthNone || o.Auth == AuthRequired, "auth", o.Auth, "none or required")
	if o.Auth == AuthNone && o.has(RoleGateway) && !o.AllowUnauthenticatedNetwork && !access.Loopback(o.HTTP) {
		faults = append(faults, fmt.Errorf("--http %s: with --auth none anyone who reaches this address may do everything: set --auth required, "+
			"listen on loopback, or say --allow-unauthenticated-network", o.HTTP))
	}
	check(o.RootKey == "" || o.RootKeyFile == "", "root-key-file", o.RootKeyFile, "that or --root-key, not both")
	if c, err := o.config(); err != nil {
		faults = append(faults, err)
	} else {
		faults = append(faults, accessFault(c.Validate()))
	}
	if _, err := o.functionRules(); err != nil {
		faults = append(faults, fmt.Errorf("--function-networks: %w", err))
	}
	if _, err := o.callbackRules(); err != nil {
		faults = append(faults, fmt.Errorf("--callback-networks: %w", err))
	}
	for _, name := range o.CallbackSecrets {
		check(resource.ValidSecretName(name), "callback-secrets", name, "names of secrets: lower-case letters, digits, '-' and '.'")
	}
	if _, err := readFunctionCA(o.FunctionCA, slog.Default()); err != nil {
		faults = append(faults, err)
	}
	check((o.TLSCert == "") == (o.TLSKey == ""), "tls-key", o.TLSKey, "--tls-cert and --tls-key, or neither")
	check(o.TLSClientCA == "" || o.TLSCert != "", "tls-client-ca", o.TLSClientCA, "--tls-cert beside it")
	if o.OIDCIssuer == "" {
		for flag, v := range map[string]string{"oidc-audience": o.OIDCAudience, "oidc-jwks-url": o.OIDCKeysURL, "oidc-jwks-file": o.OIDCKeysFile} {
			check(v == "", flag, v, "--oidc-issuer beside it")
		}
	}
	return faults
}

// roleMapping reads value=role; the value may hold '=' itself.
func roleMapping(s string) (value, role string, err error) {
	at := strings.LastIndexByte(s, '=')
	if at < 1 || at == len(s)-1 {
		return "", "", fmt.Errorf("--oidc-role-map %q: want value=role", s)
	}
	return s[:at], s[at+1:], nil
}

// config is what the gateway is given; it reads the root key's file.
func (o *AccessOptions) config() (access.Config, error) {
	c := access.Config{Required: o.Auth == AuthRequired, RootKey: o.RootKey, Rate: o.IdentityRate}
	if o.RootKeyFile != "" {
		b, err := os.ReadFile(o.RootKeyFile)
		if err != nil {
			return c, fmt.Errorf("--root-key-file: %w", err)
		}
		if c.RootKey = strings.TrimSpace(string(b)); c.RootKey == "" {
			return c, fmt.Errorf("--root-key-file %s: empty", o.RootKeyFile)
		}
	}
	if o.OIDCIssuer == "" {
		return c, nil
	}
	jwt := access.DefaultJWTConfig()
	jwt.Issuer, jwt.Audience, jwt.KeysURL, jwt.KeysFile, jwt.RolesClaim = o.OIDCIssuer, o.OIDCAudience, o.OIDCKeysURL, o.OIDCKeysFile, o.OIDCRolesClaim
	if len(o.OIDCRoleMap) > 0 {
		jwt.RoleMap = make(map[string]string, len(o.OIDCRoleMap))
	}
	for _, m := range o.OIDCRoleMap {
		value, role, err := roleMapping(m)
		if err != nil {
			return c, err
		}
		jwt.RoleMap[value] = role
	}
	c.Tokens = &jwt
	return c, nil
}

// warnOfAccess says what an operator should know about who gets in.
func (a *App) warnOfAccess() {
	o := &a.opts
	switch {
	case !o.has(RoleGateway):
	case o.Auth == AuthNone && !access.Loopback(o.HTTP):
		a.log.Warn("anyone who reaches this address may do everything: there is no authentication", "http", o.HTTP)
	case o.Auth == AuthRequired && o.TLSCert == "" && !access.Loopback(o.HTTP):
		a.log.Warn("credentials come in without TLS: anyone on the way can read them, unless a proxy before this process speaks TLS", "http", o.HTTP)
	}
	if o.Auth == AuthRequired && o.RootKey == "" && o.RootKeyFile == "" && o.OIDCIssuer == "" && o.TLSClientCA == "" {
		a.log.Warn("only keys that exist already are let in: there is no root key, no OpenID issuer and no CA of clients")
	}
}

// manager gives the gateway the management policies' verdict in its own terms.
type manager struct {
	engine *policies.Engine
	// config is what policies are compiled by aside; all are the resources there are.
	config policies.Config
	all    func(ctx context.Context) ([]resource.Object, error)
}

func (a *App) manager() manager {
	cfg := policies.DefaultConfig()
	cfg.Budget, cfg.Logger = a.opts.PolicyTimeout, a.log
	return manager{engine: a.engine, config: cfg, all: a.resources.All}
}

// Manage implements gateway.Manager.
func (m manager) Manage(ctx context.Context, r *gateway.ManageRequest) (gateway.ManageVerdict, error) {
	return manageVerdict(m.engine.Manage(ctx, management(r)))
}

// ManageAfter implements gateway.Manager: it compiles the policies as they would
// be then.
func (m manager) ManageAfter(ctx context.Context, r *gateway.ManageRequest, c gateway.ManageChange) (gateway.ManageVerdict, error) {
	current, err := m.all(ctx)
	if err != nil {
		return gateway.ManageVerdict{}, err
	}
	left := others(others(current, c.Deleted), c.Written)
	set, faults := resource.NewSet(0, slices.DeleteFunc(append(left, c.Written...), func(o resource.Object) bool { return !isPolicy(o) }))
	if len(faults) > 0 {
		return gateway.ManageVerdict{}, faults
	}
	snapshot, faults := policies.Compile(set, m.config)
	if len(faults) > 0 {
		return gateway.ManageVerdict{}, faults
	}
	return manageVerdict(snapshot.Manage(ctx, management(r)))
}

func management(r *gateway.ManageRequest) policies.Management {
	about := r.Object
	if about == nil {
		about = r.Before
	}
	if about == nil {
		about = &resource.Object{Kind: r.Kind, Metadata: resource.Metadata{Name: r.Name}}
	}
	return policies.Management{Identity: r.Identity.Input(), Route: r.Route, Method: r.Method, Verb: string(r.Verb), Resource: about}
}

func manageVerdict(v policies.Verdict) (gateway.ManageVerdict, error) {
	return gateway.ManageVerdict{Denied: !v.Allowed, Reason: v.Reason, Policy: v.Policy, Ruled: v.Ruled}, v.Err
}

// decisionRecorder gives the gateway the decision log.
type decisionRecorder struct{ log *decisionLog }

// Record implements gateway.Recorder.
func (r decisionRecorder) Record(d event.Decision) { r.log.record(d) }

// accessFault gives what is wrong with the configuration of access the names of the flags.
func accessFault(err error) error {
	if err == nil {
		return nil
	}
	text := strings.NewReplacer(
		"RootKey", "--root-key", "Tokens.Issuer", "--oidc-issuer", "Tokens.Audience", "--oidc-audience",
		"Tokens.KeysURL", "--oidc-jwks-url", "Tokens.KeysFile", "--oidc-jwks-file", "KeysURL", "--oidc-jwks-url", "KeysFile", "--oidc-jwks-file",
		"Tokens.RolesClaim", "--oidc-roles-claim", "Rate ", "--identity-rate ",
	).Replace(err.Error())
	return errors.New(text)
}
