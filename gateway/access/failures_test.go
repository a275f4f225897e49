package access

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// from is a request of an address with that token.
func from(ip net.IP, token string) *fasthttp.RequestCtx {
	var r fasthttp.Request
	r.Header.Set("Authorization", "Bearer "+token)
	var ctx fasthttp.RequestCtx
	ctx.Init(&r, &net.TCPAddr{IP: ip}, nil)
	return &ctx
}

// status is that of the refusal; 0 is none.
func status(g *Guard, ip net.IP, token string) int {
	if err := g.Identify(from(ip, token)); err != nil {
		var ctx fasthttp.RequestCtx
		problem.Of(err).Write(&ctx)
		return ctx.Response.StatusCode()
	}
	return 0
}

var attacker, neighbour = net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2)

func TestWrongCredentialsAreBoundedAndNobodyElseIsLockedOut(t *testing.T) {
	ci, token := keyOf("ci", nil, "emitter")
	now := noon
	g := guardOf(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } }, ci)
	wrong := "sbk_ci_" + "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	for i := range failureBurst {
		if got := status(g, attacker, wrong); got != 401 {
			t.Fatalf("attempt %d: %d", i+1, got)
		}
	}
	if got := status(g, attacker, wrong); got != 429 {
		t.Errorf("one more: %d", got)
	}
	if got := status(g, attacker, token); got != 0 {
		t.Errorf("the right key from the same address: %d", got)
	}
	if got := status(g, neighbour, token); got != 0 {
		t.Errorf("the right key from another address: %d", got)
	}
	if got := status(g, neighbour, wrong); got != 429 {
		t.Errorf("the same key tried from another address: %d", got)
	}
	if got := status(g, neighbour, "sbk_other_AAAAAAAAAAAAAAAAAAAAAAAAAA"); got != 401 {
		t.Errorf("another key from another address: %d", got)
	}
	now = now.Add(3 * time.Second)
	if got := status(g, attacker, wrong); got != 401 {
		t.Errorf("later: %d", got)
	}
	if got := status(g, attacker, ""); got != 401 {
		t.Errorf("without credentials: %d", got)
	}
}

func TestATokenThatWouldHaveToBeVerifiedWaitsWithItsAddress(t *testing.T) {
	file, all := foreign(t)
	var good []string
	for _, x := range all {
		if x.Want == "" && x.By == "jose" {
			good = append(good, x.Token)
		}
	}
	g := guardOf(t, func(c *Config, _ *Deps) {
		jwt := DefaultJWTConfig()
		jwt.Issuer, jwt.Audience, jwt.RolesClaim, jwt.KeysFile = "https://id.example", "signalbox", "realm_access.roles", file
		c.Tokens = &jwt
	})
	if got := status(g, attacker, good[0]); got != 0 {
		t.Fatalf("a good token: %d", got)
	}
	for i := range failureBurst {
		if got := status(g, attacker, good[0][:len(good[0])-8]+"AAAAAAAA"); got != 401 {
			t.Fatalf("attempt %d: %d", i+1, got)
		}
	}
	for token, want := range map[string]int{good[0]: 0, good[1]: 429} {
		if got := status(g, attacker, token); got != want {
			t.Errorf("%.20s…: %d, want %d", token, got, want)
		}
	}
	if got := status(g, neighbour, good[1]); got != 0 {
		t.Errorf("from another address: %d", got)
	}
}

func TestWhatIsKeptOfWrongCredentialsIsBounded(t *testing.T) {
	g := guardOf(t, nil)
	for i := range 3 * maxSources {
		status(g, net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), fmt.Sprintf("sbk_k%d_x", i))
	}
	if n := len(g.failures.new) + len(g.failures.old); n > 2*maxSources {
		t.Errorf("%d are kept", n)
	}
}

func TestAHostOfIPv6IsOneSource(t *testing.T) {
	a := Source(&net.TCPAddr{IP: net.ParseIP("2001:db8::1")})
	if b := Source(&net.TCPAddr{IP: net.ParseIP("2001:db8::ffff")}); a != b {
		t.Errorf("%s and %s", a, b)
	}
	if b := Source(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::1")}); a == b {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := Source(&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1")}), Source(&net.TCPAddr{IP: attacker}); a != b {
		t.Errorf("%s and %s", a, b)
	}
}
