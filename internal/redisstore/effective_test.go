package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/testredis"
)

func judge(t *testing.T, c preflight.Check) preflight.Result {
	t.Helper()
	return preflight.Run(t.Context(), []preflight.Check{c}, preflight.Options{Deadline: 10 * time.Second}).Results[0]
}

// TestR04Retries: nobody is asked, so nobody has to be there.
func TestR04Retries(t *testing.T) {
	t.Parallel()
	one, many := []string{"127.0.0.1:1"}, []string{"127.0.0.1:1", "127.0.0.1:2"}
	for name, c := range map[string]struct {
		cl   redis.UniversalClient
		want preflight.State
	}{
		"ours":                 {Open(Config{Addrs: one}), preflight.Pass},
		"ours on a cluster":    {Open(Config{Addrs: many, Cluster: true}), preflight.Pass},
		"the library's":        {redis.NewClient(&redis.Options{Addr: one[0]}), preflight.Fail},
		"the cluster's":        {redis.NewClusterClient(&redis.ClusterOptions{Addrs: many, MaxRetries: 1}), preflight.Fail},
		"a client of no known": {redis.NewRing(&redis.RingOptions{}), preflight.Unknown},
	} {
		t.Cleanup(func() { c.cl.Close() })
		if r := judge(t, RetryCheck(c.cl)); r.State != c.want {
			t.Errorf("%s: %s: %s", name, r.State, r.Observed)
		}
	}
}

func TestR05Routing(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, nil)
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	expect := func(what string, cl redis.UniversalClient, opts GateOptions, want preflight.State, observed string) {
		t.Helper()
		if r := judge(t, RoutingCheck(cl, opts)); r.State != want || !strings.Contains(r.Observed, observed) {
			t.Errorf("%s: %s: %s", what, r.State, r.Observed)
		}
	}
	expect("a primary", cl, GateOptions{}, preflight.Pass, "role=master")
	expect("the embedded one", cl, GateOptions{InMemory: true}, preflight.Skip, "no replicas")
	if err := cl.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	expect("a role that is hidden", as(t, s, cl, "blind", "-info"), GateOptions{}, preflight.Unknown, "NOPERM")
	expect("a replica", cl, GateOptions{}, preflight.Fail, "role=slave")
	for name, o := range map[string]redis.ClusterOptions{"a replica's": {ReadOnly: true}, "the nearest": {RouteByLatency: true}, "any": {RouteRandomly: true}} {
		o.Addrs = []string{"127.0.0.1:1"}
		reader := redis.NewClusterClient(&o)
		t.Cleanup(func() { reader.Close() })
		expect(name, reader, GateOptions{}, preflight.Fail, "reads go to replicas")
	}
}
