package gateway

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

var headerRequestID = []byte("X-Request-Id")

// maxRequestID bounds the id that a client may give its request, in characters.
const maxRequestID = 64

// requestIDs makes ids of requests: a random text of the process and a number.
type requestIDs struct {
	prefix string
	n      atomic.Uint64
}

func newRequestIDs() *requestIDs { return &requestIDs{prefix: rand.Text()[:12] + "-"} }

func (r *requestIDs) append(b []byte) []byte {
	return strconv.AppendUint(append(b, r.prefix...), r.n.Add(1), 36)
}

// identifyRequest keeps the request's id on its connection: the client's if it
// is fit for logs, else a new one.
func (s *Server) identifyRequest(h *fasthttp.RequestHeader, c *conn) {
	given := h.PeekBytes(headerRequestID)
	if fitRequestID(given) {
		c.requestID = append(c.requestID[:0], given...)
		return
	}
	c.requestID = s.ids.append(c.requestID[:0])
}

// fitRequestID: letters, digits and what UUIDs, ULIDs and base64 are made of.
func fitRequestID(b []byte) bool {
	if len(b) == 0 || len(b) > maxRequestID {
		return false
	}
	for _, c := range b {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '+' || c == '/' || c == '=' || c == '@'
		if !ok {
			return false
		}
	}
	return true
}

// requestID is the id of a request; "" is none.
func requestID(ctx *fasthttp.RequestCtx) string {
	if c, ok := ctx.Conn().(*conn); ok {
		return string(c.requestID)
	}
	return ""
}
