package access

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
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

func TestARightTokenIsTakenBesideManyWrongOnes(t *testing.T) {
	g, good := guardOfTokens(t)
	if got := status(g, attacker, good[0]); got != 0 {
		t.Fatalf("a good token: %d", got)
	}
	wrong := good[0][:len(good[0])-8] + "AAAAAAAA"
	for i := range failureBurst {
		if got := status(g, attacker, wrong); got != 401 {
			t.Fatalf("attempt %d: %d", i+1, got)
		}
	}
	if got := status(g, attacker, wrong); got != 429 {
		t.Errorf("one more: %d", got)
	}
	// Behind a proxy all clients have one address.
	for i, token := range good[:2] {
		if got := status(g, attacker, token); got != 0 {
			t.Errorf("good token %d: %d", i, got)
		}
	}
}

// guardOfTokens takes tokens of an issuer, of which some good ones are returned.
func guardOfTokens(t *testing.T) (*Guard, []string) {
	t.Helper()
	file, all := foreign(t)
	var good []string
	for _, x := range all {
		if x.Want == "" && x.By == "jose" {
			good = append(good, x.Token)
		}
	}
	return guardOf(t, func(c *Config, _ *Deps) {
		jwt := DefaultJWTConfig()
		jwt.Issuer, jwt.Audience, jwt.RolesClaim, jwt.KeysFile = "https://id.example", "signalbox", "realm_access.roles", file
		c.Tokens = &jwt
	}), good
}

// errForged is what a webhook says of a signature that is wrong.
var errForged = errors.New("forged")

// deliver is a delivery from an address that is verified by verify; the status as for status.
func deliver(g *Guard, ip net.IP, webhook string, verify func() error) int {
	err := g.Verify(&net.TCPAddr{IP: ip}, webhook, verify, func(err error) bool { return errors.Is(err, errForged) })
	switch {
	case err == nil:
		return 202
	case errors.Is(err, errForged):
		return 401
	}
	return problem.Of(err).Status
}

func TestDeliveriesThatAreNotSignedRightlyAreBounded(t *testing.T) {
	now := noon
	g := guardOf(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	forged, right, broken := func() error { return errForged }, func() error { return nil }, func() error { return errors.ErrUnsupported }
	for i := range failureBurst {
		if got := deliver(g, attacker, "github", forged); got != 401 {
			t.Fatalf("attempt %d: %d", i+1, got)
		}
	}
	for what, c := range map[string]struct {
		from    net.IP
		webhook string
		verify  func() error
		want    int
	}{
		"one more":                       {attacker, "github", forged, 429},
		"one that is signed rightly":     {attacker, "github", right, 202},
		"one that is wrong otherwise":    {attacker, "github", broken, problem.Of(errors.ErrUnsupported).Status},
		"one of another webhook":         {attacker, "stripe", forged, 401},
		"one of another address":         {neighbour, "github", forged, 401},
		"a right one of another address": {neighbour, "github", right, 202},
	} {
		if got := deliver(g, c.from, c.webhook, c.verify); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	now = now.Add(3 * time.Second)
	if got := deliver(g, attacker, "github", forged); got != 401 {
		t.Errorf("later: %d", got)
	}
}

func TestOverTheBoundOneIsVerifiedAtATime(t *testing.T) {
	g := guardOf(t, nil)
	for range failureBurst {
		deliver(g, attacker, "github", func() error { return errForged })
	}
	inside, most, answers := atomic.Int32{}, atomic.Int32{}, make(chan int)
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	verify := func() error {
		most.Store(max(most.Load(), inside.Add(1)))
		select {
		case entered <- struct{}{}:
		default:
		}
		<-gate
		inside.Add(-1)
		return nil
	}
	for range maxDoubted + 10 {
		go func() { answers <- deliver(g, attacker, "github", verify) }()
	}
	<-entered
	for i := range 10 { // those who find no room are answered at once
		if got := <-answers; got != 429 {
			t.Fatalf("%d of too many: %d", i+1, got)
		}
	}
	close(gate)
	for range maxDoubted {
		if got := <-answers; got != 202 {
			t.Errorf("one that waited: %d", got)
		}
	}
	if got := most.Load(); got != 1 {
		t.Errorf("%d at a time", got)
	}
}

func TestWithoutAuthenticationDeliveriesAreNotCounted(t *testing.T) {
	g := guardOf(t, func(c *Config, _ *Deps) { c.Required = false })
	for range 2 * failureBurst {
		if got := deliver(g, attacker, "github", func() error { return errForged }); got != 401 {
			t.Fatal(got)
		}
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
