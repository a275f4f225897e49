package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secure is a server whose certificate is its own authority, and that in PEM.
func secure(t *testing.T) (addr string, ca []byte) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(&bytes.Buffer{}, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestAuthoritiesAreReadAgainWhenTheirFileChanges(t *testing.T) {
	addr, ca := secure(t)
	file, logs := filepath.Join(t.TempDir(), "ca.pem"), &bytes.Buffer{}
	write := func(b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := newAuthority(t)
	write([]byte(other.pem))
	roots, err := OpenRoots(file, slog.New(slog.NewTextHandler(logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	roots.now = func() time.Time { return now }
	dial := DialTLS(nil, &tls.Config{MinVersion: tls.VersionTLS12}, roots.Pool)
	trusted := func(what string, want bool) {
		t.Helper()
		now = now.Add(freshFor)
		c, err := dial(context.Background(), "tcp", addr)
		if err == nil {
			c.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("%s: trusted %v (%v), want %v", what, got, err, want)
		}
	}
	trusted("of another authority", false)
	write(ca)
	trusted("of the new authority", true)
	write([]byte("no certificate"))
	trusted("while the file cannot be used", true)
	trusted("while the file still cannot be used", true)
	if n := strings.Count(logs.String(), "cannot be read again"); n != 1 {
		t.Errorf("said %d times: %s", n, logs)
	}
	write([]byte(other.pem))
	trusted("of the authority that was taken out", false)
}

func TestAnIdentityKeepsItsOwnAuthorities(t *testing.T) {
	addr, ca := secure(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := OpenRoots(file, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AddCert(newAuthority(t).cert)
	if c, err := DialTLS(nil, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: own}, roots.Pool)(context.Background(), "tcp", addr); err == nil {
		c.Close()
		t.Error("an identity with authorities of its own trusts those of all functions")
	}
}

func TestNoFileIsTheSystemsAuthorities(t *testing.T) {
	if roots, err := OpenRoots("", nil); err != nil || roots.Pool() != nil {
		t.Errorf("%v %v", roots, err)
	}
	if _, err := OpenRoots(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a file that is not there is read")
	}
}
