package access

import (
	"crypto/x509"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// Peer is what is remembered of a connection, so that a request on it costs
// little: who sent the last one. Connections embed it. The zero value is a new
// connection; only who serves the connection may use it.
type Peer struct {
	last *Identity
	// certificate is the identity of the client's certificate, once it was asked for.
	certificate *credential
	asked       bool
}

// AccessPeer gives the peer to Of and Guard.
func (p *Peer) AccessPeer() *Peer { return p }

// peered is a connection that embeds a Peer.
type peered interface{ AccessPeer() *Peer }

// certified is a connection that may have a verified client certificate.
type certified interface{ ClientCertificate() *x509.Certificate }

func peerOf(ctx *fasthttp.RequestCtx) *Peer {
	if c, ok := ctx.Conn().(peered); ok {
		return c.AccessPeer()
	}
	return nil
}

// identity is the credential with the address of the request's connection.
func identity(ctx *fasthttp.RequestCtx, c *credential) *Identity {
	p := peerOf(ctx)
	if p != nil && p.last != nil && p.last.credential == c {
		return p.last
	}
	id := &Identity{credential: c, address: address(ctx.RemoteAddr())}
	if p != nil {
		p.last = id
	}
	return id
}

func address(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return ""
	}
	return ip.Unmap().String()
}

// certificateOf is the credential of the connection's client certificate; nil is none.
func certificateOf(ctx *fasthttp.RequestCtx) *credential {
	p := peerOf(ctx)
	conn, ok := ctx.Conn().(certified)
	if p == nil || !ok {
		return nil
	}
	if !p.asked {
		p.asked = true
		if cert := conn.ClientCertificate(); cert != nil {
			p.certificate = ofCertificate(cert)
		}
	}
	return p.certificate
}

// userKey finds the identity among the values of a request.
type userKey struct{}

// Of is who a request is from: what Guard.Identify found, else anonymous.
func Of(ctx *fasthttp.RequestCtx) *Identity {
	if id, ok := ctx.UserValue(userKey{}).(*Identity); ok {
		return id
	}
	return identity(ctx, anonymous)
}
