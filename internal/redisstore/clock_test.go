package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/veltrix/veltrix/internal/testredis"
)

// TestTimes reads the clock of a real server, of one whose clock is wrong, and of
// one that does not tell.
func TestTimes(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, nil)
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	before := time.Now()
	times, err := Times(t.Context(), cl)
	if err != nil || len(times) != 1 {
		t.Fatal(times, err)
	}
	if at := times[0]; at.Asked.Before(before) || at.Answered.Before(at.Asked) || at.Shown.Before(at.Asked.Add(-time.Second)) || at.Shown.After(at.Answered.Add(time.Second)) {
		t.Errorf("%+v", at)
	}
	if err := cl.Do(t.Context(), "ACL", "SETUSER", "default", "-time").Err(); err != nil {
		t.Fatal(err)
	}
	if times, err := Times(t.Context(), cl); err == nil || !strings.Contains(err.Error(), "NOPERM") || len(times) != 0 {
		t.Errorf("denied: %v, %v", times, err)
	}

	wrong := miniredis.RunT(t)
	wrong.SetTime(time.Now().Add(-time.Hour))
	times, err = Times(t.Context(), openGate(t, Config{Addrs: []string{wrong.Addr()}}))
	if err != nil || len(times) != 1 || times[0].Asked.Sub(times[0].Shown) < 59*time.Minute {
		t.Errorf("an hour behind: %+v, %v", times, err)
	}
}
