package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

func TestGuard(t *testing.T) {
	g := guard{allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for _, addr := range []string{
		"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "100.64.0.1", "100.100.100.200",
		"192.0.0.192", "168.63.129.16", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "240.0.0.1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::", "2001:db8::1", "198.18.0.1", "fec0::1",
	} {
		if err := g.check(netip.MustParseAddr(addr)); !errors.Is(err, errBlocked) {
			t.Errorf("%s is let through: %v", addr, err)
		}
	}
	for _, addr := range []string{"1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"} {
		if err := g.check(netip.MustParseAddr(addr)); err != nil {
			t.Errorf("%s is refused: %v", addr, err)
		}
	}
	for _, bad := range []struct{ network, address string }{
		{"unix", "/tmp/socket"}, {"tcp4", "nonsense"}, {"tcp4", "name:80"}, {"udp4", "1.1.1.1:53"},
	} {
		if err := g.control(bad.network, bad.address, nil); !errors.Is(err, errBlocked) {
			t.Errorf("%v is let through: %v", bad, err)
		}
	}
}

// TestGuardAtDial checks that the guard sees the resolved address, by name and
// by number.
func TestGuardAtDial(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(srv.Close)
	for _, url := range []string{srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)} {
		ch, err := New(Config{URL: url, Secrets: []string{"c2VjcmV0"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		res := ch.Deliver(ctx, delivery.Attempt{Notification: deliverytest.Note("a", 1), Number: 1, At: time.Now()})
		cancel()
		if res.Verdict != delivery.Failed || !res.Alarm || !strings.Contains(res.Reason, "notifier.webhook.allow") {
			t.Errorf("%s: got %+v, want a definite failure with an alarm", url, res)
		}
	}
	if reached {
		t.Error("a loopback address was reached")
	}
}
