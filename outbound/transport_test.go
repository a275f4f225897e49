package outbound

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, block("CERTIFICATE", der)}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", raw)
}

// mutual is a server that wants certificates by the authority and answers with
// the name of the client, and which connection it is.
func (a *authority) mutual(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s at %s", r.TLS.PeerCertificates[0].Subject.CommonName, r.RemoteAddr)
	}))
	cert, key := a.issue(t, "server")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestCertificatesArePresentedAndChangeWithTheirSecrets(t *testing.T) {
	a, strangers := newAuthority(t), newAuthority(t)
	s := a.mutual(t)
	cert, key := a.issue(t, "ada")
	v := newVault(map[string]string{"cert": cert, "key": key, "ca": a.pem})
	transport := v.callers(t).NewTransport(&http.Transport{})
	defer transport.CloseIdleConnections()
	call := &resource.Call{TLS: &resource.CallTLS{ClientCert: "cert", ClientKey: "key", CA: "ca"}}
	first, err := get(t, transport.For(call), s.URL)
	if err != nil || !strings.HasPrefix(first, "ada at ") {
		t.Fatalf("%q, %v", first, err)
	}
	v.pass(time.Second)
	again := &resource.Call{TLS: &resource.CallTLS{ClientCert: "cert", ClientKey: "key", CA: "ca"}}
	if got, err := get(t, transport.For(again), s.URL); err != nil || got != first {
		t.Errorf("another function with the same identity has a connection of its own: %q after %q, %v", got, first, err)
	}

	cert, key = a.issue(t, "grace")
	v.set("cert", cert)
	v.pass(time.Second)
	if got, err := get(t, transport.For(call), s.URL); err != nil || got != first {
		t.Errorf("while the key is not replaced yet: %q, %v", got, err)
	}
	v.set("key", key)
	v.pass(time.Second)
	if got, err := get(t, transport.For(call), s.URL); err != nil || !strings.HasPrefix(got, "grace at ") {
		t.Errorf("with another certificate: %q, %v", got, err)
	}

	v.set("ca", strangers.pem)
	v.pass(time.Second)
	if _, err := get(t, transport.For(call), s.URL); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another authority: %v", err)
	}
	v.set("ca", a.pem)
	cert, key = strangers.issue(t, "eve")
	v.set("cert", cert)
	v.set("key", key)
	v.pass(time.Second)
	if got, err := get(t, transport.For(call), s.URL); err == nil {
		t.Errorf("a client of another authority: %q", got)
	}
	if _, err := get(t, transport.For(call), strings.Replace(s.URL, "https", "http", 1)); !errors.Is(err, ErrPlain) {
		t.Errorf("by http: %v", err)
	}
}

func TestWhatCallersSendDoesNotPassForOurs(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer s.Close()
	v := newVault(map[string]string{"a": keyOne, "t": "token"})
	transport := v.callers(t).NewTransport(&http.Transport{})
	defer transport.CloseIdleConnections()
	send := func(call *resource.Call) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, bytes.NewReader([]byte("data")))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "Webhook-Id", "webhook-signature", "Webhook-Other", "X-Other"} {
			req.Header[name] = []string{"theirs", "again"}
		}
		resp, err := transport.For(call).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(req.Header) != 5 {
			t.Errorf("the request was changed: %v", req.Header)
		}
	}
	send(&resource.Call{Sign: &resource.CallSign{Secrets: []string{"a"}}, Bearer: &resource.CallBearer{Secret: "t"}})
	id := got.Header.Get("Webhook-Id")
	if h := got.Header; len(h.Values("Authorization")) != 1 || h.Get("Authorization") != "Bearer token" || len(h.Values("Webhook-Id")) != 1 || !strings.HasPrefix(id, "call-") ||
		len(h.Values("Webhook-Signature")) != 1 || h.Get("Webhook-Signature") != mac(keyOne, id+".1800000000.data") || h.Get("Webhook-Other") != "" || h.Get("X-Other") != "theirs" || string(body) != "data" {
		t.Errorf("got %v with %q", got.Header, body)
	}
	send(&resource.Call{Sign: &resource.CallSign{Secrets: []string{"a"}}})
	if got.Header.Get("Webhook-Id") == id || got.Header.Get("Authorization") != "theirs" {
		t.Errorf("got %v", got.Header)
	}
	if transport.For(nil) != http.RoundTripper(transport.plain) {
		t.Error("a function that wants nothing does not go the plain way")
	}
}

func TestACallRefusedForItsTokenIsMadeOnceMore(t *testing.T) {
	e := newEndpoint(t)
	good := "Bearer token-1"
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if r.Header.Get("Authorization") != good {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer s.Close()
	v := newVault(map[string]string{"s": "the-secret"})
	transport := v.callers(t).NewTransport(&http.Transport{})
	defer transport.CloseIdleConnections()
	status := func() int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("data"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.For(e.call()).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(); got != 200 || calls != 1 {
		t.Errorf("%d after %d calls", got, calls)
	}
	good = "Bearer token-2"
	if got := status(); got != 401 || calls != 2 {
		t.Errorf("with a fresh token that is refused: %d after %d calls", got, calls)
	}
	v.pass(time.Minute)
	if got := status(); got != 200 || calls != 4 {
		t.Errorf("with one that is not fresh: %d after %d calls", got, calls)
	}
}
