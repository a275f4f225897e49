package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

func TestWhoACertificateNames(t *testing.T) {
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	for name, c := range map[string]struct {
		cert x509.Certificate
		want string
	}{
		"a SPIFFE id":         {x509.Certificate{URIs: uri("spiffe://a/ci"), DNSNames: []string{"a.example"}, Subject: pkix.Name{CommonName: "a"}}, "spiffe://a/ci"},
		"a DNS name":          {x509.Certificate{DNSNames: []string{"a.example", "b.example"}, Subject: pkix.Name{CommonName: "a"}}, "a.example"},
		"a mail address":      {x509.Certificate{EmailAddresses: []string{"a@b.example"}, Subject: pkix.Name{CommonName: "a"}}, "a@b.example"},
		"a common name":       {x509.Certificate{Subject: pkix.Name{CommonName: "a"}}, "a"},
		"nobody":              {x509.Certificate{}, ""},
		"a line break":        {x509.Certificate{DNSNames: []string{"a\nb"}, Subject: pkix.Name{CommonName: "a"}}, ""},
		"a name without end":  {x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("a", 257)}}, ""},
		"no valid UTF-8":      {x509.Certificate{Subject: pkix.Name{CommonName: "a\xff"}}, ""},
		"a noncharacter":      {x509.Certificate{Subject: pkix.Name{CommonName: "a\uffff"}}, ""},
		"a webhook's name":    {x509.Certificate{URIs: uri("webhook:github"), Subject: pkix.Name{CommonName: "a"}}, ""},
		"C1 control, as UTF8": {x509.Certificate{Subject: pkix.Name{CommonName: "a\u009b"}}, ""},
	} {
		if got := ofCertificate(&c.cert); got.name != c.want || got.kind != Certificate {
			t.Errorf("%s: %q, want %q", name, got.name, c.want)
		}
	}
	c := ofCertificate(&x509.Certificate{Subject: pkix.Name{Organization: []string{"emitter", "a\x00", "viewer"}}})
	if !slices.Equal(c.roles, []string{"emitter", "viewer"}) {
		t.Errorf("roles %q", c.roles)
	}
}

// withCertificate is a connection with a verified client certificate.
type withCertificate struct {
	net.Conn
	Peer
	cert *x509.Certificate
}

func (c *withCertificate) ClientCertificate() *x509.Certificate { return c.cert }
func (c *withCertificate) RemoteAddr() net.Addr                 { return &net.TCPAddr{IP: net.IPv6loopback} }
func (c *withCertificate) LocalAddr() net.Addr                  { return &net.TCPAddr{} }

func TestACertificateIsTakenWhereNothingElseIsPresented(t *testing.T) {
	key, token := keyOf("ci", nil, "emitter")
	g := guardOf(t, nil, key)
	cert := &x509.Certificate{NotAfter: noon.Add(1), Subject: pkix.Name{CommonName: "ada", Organization: []string{"author"}}}
	conn := &withCertificate{cert: cert}
	ask := func(authorization string) (*Identity, error) {
		var ctx fasthttp.RequestCtx
		ctx.Init2(conn, nil, false)
		if authorization != "" {
			ctx.Request.Header.Set("Authorization", authorization)
		}
		err := g.Identify(&ctx)
		return Of(&ctx), err
	}
	first, err := ask("")
	if err != nil || first.String() != "certificate ada" || first.Address() != "::1" || !first.Has("author") {
		t.Errorf("%v, %v", first, err)
	}
	if again, _ := ask(""); again != first {
		t.Error("the identity is made anew for each request of a connection")
	}
	if id, err := ask("Bearer " + token); err != nil || id.String() != "key ci" {
		t.Errorf("%v, %v: what the header presents counts", id, err)
	}
	if id, err := ask("Bearer nonsense"); err == nil {
		t.Errorf("%v: wrong credentials are made good by the certificate", id)
	}
	cert.NotAfter, conn.Peer = noon, Peer{}
	if id, err := ask(""); err == nil {
		t.Errorf("%v: a connection outlives its certificate", id)
	}
	conn.cert, conn.Peer = &x509.Certificate{NotAfter: noon.Add(1)}, Peer{}
	if id, err := ask(""); err == nil {
		t.Errorf("%v: a certificate without a name is let in", id)
	}
}

// FuzzCertificateSubject: whatever stands in a certificate, the identity is fit
// for logs and JSON.
func FuzzCertificateSubject(f *testing.F) {
	f.Add("a", "b", "c", "https://d/")
	f.Add("\x00", "\xff", strings.Repeat("x", 1000), "spiffe://%zz")
	f.Add("ada\r\nroot", "\u2028", "", "")
	f.Fuzz(func(t *testing.T, cn, org, dns, uri string) {
		cert := x509.Certificate{Subject: pkix.Name{CommonName: cn, Organization: []string{org, org}}, DNSNames: []string{dns}}
		if u, err := url.Parse(uri); err == nil {
			cert.URIs = []*url.URL{u}
		}
		c := ofCertificate(&cert)
		for _, s := range append(slices.Clone(c.roles), c.name) {
			if !utf8.ValidString(s) || len(s) > maxText || strings.ContainsAny(s, "\x00\r\n") {
				t.Fatalf("%q", s)
			}
		}
	})
}
