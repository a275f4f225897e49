package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Config says who is let in.
type Config struct {
	// Required refuses requests without valid credentials. The zero value takes
	// everybody for anonymous and looks at no credentials.
	Required bool
	// RootKey, presented as a bearer token, may do everything, whatever the
	// policies say: it is how one begins, and how one gets back in. At least 32
	// characters; "" is none.
	RootKey string
	// Rate bounds the events per second of each identity that has no bound of its
	// own; 0 is none, else 0.001 to 1000000.
	Rate float64
	// Tokens accepts those of an OpenID provider; nil is none.
	Tokens *JWTConfig
}

// JWTConfig says whose tokens are accepted.
type JWTConfig struct {
	// Issuer and Audience are what iss must be and aud must hold.
	Issuer   string
	Audience string
	// KeysFile or KeysURL is where the issuer's keys (a JWK set) are; neither:
	// where the issuer's OpenID configuration says.
	KeysFile string
	KeysURL  string
	// RolesClaim is the claim with the roles, such as roles or realm_access.roles.
	RolesClaim string
	// RoleMap says which role a value of that claim stands for; values that are
	// not in it are no roles then. Empty takes the values as they are.
	RoleMap map[string]string
	// Skew is how far clocks may differ; 0 to 10m.
	Skew time.Duration
	// Refresh is how often the keys are fetched, 1m to 24h, and MinRefetch the
	// least time between two fetches for a key that is not known, 1s to 1h.
	Refresh    time.Duration
	MinRefetch time.Duration
	// Timeout bounds one fetch; 100ms to 1m.
	Timeout time.Duration
}

// DefaultJWTConfig is complete but for Issuer and Audience.
func DefaultJWTConfig() JWTConfig {
	return JWTConfig{RolesClaim: "roles", Skew: 30 * time.Second, Refresh: 10 * time.Minute, MinRefetch: 10 * time.Second, Timeout: 5 * time.Second}
}

// minRootKey is the shortest root key, in characters.
const minRootKey = 32

// Validate reports every field that is out of range. It shows no secret.
func (c Config) Validate() error {
	var errs []error
	if c.RootKey != "" && (len(c.RootKey) < minRootKey || len(c.RootKey) > maxToken) {
		errs = append(errs, fmt.Errorf("RootKey of %d characters: want at least %d, chosen at random", len(c.RootKey), minRootKey))
	}
	if slices.ContainsFunc([]byte(c.RootKey), func(b byte) bool { return !tokenChar(b) }) {
		errs = append(errs, errors.New("RootKey: want letters, digits and -._~+/= only"))
	}
	if c.Rate != 0 && (c.Rate < 0.001 || c.Rate > 1e6 || c.Rate != c.Rate) {
		errs = append(errs, fmt.Errorf("Rate %v: want 0.001 to 1000000 events per second, or 0 for no bound", c.Rate))
	}
	if c.Tokens != nil {
		errs = append(errs, c.Tokens.validate()...)
	}
	return errors.Join(errs...)
}

func (c *JWTConfig) validate() []error {
	var errs []error
	if c.Issuer == "" {
		errs = append(errs, errors.New("Tokens.Issuer empty: want what iss of the tokens is"))
	}
	if c.Audience == "" {
		errs = append(errs, errors.New("Tokens.Audience empty: want what aud of the tokens holds; without it tokens for others would be taken"))
	}
	if c.KeysFile != "" && c.KeysURL != "" {
		errs = append(errs, errors.New("Tokens.KeysFile and KeysURL: want one of them at most"))
	}
	at, field := c.KeysURL, "Tokens.KeysURL"
	if at == "" {
		at, field = c.Issuer, "Tokens.Issuer (without KeysFile and KeysURL it is asked for the keys)"
	}
	if c.KeysFile == "" && at != "" {
		if err := checkKeysURL(at); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	if c.RolesClaim == "" {
		errs = append(errs, errors.New("Tokens.RolesClaim empty: want the name of a claim"))
	}
	duration := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("Tokens.%s %s: want %s to %s", name, v, low, high))
		}
	}
	duration("Skew", c.Skew, 0, 10*time.Minute)
	duration("Refresh", c.Refresh, time.Minute, 24*time.Hour)
	duration("MinRefetch", c.MinRefetch, time.Second, time.Hour)
	duration("Timeout", c.Timeout, 100*time.Millisecond, time.Minute)
	return errs
}

// checkKeysURL wants https: who can change the keys on the way can be anybody.
// Loopback has no way in between.
func checkKeysURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && Loopback(u.Host)) {
		return fmt.Errorf("%q: want an https URL (http on loopback only)", s)
	}
	return nil
}

// Loopback reports whether an address, with or without a port, is one that only
// this machine reaches: localhost, 127.0.0.0/8 or ::1. No host at all is every address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(trimBrackets(host))
	return err == nil && ip.Unmap().IsLoopback()
}

func trimBrackets(host string) string {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// roles are what the values of the claim stand for.
func (c *JWTConfig) roles(values []string) []string {
	if len(c.RoleMap) == 0 {
		return values
	}
	var roles []string
	for _, v := range values {
		if r := c.RoleMap[v]; r != "" && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles
}
