package netguard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// Rules say which addresses may be dialled. The zero value is none.
type Rules struct {
	// Public, Private and Loopback are classes of addresses.
	Public, Private, Loopback bool
	// Also are networks that are allowed whatever their class.
	Also []netip.Prefix
}

// Parse reads what options say: public, private, loopback, addresses and
// networks such as 169.254.10.0/24. The error names what it cannot read.
func Parse(list []string) (Rules, error) {
	var r Rules
	for _, s := range list {
		switch s {
		case "public":
			r.Public = true
		case "private":
			r.Private = true
		case "loopback":
			r.Loopback = true
		default:
			p, err := parsePrefix(s)
			if err != nil {
				return r, fmt.Errorf("%q: want public, private, loopback, an address or a network such as 10.0.0.0/8", s)
			}
			r.Also = append(r.Also, p)
		}
	}
	return r, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// BlockedError is an address that may not be dialled.
type BlockedError struct {
	// Address is what the name resolved to.
	Address netip.Addr
	Class   Class
}

// Error implements error.
func (e *BlockedError) Error() string {
	return fmt.Sprintf("the %s address %s may not be called", e.Class, e.Address)
}

// Check returns a *BlockedError for an address that may not be dialled.
func (r *Rules) Check(a netip.Addr) error {
	plain := a.WithZone("").Unmap()
	for _, p := range r.Also {
		if p.Contains(plain) {
			return nil
		}
	}
	c := ClassOf(a)
	if c == Public && r.Public || c == Private && r.Private || c == Loopback && r.Loopback {
		return nil
	}
	return &BlockedError{Address: a, Class: c}
}

// Dialer is net.Dialer's DialContext under the rules: each address that a name
// resolves to is checked just before it is connected to. It is safe for
// concurrent use.
func (r Rules) Dialer(d net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%s: not an address that can be judged", address)
		}
		return r.Check(at.Addr())
	}
	return d.DialContext
}
