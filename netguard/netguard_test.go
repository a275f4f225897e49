package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestClassesOfAddresses(t *testing.T) {
	for class, addresses := range map[Class][]string{
		Public: {"1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "11.0.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0", "223.255.255.255",
			"2606:4700::1", "2a00::1", "::ffff:1.1.1.1", "2002:101:101::1", "2001:200::1"},
		Private: {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255", "fc00::", "fdff:ffff::1",
			"::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::", "2a00::5efe:10.0.0.1", "2a00::200:5efe:192.168.0.1"},
		Loopback: {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:0001", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2a00::5efe:127.0.0.1"},
		Special: {
			// https://www.iana.org/assignments/iana-ipv4-special-registry
			"0.0.0.0", "0.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.0.255",
			"192.0.2.1", "192.88.99.1", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
			// https://www.iana.org/assignments/iana-ipv6-special-registry
			"::", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:1::1", "2001:2::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:db8::1",
			"3fff::1", "5f00::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "4000::1",
			"::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "::169.254.169.254", "fe80::5efe:1.1.1.1",
			"100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
		},
	} {
		for _, s := range addresses {
			if got := ClassOf(netip.MustParseAddr(s)); got != class {
				t.Errorf("%s is %s, want %s", s, got, class)
			}
		}
	}
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rules     []string
		allowed   []string
		forbidden []string
	}{
		"none":            {nil, nil, []string{"1.1.1.1", "10.0.0.1", "127.0.0.1"}},
		"public":          {[]string{"public"}, []string{"1.1.1.1"}, []string{"10.0.0.1", "127.0.0.1", "169.254.169.254"}},
		"all the classes": {[]string{"public", "private", "loopback"}, []string{"1.1.1.1", "10.0.0.1", "::1"}, []string{"169.254.169.254", "0.0.0.0", "ff02::1"}},
		"a network":       {[]string{"169.254.10.0/24"}, []string{"169.254.10.9", "::ffff:169.254.10.9"}, []string{"169.254.11.9", "1.1.1.1"}},
		"an address":      {[]string{"127.0.0.2"}, []string{"127.0.0.2"}, []string{"127.0.0.1"}},
		"an IPv6 network": {[]string{"fd00:ec2::/32"}, []string{"fd00:ec2::254"}, []string{"fd01::1"}},
		"not masked":      {[]string{"10.1.2.3/8"}, []string{"10.9.9.9"}, []string{"11.0.0.0"}},
	} {
		r, err := Parse(c.rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.allowed {
			if err := r.Check(netip.MustParseAddr(s)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, s := range c.forbidden {
			var blocked *BlockedError
			if err := r.Check(netip.MustParseAddr(s)); !errors.As(err, &blocked) {
				t.Errorf("%s: %s is allowed", name, s)
			}
		}
	}
	for _, s := range []string{"", "everything", "10.0.0.0/33", "example.com"} {
		if _, err := Parse([]string{s}); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}

func TestAddressesAreJudgedWhenTheyAreDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	open, closed := Rules{Loopback: true}.Dialer(net.Dialer{}), Rules{Public: true, Private: true}.Dialer(net.Dialer{})
	// What a resolver of the system makes of these is 127.0.0.1 too.
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0"} {
		var blocked *BlockedError
		if c, err := closed(context.Background(), "tcp", net.JoinHostPort(host, port)); err == nil {
			c.Close()
			t.Errorf("%s is dialled", host)
		} else if host == "localhost" && !errors.As(err, &blocked) {
			t.Errorf("%s: %v, want a BlockedError", host, err)
		}
	}
	c, err := open(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func FuzzClassOf(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		c := ClassOf(a)
		if a.Unmap().Is4() && c != ClassOf(a.Unmap()) {
			t.Fatalf("%s is %s, unmapped %s", a, c, ClassOf(a.Unmap()))
		}
		// The standard library's opinion, where it has one.
		if p := a.Unmap(); c == Public && (p.IsLoopback() || p.IsPrivate() || p.IsLinkLocalUnicast() || p.IsMulticast() || p.IsUnspecified()) {
			t.Fatalf("%s is public", a)
		}
	})
}
