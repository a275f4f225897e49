package outbound

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/signalbox-dev/signalbox/resource"
)

// identityKey tells TLS identities apart: by what the secrets hold, so that
// functions with the same one share it and a changed secret is another one.
type identityKey [sha256.Size]byte

// identity is the configuration of connections that spec says.
func (c *Callers) identity(spec *resource.CallTLS) (*tls.Config, error) {
	var pem [3][]byte
	sum := sha256.New()
	for i, name := range []string{spec.ClientCert, spec.ClientKey, spec.CA} {
		if name != "" {
			var err error
			if pem[i], err = c.cfg.Secret(name); err != nil {
				return nil, err
			}
		}
		one := sha256.Sum256(pem[i])
		sum.Write(one[:])
	}
	key := identityKey(sum.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.identities[key]; known != nil {
		return known, nil
	}
	made, err := newIdentity(spec, pem)
	if err != nil {
		return nil, err
	}
	if len(c.identities) >= maxKept {
		clear(c.identities)
	}
	c.identities[key] = made
	return made, nil
}

// errNoKeyPair stands for what the parser says, which might quote what it read.
var errNoKeyPair = errors.New("want a certificate and its key (PEM)")

func newIdentity(spec *resource.CallTLS, pem [3][]byte) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if spec.ClientCert != "" {
		pair, err := tls.X509KeyPair(pem[0], pem[1])
		if err != nil {
			return nil, unusable("secrets %s and %s: %v", spec.ClientCert, spec.ClientKey, errNoKeyPair)
		}
		// Presented whatever authorities the server says it takes: then it says what it dislikes.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if spec.CA != "" {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem[2]) {
			return nil, unusable("secret %s: holds no certificate (PEM)", spec.CA)
		}
	}
	return out, nil
}
