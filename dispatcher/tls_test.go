package dispatcher_test

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
)

func newTLSServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestHTTPS(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted bool
		class   string
	}{{"a trusted certificate", true, ""}, {"one that nobody vouches for", false, "tls"}} {
		t.Run(c.name, func(t *testing.T) {
			var calls wordLog
			s := newTLSServer(t, counter(&calls))
			b := newBed(t, one(s.URL), func(b *bed) {
				pool := x509.NewCertPool()
				if c.trusted {
					pool.AddCert(s.Certificate())
				}
				b.parts.Roots = func() *x509.CertPool { return pool }
			})
			b.send(newEvent("a"))
			b.waitSettled(1)
			b.Handle(b.part, records(1, newEvent("b")), b.settle)
			b.waitSettled(2)
			b.stop()
			dead := b.log.Dead()
			switch {
			case c.class == "" && (len(dead) > 0 || calls.String() != "a b"):
				t.Errorf("called for %q, dead letters %+v", calls.String(), dead)
			case c.class != "" && (len(dead) != 2 || dead[0].Attempts[0].Class != c.class):
				t.Errorf("dead letters %+v, want class %s", dead, c.class)
			}
		})
	}
}
