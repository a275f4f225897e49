package app

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/netguard"
)

func TestCallbacksStayOutOfTheNetworkInside(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		allowed string // of public, private and loopback
	}{
		"on loopback":        {nil, "public private loopback"},
		"on the network":     {[]string{"--http", "0.0.0.0:80"}, "public"},
		"only what was said": {[]string{"--http", "0.0.0.0:80", "--callback-networks", "private"}, "private"},
	} {
		o, err := resolved(t, c.args, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		rules, err := o.callbackRules()
		if err != nil {
			t.Fatal(err)
		}
		check := checkCallback(rules)
		var allowed []string
		for _, x := range [][2]string{{"public", "https://93.184.216.34/done"}, {"private", "http://10.0.0.1/done"}, {"loopback", "http://[::1]:8080/done"}} {
			if check(x[1]) == nil {
				allowed = append(allowed, x[0])
			}
		}
		if got := strings.Join(allowed, " "); got != c.allowed {
			t.Errorf("%s: allowed are %q: want %q", name, got, c.allowed)
		}
		if check("http://169.254.169.254/") == nil || check("ftp://shop.example/") == nil || check("https://shop.example/") != nil {
			t.Errorf("%s: the special address or another scheme is allowed, or a name is not", name)
		}
	}
}

// A name may lead inside: it is judged when it is dialled.
func TestCallbacksAreJudgedWhenTheyAreDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, err = dialCallbacks(netguard.Rules{Public: true}, time.Second)(context.Background(), "tcp", "localhost:"+port)
	var blocked *netguard.BlockedError
	if !errors.As(err, &blocked) {
		t.Errorf("got %v", err)
	}
}
