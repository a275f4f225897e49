package access

import (
	"net"
	"testing"

	"github.com/valyala/fasthttp"
)

// served is a connection on which many requests come.
type served struct {
	net.Conn
	Peer
}

func (c *served) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *served) LocalAddr() net.Addr  { return &net.TCPAddr{} }

func bench(b *testing.B, g *Guard, authorization string) {
	b.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init2(&served{}, nil, false)
	if authorization != "" {
		ctx.Request.Header.Set("Authorization", authorization)
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx.ResetUserValues()
		if err := g.Identify(&ctx); err != nil {
			b.Fatal(err)
		}
		if id := Of(&ctx); id == nil || g.Emitter(id) != "" {
			b.Fatal(id)
		}
	}
}

// BenchmarkIdentify is what it costs to know who a request is from and that he
// may emit: without authentication, with a key, with a token that was verified before.
func BenchmarkIdentify(b *testing.B) {
	key, token := keyOf("ci", nil, "emitter")
	b.Run("off", func(b *testing.B) { bench(b, guardOf(b, func(c *Config, _ *Deps) { c.Required = false }), "") })
	b.Run("key", func(b *testing.B) { bench(b, guardOf(b, nil, key), "Bearer "+token) })
	file, all := foreign(b)
	g := guardOf(b, func(c *Config, _ *Deps) {
		jwt := DefaultJWTConfig()
		jwt.Issuer, jwt.Audience, jwt.RolesClaim, jwt.KeysFile = "https://id.example", "signalbox", "realm_access.roles", file
		c.Tokens = &jwt
	})
	b.Run("jwt", func(b *testing.B) { bench(b, g, "Bearer "+all[0].Token) })
}

// BenchmarkVerify is a token that was not seen before.
func BenchmarkVerify(b *testing.B) {
	file, all := foreign(b)
	tokens := tokensOf(b, func(c *JWTConfig) { c.KeysFile = file })
	for _, x := range all {
		if x.By != "jose" {
			continue
		}
		b.Run(x.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := tokens.verify(b.Context(), []byte(x.Token)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
