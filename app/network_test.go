package app

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/netguard"
	"github.com/signalbox-dev/signalbox/resource"
)

// fixedURLs answers every function that has no URL with one.
type fixedURLs struct{ program string }

func (f *fixedURLs) URL(fn *resource.Function) (string, error) {
	if fn.Spec.URL != "" {
		return fn.Spec.URL, nil
	}
	return f.program, nil
}

func TestFunctionsMayBeOnTheNetworkThatTheOptionsSay(t *testing.T) {
	for name, x := range map[string]struct {
		args []string
		want netguard.Rules
		bad  bool
	}{
		"on loopback":         {nil, netguard.Rules{Public: true, Private: true, Loopback: true}, false},
		"on the network":      {[]string{"--http", "0.0.0.0:80"}, netguard.Rules{Public: true, Private: true}, false},
		"only what was said":  {[]string{"--function-networks", "private"}, netguard.Rules{Private: true}, false},
		"what cannot be read": {[]string{"--function-networks", "intranet"}, netguard.Rules{}, true},
	} {
		o, err := resolved(t, x.args, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.functionRules()
		if (err != nil) != x.bad || err == nil && (got.Public != x.want.Public || got.Private != x.want.Private || got.Loopback != x.want.Loopback) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestProgramsOfThisProcessAreCalledWhereLoopbackIsNot(t *testing.T) {
	listen := func() (net.Listener, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, l.Addr().String()
	}
	_, ours := listen()
	_, other := listen()
	e := &endpoints{Endpoints: &fixedURLs{program: "http://" + ours + "/"}}
	dial := e.dialer(netguard.Rules{Public: true}, time.Second)
	var blocked *netguard.BlockedError
	for _, fn := range []*resource.Function{{}, {Spec: resource.FunctionSpec{URL: "http://" + other + "/"}}} {
		url, err := e.URL(fn)
		if err != nil {
			t.Fatal(err)
		}
		c, err := dial(t.Context(), "tcp", hostOf(url))
		if fn.Spec.URL != "" {
			if !errors.As(err, &blocked) {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for port := range maxLocal + 10 {
		e.learn("127.0.0.1:" + strconv.Itoa(port))
	}
	if n := len(*e.local.Load()); n > maxLocal+1 {
		t.Errorf("%d addresses are remembered", n)
	}
	program := &resource.Function{}
	if e.learn(ours); testing.AllocsPerRun(100, func() { _, _ = e.URL(program) }) > 0 {
		t.Error("a program that is known costs an allocation")
	}
}

func TestTheAddressOfAURLHasAPort(t *testing.T) {
	for url, want := range map[string]string{
		"http://f-1.shop.svc/": "f-1.shop.svc:80", "https://f.example": "f.example:443", "http://127.0.0.1:81/x:y": "127.0.0.1:81",
		"http://[::1]/": "[::1]:80", "http://[::1]:8080/": "[::1]:8080",
	} {
		if got := hostOf(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
