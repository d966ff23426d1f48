package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// errBlocked marks an address that webhooks must not reach.
var errBlocked = errors.New("the address is not a public one")

// reserved are ranges that are not on the public Internet and that netip has
// no question for.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT, some clouds' metadata
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments, some clouds' metadata
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("64:ff9b::/96"),   // NAT64: an IPv4 address inside
	netip.MustParsePrefix("64:ff9b:1::/48"), // NAT64, local use
	netip.MustParsePrefix("2002::/16"),      // 6to4: an IPv4 address inside
	netip.MustParsePrefix("2001::/23"),      // Teredo and other assignments
	netip.MustParsePrefix("2001:db8::/32"),  // documentation
	netip.MustParsePrefix("100::/64"),       // discard
	netip.MustParsePrefix("::/96"),          // IPv4-compatible
	netip.MustParsePrefix("fec0::/10"),      // site-local
}

// guard decides about addresses after name resolution and right before the
// connection, so that a name cannot resolve to something else in between.
type guard struct{ allow []netip.Prefix }

// check refuses an address that is private, loopback, link-local, multicast
// or otherwise not public, unless it is allowed by name.
func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.allow {
		if p.Contains(addr) {
			return nil
		}
	}
	blocked := !addr.IsValid() || !addr.IsGlobalUnicast() || addr.IsPrivate()
	for _, p := range reserved {
		blocked = blocked || p.Contains(addr)
	}
	if blocked {
		return fmt.Errorf("%w: %s; to allow it, add its range to notifier.webhook.allow", errBlocked, addr)
	}
	return nil
}

// control is a net.Dialer's Control.
func (g guard) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", errBlocked, network)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errBlocked, address)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("%w: %s", errBlocked, address)
	}
	return g.check(addr)
}
