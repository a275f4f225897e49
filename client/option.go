package client

import (
	"crypto/tls"
	"net/http"
)

// Option changes how a Client calls.
type Option func(*Client)

// WithToken presents a token with every call: that of a key (sbk_…), the root
// key, or one of an OpenID provider. "" presents none. A client follows no
// redirects, so the token goes to the server that was named and nowhere else.
func WithToken(token string) Option {
	return func(c *Client) { c.token = token }
}

// WithTLS calls an https server by these settings: the authorities that its
// certificate is checked against (RootCAs), and the certificate of the client.
func WithTLS(config *tls.Config) Option {
	return func(c *Client) {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = config
		c.http.Transport = transport
	}
}
