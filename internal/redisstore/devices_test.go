package redisstore_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

const deviceLife = time.Hour

func TestDevices(t *testing.T) {
	t.Parallel()
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		deliverytest.DevicesSuite(t, func(t *testing.T) delivery.Devices {
			return redisstore.NewDevices(client, t.Name(), deliverytest.DevicesMax, deviceLife)
		})
	})
}

// A node of a cluster refuses what touches two slots in one step.
func TestDevicesInACluster(t *testing.T) {
	t.Parallel()
	client := startCluster(t)
	deliverytest.DevicesSuite(t, func(t *testing.T) delivery.Devices {
		return redisstore.NewDevices(client, t.Name(), deliverytest.DevicesMax, deviceLife)
	})
}

// startCluster starts a Redis Cluster of one node with all slots.
func startCluster(t *testing.T) redis.UniversalClient {
	t.Helper()
	// Nodes would talk by it. Left out, each server takes 10000, and a second one ends.
	bus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(bus.Addr().(*net.TCPAddr).Port)
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	server := testredis.Start(t, map[string]string{"cluster-enabled": "yes", "bind": "127.0.0.1", "cluster-port": port})
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	t.Cleanup(func() { client.Close() })
	if err := client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the cluster does not come up: %v\n%s", err, info)
		}
	}
	if err := client.MGet(t.Context(), "a", "b").Err(); err == nil || !strings.HasPrefix(err.Error(), "CROSSSLOT") {
		t.Fatalf("a command for two slots gave %v; this is no cluster", err)
	}
	return client
}

// TestDevicesCrash stops a registration between its two writes, as a crash does.
func TestDevicesCrash(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { client.Close() })
	devices := redisstore.NewDevices(client, "v", 2, deviceLife)
	phone := delivery.Device{ID: "phone", Channel: "fcm", Token: "t", Registered: time.UnixMicro(1).UTC()}
	if err := devices.Put(t.Context(), "ada", phone); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the process ends here")
	dying := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { dying.Close() })
	dying.AddHook(failSet{err: broken})
	cut := redisstore.NewDevices(dying, "v", 2, deviceLife)

	if err := cut.Put(t.Context(), "bob", phone); !errors.Is(err, broken) {
		t.Fatalf("a registration that breaks off says %v", err)
	}
	if got, err := devices.Find(t.Context(), "ada", "phone"); err != nil || got == nil {
		t.Errorf("the old owner has %v, %v", got, err)
	}
	if got, err := devices.Find(t.Context(), "bob", "phone"); err != nil || got != nil {
		t.Errorf("whoever broke off has %v, %v", got, err)
	}
	fresh := phone
	fresh.Token = "t2"
	if err := cut.Put(t.Context(), "ada", fresh); !errors.Is(err, broken) {
		t.Fatalf("a registration that breaks off says %v", err)
	}
	for _, who := range []string{"ada", "bob"} {
		if got, err := devices.List(t.Context(), who); err != nil || len(got) > 0 {
			t.Errorf("%s has %v, %v", who, got, err)
		}
	}
	young := delivery.Device{ID: "tablet", Channel: "fcm", Token: "t3", Registered: time.Now()}
	if err := cut.Put(t.Context(), "bob", young); !errors.Is(err, broken) {
		t.Fatalf("a registration that breaks off says %v", err)
	}
	if err := devices.Put(t.Context(), "bob", phone); err != nil {
		t.Fatal(err)
	}
	third := delivery.Device{ID: "third", Channel: "fcm", Token: "t4", Registered: time.Now()}
	if err := devices.Put(t.Context(), "bob", third); !errors.Is(err, delivery.ErrDevicesFull) {
		t.Errorf("in the place of one that may still be on its way a device was taken: %v", err)
	}
	if got, err := devices.Find(t.Context(), "bob", "phone"); err != nil || got == nil || *got != phone {
		t.Errorf("registered again, bob has %v, %v", got, err)
	}
}

// failSet fails SET.
type failSet struct {
	redis.Hook
	err error
}

func (f failSet) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failSet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f failSet) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "set" {
			cmd.SetErr(f.err)
			return f.err
		}
		return next(ctx, cmd)
	}
}

// TestDevicesEnd checks that what is not registered again ends, and that what
// cannot be read is in nobody's way.
func TestDevicesEnd(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { client.Close() })
	devices := redisstore.NewDevices(client, "v", 2, deviceLife)
	put := func(id, token string) {
		t.Helper()
		if err := devices.Put(t.Context(), "ada", delivery.Device{ID: id, Token: token}); err != nil {
			t.Fatal(err)
		}
	}
	put("phone", "t1")
	server.FastForward(deviceLife / 2)
	put("tablet", "t2")
	server.FastForward(deviceLife/2 + time.Minute)
	if got, err := devices.List(t.Context(), "ada"); err != nil || len(got) != 1 || got[0].ID != "tablet" {
		t.Errorf("after the phone's life there are %v, %v", got, err)
	}
	put("browser", "t3") // in the phone's place
	server.FastForward(deviceLife + time.Minute)
	if keys := server.Keys(); len(keys) > 0 {
		t.Errorf("left are %v", keys)
	}
	server.HSet("v:devices:{ada}", "phone", "{")
	put("tablet", "t2")
	if got, err := devices.List(t.Context(), "ada"); err != nil || len(got) != 1 {
		t.Errorf("beside a damaged one there are %v, %v", got, err)
	}
	put("browser", "t3") // in its place
	for _, key := range server.Keys() {
		if strings.Contains(key, "t3") {
			t.Errorf("the key %s has a token in it", key)
		}
	}
}
