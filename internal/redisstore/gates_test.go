package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/testredis"
)

func gateStates(t *testing.T, cl redis.UniversalClient, opts GateOptions) (r01, r02 preflight.Result) {
	t.Helper()
	r := preflight.Run(t.Context(), Gates(cl, opts), preflight.Options{Deadline: 5 * time.Second})
	return r.Results[0], r.Results[1]
}

func openGate(t *testing.T, c Config) redis.UniversalClient {
	t.Helper()
	cl := Open(c)
	t.Cleanup(func() { cl.Close() })
	return cl
}

func TestR01R02GatesOnRealRedis(t *testing.T) {
	s := testredis.Start(t, nil)
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	set := func(name, value string) {
		t.Helper()
		if err := cl.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, opts GateOptions, want01, want02 preflight.State) {
		t.Helper()
		r01, r02 := gateStates(t, cl, opts)
		if r01.State != want01 || r02.State != want02 {
			t.Errorf("%s: R01 %s (%s), R02 %s (%s)", what, r01.State, r01.Observed, r02.State, r02.Observed)
		}
		for _, r := range []preflight.Result{r01, r02} {
			if r.State != preflight.Pass && (r.Fix == "" || r.Players == "") {
				t.Errorf("%s: %s says not what to do: %+v", what, r.ID, r)
			}
		}
	}
	prod := GateOptions{Profile: "prod"}
	expect("as it should be", prod, preflight.Pass, preflight.Pass)
	set("maxmemory-policy", "allkeys-lru")
	expect("may evict once a limit is set", prod, preflight.Warn, preflight.Pass)
	set("maxmemory", "100mb")
	expect("may evict", prod, preflight.Fail, preflight.Pass)
	set("appendonly", "no")
	expect("forgets", prod, preflight.Fail, preflight.Fail)
	expect("forgets, in development", GateOptions{Profile: "dev"}, preflight.Fail, preflight.Warn)

	// A managed service denies CONFIG: INFO tells the same.
	acl := func(rules ...any) {
		t.Helper()
		if err := cl.Do(t.Context(), append([]any{"ACL", "SETUSER", "managed", "on", ">secret", "~*"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	admin := cl
	acl("+@all", "-config")
	cl = openGate(t, Config{Addrs: []string{s.Addr}, Username: "managed", Password: "secret"})
	expect("CONFIG denied", prod, preflight.Fail, preflight.Fail)
	cl = admin
	set("maxmemory-policy", "noeviction")
	set("appendonly", "yes")
	cl = openGate(t, Config{Addrs: []string{s.Addr}, Username: "managed", Password: "secret"})
	expect("CONFIG denied, as it should be", prod, preflight.Pass, preflight.Pass)

	// Denied both, it is unknown, never pass.
	cl = admin
	acl("-info")
	cl = openGate(t, Config{Addrs: []string{s.Addr}, Username: "managed", Password: "secret"})
	expect("CONFIG and INFO denied", prod, preflight.Unknown, preflight.Unknown)
	if r01, _ := gateStates(t, cl, prod); !strings.Contains(r01.Observed, "NOPERM") {
		t.Errorf("denied reads as %q", r01.Observed)
	}
}

func TestGatesOnMiniredis(t *testing.T) {
	m := miniredis.RunT(t)
	cl := openGate(t, Config{Addrs: []string{m.Addr()}})
	if r01, r02 := gateStates(t, cl, GateOptions{Profile: "dev"}); r01.State != preflight.Unknown || r02.State != preflight.Unknown {
		t.Errorf("unannounced: %+v, %+v", r01, r02)
	}
	if r01, r02 := gateStates(t, cl, GateOptions{Profile: "dev", InMemory: true}); r01.State != preflight.Skip || r02.State != preflight.Skip {
		t.Errorf("announced: %+v, %+v", r01, r02)
	}
}
