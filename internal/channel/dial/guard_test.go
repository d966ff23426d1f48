package dial

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	g := Guard{Key: "some.key", Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for _, addr := range []string{
		"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "100.64.0.1", "100.100.100.200",
		"192.0.0.192", "168.63.129.16", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "240.0.0.1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::", "2001:db8::1", "198.18.0.1", "fec0::1",
	} {
		if err := g.Check(netip.MustParseAddr(addr)); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s is let through: %v", addr, err)
		}
	}
	for _, addr := range []string{"1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"} {
		if err := g.Check(netip.MustParseAddr(addr)); err != nil {
			t.Errorf("%s is refused: %v", addr, err)
		}
	}
	for _, bad := range []struct{ network, address string }{
		{"unix", "/tmp/socket"}, {"tcp4", "nonsense"}, {"tcp4", "name:80"}, {"udp4", "1.1.1.1:53"},
	} {
		if err := g.control(bad.network, bad.address, nil); !errors.Is(err, ErrBlocked) {
			t.Errorf("%v is let through: %v", bad, err)
		}
	}
}
