package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key, _ = a.make(x509.Certificate{IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "CA"}, KeyUsage: x509.KeyUsageCertSign})
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// make signs a certificate with the authority's key, or its own for the authority itself.
func (a *authority) make(c x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.n), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = &c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// serve writes a certificate of a server of that name and its key.
func (a *authority) serve(name string) {
	a.t.Helper()
	cert, key := a.issue(name)
	a.write("tls.pem", "CERTIFICATE", cert)
	a.write("tls.key", "EC PRIVATE KEY", key)
}

// issue makes a certificate of a server of that name, and its key.
func (a *authority) issue(name string) (certificate, private []byte) {
	a.t.Helper()
	cert, key, _ := a.make(x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert.Raw, der
}

// client trusts the authority and presents a certificate, if one is given.
func (a *authority) client(certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (a *authority) config(c *Config) {
	a.serve("one")
	c.TLS = TLSConfig{CertFile: a.path("tls.pem"), KeyFile: a.path("tls.key"), ClientCAFile: a.path("ca.pem")}
}

func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestACertificateIsAnIdentity(t *testing.T) {
	a := newAuthority(t)
	g := startGuarded(t, func(c *Config, _ *Deps) { a.config(c) })
	url := "https://" + g.server.Addr()
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	_, _, viewer := a.make(x509.Certificate{Subject: pkix.Name{CommonName: "ada", Organization: []string{"viewer"}}, ExtKeyUsage: usage})
	_, _, nobody := a.make(x509.Certificate{ExtKeyUsage: usage})
	_, _, stranger := newAuthority(t).make(x509.Certificate{Subject: pkix.Name{CommonName: "ada", Organization: []string{"admin"}}, ExtKeyUsage: usage})

	if resp, body := get(t, a.client(viewer), url+"/api/v1/links"); resp.StatusCode != 200 || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := get(t, a.client(viewer), url+"/api/v1/keys"); resp.StatusCode != 403 || !strings.Contains(body, "certificate ada") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for name, certs := range map[string][]tls.Certificate{"no certificate": nil, "one that names nobody": {nobody}} {
		if resp, body := get(t, a.client(certs...), url+"/api/v1/links"); resp.StatusCode != 401 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	if resp, _ := get(t, a.client(), url+"/readyz"); resp.StatusCode != 200 {
		t.Errorf("readiness without a certificate: %d", resp.StatusCode)
	}
	if resp, err := a.client(stranger).Get(url + "/api/v1/links"); err == nil {
		resp.Body.Close()
		t.Errorf("a certificate of another authority: %d", resp.StatusCode)
	}
	if resp, err := http.Get("http://" + g.server.Addr() + "/readyz"); err == nil {
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("without TLS: %d", resp.StatusCode)
		}
	}
}

func TestARefusalIsReadOverTLSToo(t *testing.T) {
	a := newAuthority(t)
	g := startGuarded(t, func(c *Config, _ *Deps) { a.config(c) })
	req, err := http.NewRequest("POST", "https://"+g.server.Addr()+"/events", bytes.NewReader(make([]byte, 8<<20)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	a := newAuthority(t)
	r := startGuarded(t, func(c *Config, _ *Deps) { a.config(c) })
	url := "https://" + r.server.Addr() + "/healthz"
	name := func() string {
		c := a.client()
		defer c.CloseIdleConnections()
		resp, _ := get(t, c, url)
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	reload := func() (bool, error) { return r.server.certificates.reload() }
	if got := name(); got != "one" {
		t.Fatal(got)
	}
	if changed, err := reload(); changed || err != nil {
		t.Errorf("nothing changed: %t, %v", changed, err)
	}
	cert, key := a.issue("two")
	a.write("tls.pem", "CERTIFICATE", cert) // its key not yet; the server looks at both all the time
	if _, err := reload(); err == nil || name() != "one" {
		t.Errorf("%v: want the one before in force", err)
	}
	a.write("tls.key", "EC PRIVATE KEY", key)
	tick, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for name() != "two" { // by itself
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the certificate that changed is not in force")
		}
	}
}

func TestCertificatesThatCannotServe(t *testing.T) {
	a := newAuthority(t)
	a.serve("one")
	cert, key := a.path("tls.pem"), a.path("tls.key")
	for name, c := range map[string]TLSConfig{
		"no such file":           {CertFile: cert + "x", KeyFile: key},
		"the CA's for its own":   {CertFile: a.path("ca.pem"), KeyFile: key},
		"no CA in the CA's file": {CertFile: cert, KeyFile: key, ClientCAFile: key},
		"no key in the key's":    {CertFile: cert, KeyFile: cert},
	} {
		if _, err := openCertificates(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, c := range []TLSConfig{{CertFile: cert}, {KeyFile: key}, {ClientCAFile: cert}} {
		if c.validate() == nil {
			t.Errorf("%+v passes", c)
		}
	}
}
