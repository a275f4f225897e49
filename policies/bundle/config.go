package bundle

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/keys"

	"github.com/signalbox-dev/signalbox/resource"
)

// Config is one bundle and how it is fetched.
type Config struct {
	// Name is what the bundle's policies are named after: a resource name.
	Name string
	// URL is http or https.
	URL string
	// KeyFiles hold the keys of which one must have signed the bundle: public
	// keys or certificates in PEM, or a secret for the HS algorithms. They are read
	// at each fetch. None: signatures are not looked at.
	KeyFiles []string
	// Algorithm is that of the signature, such as RS256 (default), ES256, HS256.
	Algorithm string
	// Scope must be that of the signature; "" is none.
	Scope string
	// TokenFile holds a bearer token, read at each fetch; "" is none.
	TokenFile string
	// CAFile holds the CA certificates (PEM) that the server's is checked
	// against; "" is the system's.
	CAFile string
	// MaxBytes bounds the bundle as it comes, and unpacked; 1 KiB to 1 GiB, default 16 MiB.
	MaxBytes int64
	// Timeout bounds one fetch; 100ms to 10m, default 20s.
	Timeout time.Duration
}

// DefaultConfig has everything but name and URL.
func DefaultConfig() Config {
	return Config{Algorithm: "RS256", MaxBytes: 16 << 20, Timeout: 20 * time.Second}
}

var bundleSuffix = regexp.MustCompile(`\.(tar\.gz|tgz|tar)$`)

// Parse reads NAME=URL, or a URL, whose last part without .tar.gz is the name then.
func Parse(s string) (name, address string, err error) {
	name, address, named := strings.Cut(s, "=")
	if !named || strings.Contains(name, "/") { // the sign is one of the URL's query
		name, address = "", s
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "", fmt.Errorf("%q: want an http or https URL, or NAME=URL", s)
	}
	if base := path.Base(u.Path); name == "" && base != "/" && base != "." {
		name = resource.RegoName(bundleSuffix.ReplaceAllString(base, "") + ".rego")
	}
	if name == "" || name != resource.RegoName(name+".rego") {
		return "", "", fmt.Errorf("%q: want NAME=URL, where the name has lower-case letters, digits, dashes and dots", s)
	}
	return name, address, nil
}

// validate names every field that is out of its range.
func (c *Config) validate() error {
	var errs []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("bundle: "+format, args...))
		}
	}
	u, err := url.Parse(c.URL)
	fault(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "URL %q: want http or https", c.URL)
	fault(c.Name != "" && c.Name == resource.RegoName(c.Name+".rego"), "Name %q: want lower-case letters, digits, dashes and dots", c.Name)
	fault(keys.IsSupportedAlgorithm(c.Algorithm), "Algorithm %q: want RS, PS, ES or HS with 256, 384 or 512", c.Algorithm)
	fault(c.MaxBytes >= 1<<10 && c.MaxBytes <= 1<<30, "MaxBytes %d: want 1024 to 1073741824", c.MaxBytes)
	fault(c.Timeout >= 100*time.Millisecond && c.Timeout <= 10*time.Minute, "Timeout %s: want 100ms to 10m", c.Timeout)
	return errors.Join(errs...)
}
