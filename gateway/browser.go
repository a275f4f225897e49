package gateway

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/hooks"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// What browsers are told with every answer, in the canonical form of names.
var (
	headerNoSniff   = []byte("X-Content-Type-Options")
	valueNoSniff    = []byte("nosniff")
	headerPolicy    = []byte(fiber.HeaderContentSecurityPolicy)
	valuePolicy     = []byte("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	headerFrame     = []byte(fiber.HeaderXFrameOptions)
	valueFrame      = []byte("DENY")
	headerReferrer  = []byte(fiber.HeaderReferrerPolicy)
	valueReferrer   = []byte("no-referrer")
	headerResource  = []byte("Cross-Origin-Resource-Policy")
	valueResource   = []byte("same-origin")
	headerTransport = []byte(fiber.HeaderStrictTransportSecurity)
	valueTransport  = []byte("max-age=31536000")
)

// secure adds them. A function's own answer is left alone but for what every
// answer has, and so is the answer to an event, which no browser shows.
func (s *Server) secure(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	if s.certificates != nil {
		h.SetCanonical(headerTransport, valueTransport)
	}
	if ctx.Response.StatusCode() == fasthttp.StatusAccepted || ofFunction(ctx) && !isProblem(h) {
		return
	}
	if len(h.PeekBytes(headerPolicy)) == 0 {
		h.SetCanonical(headerPolicy, valuePolicy)
	}
	h.SetCanonical(headerFrame, valueFrame)
	h.SetCanonical(headerReferrer, valueReferrer)
	h.SetCanonical(headerResource, valueResource)
}

func isProblem(h *fasthttp.ResponseHeader) bool {
	return string(h.ContentType()) == problem.ContentType
}

func ofFunction(ctx *fasthttp.RequestCtx) bool {
	path := ctx.Request.Header.RequestURI()
	return bytes.HasPrefix(path, []byte(invoke.Prefix)) || bytes.HasPrefix(path, []byte(invoke.AsyncPrefix))
}

// crossSite refuses what a page of another origin makes a browser send, unless
// it brings a token, which such a page cannot make it do. Who sends neither
// Sec-Fetch-Site nor Origin is no browser.
func (s *Server) crossSite(h *fasthttp.RequestHeader) *problem.Problem {
	switch string(h.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodOptions:
		return nil
	}
	site := h.Peek("Sec-Fetch-Site")
	if string(site) == "same-origin" || string(site) == "none" {
		return nil
	}
	origin := h.Peek(fiber.HeaderOrigin)
	switch {
	case len(site) == 0 && (len(origin) == 0 || sameOrigin(origin, h.Host())):
		return nil
	case len(h.Peek(fiber.HeaderAuthorization)) > 0, s.allowedOrigin(origin):
		return nil
	}
	return problem.New(problem.CrossSite, "a page of another origin made a browser send this: --cors-origins allows it")
}

// sameOrigin compares host and port of an Origin with Host.
func sameOrigin(origin, host []byte) bool {
	_, own, ok := bytes.Cut(origin, []byte("://"))
	return ok && equalFold(own, host)
}

func (s *Server) allowedOrigin(origin []byte) bool {
	if len(origin) == 0 || string(origin) == "null" {
		return false
	}
	return slices.ContainsFunc(s.config.CORSOrigins, func(o string) bool { return o == "*" || strings.EqualFold(o, string(origin)) })
}

// preflight says to the pages of allowed origins that they may read answers,
// and answers the question whether they may ask. Credentials of the browser (cookies,
// certificates) are not among what they may send.
func (s *Server) preflight(ctx *fasthttp.RequestCtx) bool {
	if len(s.config.CORSOrigins) == 0 {
		return false
	}
	in, out := &ctx.Request.Header, &ctx.Response.Header
	out.Add(fiber.HeaderVary, fiber.HeaderOrigin)
	origin := in.Peek(fiber.HeaderOrigin)
	if !s.allowedOrigin(origin) {
		return false
	}
	out.SetBytesV(fiber.HeaderAccessControlAllowOrigin, origin)
	out.Set(fiber.HeaderAccessControlExposeHeaders, "ETag, Retry-After, X-Request-Id")
	if !ctx.IsOptions() || len(in.Peek(fiber.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	out.Set(fiber.HeaderAccessControlAllowMethods, everyMethod)
	if asked := in.Peek(fiber.HeaderAccessControlRequestHeaders); len(asked) > 0 {
		out.SetBytesV(fiber.HeaderAccessControlAllowHeaders, asked)
	}
	out.Set(fiber.HeaderAccessControlMaxAge, "600")
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true
}

// misdirected refuses requests under names that are not ours, where that is
// known: a page whose name is made to lead here (DNS rebinding) is of the same
// origin to a browser. Webhooks are signed, and come by tunnels under any name.
func (s *Server) misdirected(ctx *fasthttp.RequestCtx) *problem.Problem {
	if !s.checkHosts {
		return nil
	}
	c, _ := ctx.Conn().(*conn)
	host := ctx.Request.Header.Host()
	if c != nil && len(c.host) > 0 && bytes.Equal(c.host, host) {
		return nil
	}
	if s.ownHost(string(host)) {
		if c != nil {
			c.host = append(c.host[:0], host...)
		}
		return nil
	}
	switch path := string(ctx.Request.Header.RequestURI()); {
	case strings.HasPrefix(path, strings.TrimSuffix(hooks.Route, ":name")), path == "/healthz", path == "/readyz":
		return nil
	}
	return problem.New(problem.Misdirected, "this server is not known by that name: --allowed-hosts allows it")
}

// hostsChecked: where requests need no credentials and come from this machine
// alone, or where names are given.
func (c *Config) hostsChecked() bool {
	return len(c.AllowedHosts) > 0 || !c.Access.Required && access.Loopback(c.Addr)
}

// ownHost: addresses, for which there is no DNS; the names of this machine, also
// as containers on it know it; and those of the configuration.
func (s *Server) ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	switch host {
	case "", "localhost", "host.docker.internal", "host.containers.internal":
		return true
	}
	return strings.HasSuffix(host, ".localhost") || slices.ContainsFunc(s.config.AllowedHosts, func(o string) bool { return strings.EqualFold(o, host) })
}
