package testredis

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestDataOutlivesARestart(t *testing.T) {
	s := Start(t, nil)
	open := func() *redis.Client {
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Addr[len("unix://"):]})
		t.Cleanup(func() { c.Close() })
		return c
	}
	if err := open().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := open().Ping(t.Context()).Err(); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Restart()
	if v, err := open().Get(t.Context(), "k").Result(); err != nil || v != "v" {
		t.Fatalf("%q, %v", v, err)
	}
}
