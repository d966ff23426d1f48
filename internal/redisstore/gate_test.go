package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// gateSite returns the gate and the inboxes under a prefix of the test's own.
func gateSite(client redis.UniversalClient) func(t *testing.T) deliverytest.GateSite {
	return func(t *testing.T) deliverytest.GateSite {
		return deliverytest.GateSite{
			Gate: redisstore.NewGate(client, t.Name()), Inbox: redisstore.NewInbox(client, t.Name(), 100, time.Hour),
			Forget: func(t *testing.T, who string) {
				if n, err := client.Del(t.Context(), "{"+t.Name()+":inbox:"+who+"}:meta").Result(); err != nil || n != 1 {
					t.Fatal(n, err)
				}
			},
		}
	}
}

func openGate(t *testing.T) (*redisstore.Gate, redis.UniversalClient) {
	t.Helper()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { client.Close() })
	return redisstore.NewGate(client, "v"), client
}

// A window ends by Redis's clock, which stands still in a Redis in memory.
func TestGate(t *testing.T) {
	t.Parallel()
	_, client := openGate(t)
	deliverytest.GateSuite(t, gateSite(client))
}

func TestGateInACluster(t *testing.T) {
	t.Parallel()
	deliverytest.GateSuite(t, gateSite(startCluster(t)))
}

func push(i int, target string) delivery.AdmitRequest {
	return delivery.AdmitRequest{Notification: deliverytest.Note("", i).ID, Revision: 1, Channel: "fcm", Target: target, Max: 1, Window: time.Hour}
}

func admit(t *testing.T, g *redisstore.Gate, r delivery.AdmitRequest) delivery.Admission {
	t.Helper()
	a, err := g.Admit(t.Context(), "ada", r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestGateLifetimes checks that all but the preferences ends by itself.
func TestGateLifetimes(t *testing.T) {
	t.Parallel()
	g, client := openGate(t)
	admit(t, g, push(1, "phone"))
	admit(t, g, push(2, "phone"))
	if err := g.Present(t.Context(), "ada", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := g.SetPreferences(t.Context(), "ada", delivery.Preferences{TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]time.Duration{
		"{v:inbox:ada}:window": 61 * time.Minute, "{v:inbox:ada}:digests": 48 * time.Hour, "{v:inbox:ada}:present": time.Minute,
	} {
		if left, err := client.PTTL(t.Context(), key).Result(); err != nil || left > want || left < want-30*time.Second {
			t.Errorf("%s lives for %v (%v), want %v", key, left, err, want)
		}
	}
	if left, err := client.PTTL(t.Context(), "{v:inbox:ada}:preferences").Result(); err != nil || left != -1 {
		t.Errorf("preferences live for %v, %v", left, err)
	}
	if err := g.SetPreferences(t.Context(), "ada", delivery.Preferences{}); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Exists(t.Context(), "{v:inbox:ada}:preferences").Result(); err != nil || n != 0 {
		t.Errorf("preferences that say nothing are kept: %v", err)
	}
}

// TestGateIsBounded checks that neither notifications nor devices without number
// make what is kept of one participant grow.
func TestGateIsBounded(t *testing.T) {
	t.Parallel()
	g, client := openGate(t)
	now := time.Now()
	old := func(of string, n int, age time.Duration) {
		t.Helper()
		var members []redis.Z
		for i := range n {
			members = append(members, redis.Z{Score: float64(now.Add(-age).UnixMilli()), Member: fmt.Sprint(of, i)})
		}
		if err := client.ZAdd(t.Context(), "{v:inbox:ada}:digests", members...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	old("ancient", 600, 49*time.Hour)
	old("yesterday", 400, 24*time.Hour)
	admit(t, g, push(0, "phone"))
	window := admit(t, g, push(1, "phone")).Window
	if n, err := client.ZCard(t.Context(), "{v:inbox:ada}:digests").Result(); err != nil || n != 401 {
		t.Errorf("%d notifications are kept for digests, %v; want 401", n, err)
	}
	for i := 2; i < 1020; i++ {
		if a := admit(t, g, push(i, "phone")); a.Admitted || a.Opens || a.Window != window {
			t.Fatalf("number %d got %+v", i, a)
		}
	}
	if n, err := client.ZCard(t.Context(), "{v:inbox:ada}:digests").Result(); err != nil || n != 1000 {
		t.Errorf("%d notifications are kept for digests, %v", n, err)
	}
	for i := range 300 {
		if a := admit(t, g, push(2, fmt.Sprint("device", i))); !a.Opens {
			t.Fatalf("device %d got %+v", i, a)
		}
	}
	if n, err := client.HLen(t.Context(), "{v:inbox:ada}:window").Result(); err != nil || n != 3+1+256 {
		t.Errorf("a window has %d fields, %v", n, err)
	}
	if a := admit(t, g, push(3, "phone")); a.Opens {
		t.Errorf("with many devices around, the phone's digest is opened again: %+v", a)
	}
	if n, err := g.Unseen(t.Context(), "ada", window); err != nil || n != 1000 {
		t.Errorf("the digest counts %d, %v", n, err)
	}
}

// What is damaged holds up nobody, and a Redis that is away says so.
func TestGateDamagedAndAway(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, nil)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	t.Cleanup(func() { client.Close() })
	g := redisstore.NewGate(client, "v")
	if err := client.Set(t.Context(), "{v:inbox:ada}:preferences", `{"quiet_hours":`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Look(t.Context(), "ada", "n"); err != nil || !s.Preferences.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	if p, err := g.Preferences(t.Context(), "ada"); err != nil || !p.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	server.Kill()
	_, look := g.Look(t.Context(), "ada", "n")
	_, admit := g.Admit(t.Context(), "ada", push(1, "phone"))
	_, unseen := g.Unseen(t.Context(), "ada", 1)
	_, read := g.Preferences(t.Context(), "ada")
	for says, err := range map[string]error{
		"look how": look, "count a push": admit, "count a digest": unseen, "read preferences": read,
		"take a notification": g.Withdraw(t.Context(), "ada", "n"), "a participant looks": g.Present(t.Context(), "ada", time.Minute),
		"take out preferences": g.SetPreferences(t.Context(), "ada", delivery.Preferences{}),
		"write preferences":    g.SetPreferences(t.Context(), "ada", delivery.Preferences{TimeZone: "UTC"}),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
