package netguard

import "net/netip"

// Class is what an address leads to.
type Class uint8

// The classes. Special is the zero value: what is none of the others.
const (
	// Special is what no service has: link-local addresses (the metadata of
	// clouds), multicast, documentation, what is not assigned.
	Special Class = iota
	// Public is the internet.
	Public
	// Private is the network at hand: RFC 1918, RFC 4193, and the shared addresses of RFC 6598.
	Private
	// Loopback is this machine.
	Loopback
)

// String is the class as options name it.
func (c Class) String() string {
	return [...]string{"special", "public", "private", "loopback"}[c]
}

// block is a row of the registries.
type block struct {
	prefix netip.Prefix
	class  Class
}

// blocks are the IANA special-purpose registries of IPv4 and IPv6 (RFC 6890), as of
// 2026-11, the more specific first, with the metadata services of clouds that
// stand outside of the link-local ranges. Nothing changes it.
var blocks = []block{
	// Metadata services: Alibaba, Azure, AWS and Google.
	{netip.MustParsePrefix("100.100.100.200/32"), Special},
	{netip.MustParsePrefix("168.63.129.16/32"), Special},
	{netip.MustParsePrefix("fd00:ec2::/32"), Special},
	{netip.MustParsePrefix("fd20:ce::254/128"), Special},

	{netip.MustParsePrefix("0.0.0.0/8"), Special},
	{netip.MustParsePrefix("10.0.0.0/8"), Private},
	{netip.MustParsePrefix("100.64.0.0/10"), Private},
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), Special},
	{netip.MustParsePrefix("172.16.0.0/12"), Private},
	{netip.MustParsePrefix("192.0.0.0/24"), Special},
	{netip.MustParsePrefix("192.0.2.0/24"), Special},
	{netip.MustParsePrefix("192.88.99.0/24"), Special},
	{netip.MustParsePrefix("192.168.0.0/16"), Private},
	{netip.MustParsePrefix("198.18.0.0/15"), Special},
	{netip.MustParsePrefix("198.51.100.0/24"), Special},
	{netip.MustParsePrefix("203.0.113.0/24"), Special},
	{netip.MustParsePrefix("224.0.0.0/4"), Special},
	{netip.MustParsePrefix("240.0.0.0/4"), Special},
	{netip.MustParsePrefix("0.0.0.0/0"), Public},

	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("2001::/23"), Special},
	{netip.MustParsePrefix("2001:db8::/32"), Special},
	{netip.MustParsePrefix("3fff::/20"), Special},
	{netip.MustParsePrefix("2000::/3"), Public},
}

// ClassOf is the class of an address, however it is spelled: the IPv4 address
// within an IPv6 one (mapped, compatible, NAT64, 6to4, ISATAP) counts, since that
// is where packets end up.
func ClassOf(a netip.Addr) Class {
	a = a.WithZone("").Unmap()
	if inner, ok := embedded(a); ok {
		if c := ClassOf(inner); c != Public {
			return c
		}
	}
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return b.class
		}
	}
	return Special
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixto4  = netip.MustParsePrefix("2002::/16")
	compat  = netip.MustParsePrefix("::/96")
	anycast = netip.MustParseAddr("::1")
)

// embedded is the IPv4 address that an IPv6 one stands for.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case nat64.Contains(a), compat.Contains(a) && a != anycast:
		return last, true
	case sixto4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP (RFC 5214)
		return last, true
	}
	return a, false
}
