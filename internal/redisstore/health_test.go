package redisstore

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/testredis"
)

// expectCheck holds one of the health checks against what it should say.
func expectCheck(t *testing.T, what, id string, cl redis.UniversalClient, want preflight.State, observed string) preflight.Result {
	t.Helper()
	return expectOf(t, what, id, HealthChecks(cl, "p", GateOptions{}), want, observed)
}

func expectOf(t *testing.T, what, id string, all []preflight.Check, want preflight.State, observed string) preflight.Result {
	t.Helper()
	chosen, err := preflight.Choose(all, []string{id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := judge(t, chosen[0])
	if r.State != want || !strings.Contains(r.Observed, observed) {
		t.Errorf("%s: %s %s: %s, want %s with %q", what, id, r.State, r.Observed, want, observed)
	}
	if (r.State == preflight.Warn || r.State == preflight.Fail) && (r.Fix == "" || r.Expected == "") {
		t.Errorf("%s: %s says not what to do: %+v", what, id, r)
	}
	return r
}

// as is a client of a user with rights of its own.
func as(t *testing.T, s *testredis.Server, admin redis.UniversalClient, user string, rules ...any) redis.UniversalClient {
	t.Helper()
	if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", user, "on", ">secret", "~*", "+@all"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
	return openGate(t, Config{Addrs: []string{s.Addr}, Username: user, Password: "secret"})
}

// awaitInfo waits until a field of INFO has a value.
func awaitInfo(t *testing.T, cl redis.UniversalClient, section, line string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text, err := cl.Info(t.Context(), section).Result()
		if err == nil && strings.Contains(text, line) {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("no %s, %v:\n%s", line, err, text)
		}
	}
}

func TestR03FailoverLosesAcknowledged(t *testing.T) {
	t.Parallel()
	primary, replica := testredis.Start(t, nil), testredis.Start(t, nil)
	cl, copyOf := openGate(t, Config{Addrs: []string{primary.Addr}}), openGate(t, Config{Addrs: []string{replica.Addr}})
	set := func(name, value string) {
		t.Helper()
		if err := cl.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expectCheck(t, "alone", "R03", cl, preflight.Skip, "no primary has replicas")
	if err := copyOf.Do(t.Context(), "REPLICAOF", "127.0.0.1", overTCP(t, primary)).Err(); err != nil {
		t.Fatal(err)
	}
	awaitInfo(t, cl, "replication", "state=online")
	persists := func(what string, cl redis.UniversalClient, want preflight.State) {
		t.Helper()
		if _, r02 := gateStates(t, cl, GateOptions{Profile: "prod"}); r02.State != want {
			t.Errorf("%s: R02 %s: %s", what, r02.State, r02.Observed)
		}
	}
	set("appendonly", "no")
	persists("a replica keeps it", cl, preflight.Warn)
	persists("replicas are hidden", as(t, primary, cl, "noinfo", "-info"), preflight.Fail)
	denied := as(t, primary, cl, "noconfig", "-config")
	expectCheck(t, "as it comes", "R03", cl, preflight.Warn, "replicas=1, min-replicas-to-write=0")
	expectCheck(t, "CONFIG denied", "R03", denied, preflight.Warn, "no replica is required")
	set("min-replicas-to-write", "1")
	expectCheck(t, "set", "R03", cl, preflight.Pass, "min-replicas-to-write=1, min-replicas-max-lag=10")
	expectCheck(t, "set, CONFIG denied", "R03", denied, preflight.Pass, "1 are near enough (INFO)")
	set("min-replicas-max-lag", "0")
	expectCheck(t, "switched off by the other", "R03", cl, preflight.Warn, "min-replicas-max-lag=0")
	expectCheck(t, "all denied", "R03", as(t, primary, cl, "nothing", "-config", "-info"), preflight.Unknown, "NOPERM")
	expectCheck(t, "no INFO", "R03", answering(t, map[string]string{"replication": "connected_slaves:1\r\n"}), preflight.Unknown, "has no role")
	expectOf(t, "the embedded one", "R03", HealthChecks(cl, "p", GateOptions{InMemory: true}), preflight.Skip, "embedded")
}

// overTCP leads to a server's socket, and returns its port: replicas know no sockets.
func overTCP(t *testing.T, s *testredis.Server) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", strings.TrimPrefix(s.Addr, "unix://"))
			if err != nil {
				from.Close()
				return
			}
			go func() {
				_, _ = io.Copy(to, from)
				to.Close()
			}()
			go func() {
				_, _ = io.Copy(from, to)
				from.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestR06ShortOfMemory(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, map[string]string{"maxmemory": "300mb"})
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	if err := cl.Set(t.Context(), "a", strings.Repeat("x", 50<<20), 0).Err(); err != nil {
		t.Fatal(err)
	}
	expectCheck(t, "as it should be", "R06", cl, preflight.Pass, "% of maxmemory in use")
	expectCheck(t, "INFO denied", "R06", as(t, s, cl, "blind", "-info"), preflight.Unknown, "NOPERM")
	expectCheck(t, "CONFIG denied", "R06", as(t, s, cl, "noconfig", "-config"), preflight.Pass, "% of maxmemory in use")
	limit := func(percent int64) { // so that this much is in use
		t.Helper()
		memory, err := section(t.Context(), cl.(*redis.Client), "memory")
		if err != nil {
			t.Fatal(err)
		}
		used, err := memory.number("used_memory")
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(used*100/percent)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit(82)
	expectCheck(t, "less is left", "R06", cl, preflight.Warn, "% of maxmemory in use")
	limit(96)
	expectCheck(t, "full", "R06", cl, preflight.Fail, "% of maxmemory in use")
	if err := cl.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	expectCheck(t, "without a limit", "R06", cl, preflight.Pass, "% of total_system_memory in use")
}

const allWritten = "aof_last_write_status:ok\r\naof_last_bgrewrite_status:ok\r\nrdb_last_bgsave_status:ok\r\n"

// TestR06RewriteWithoutRoom: what is judged while a fork is under way is the
// machine's memory, and no test has all of it.
func TestR06RewriteWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		used             int64
		rewriting, saves string
		want             preflight.State
	}{
		"half, and a rewrite":       {50, "1", "0", preflight.Pass},
		"more, and a rewrite":       {51, "1", "0", preflight.Warn},
		"more, and a save":          {51, "0", "1", preflight.Warn},
		"more, and none":            {51, "0", "0", preflight.Pass},
		"less than three quarters":  {74, "0", "0", preflight.Pass},
		"three quarters":            {75, "0", "0", preflight.Warn},
		"less than nine tenths":     {89, "0", "0", preflight.Warn},
		"nine tenths":               {90, "0", "0", preflight.Fail},
		"nearly all, and a rewrite": {91, "1", "0", preflight.Fail},
	} {
		cl := answering(t, map[string]string{
			"memory":      fmt.Sprintf("used_memory:%d\r\nmaxmemory:0\r\ntotal_system_memory:%d\r\n", c.used<<20, int64(100<<20)),
			"persistence": "aof_rewrite_in_progress:" + c.rewriting + "\r\nrdb_bgsave_in_progress:" + c.saves + "\r\n" + allWritten,
		})
		expectCheck(t, name, "R06", cl, c.want, "100 MiB")
	}
	expectCheck(t, "a replica's buffer, which maxmemory does not count", "R06", answering(t, map[string]string{
		"memory": "used_memory:95\r\nmaxmemory:100\r\nmem_not_counted_for_evict:30\r\n", "persistence": allWritten,
	}), preflight.Pass, "65 % of maxmemory")
	expectCheck(t, "no memory told", "R06", answering(t, map[string]string{"memory": "used_memory:7\r\nmaxmemory:0\r\n"}), preflight.Unknown, "nothing to hold")
	expectCheck(t, "no status told", "R06", answering(t, map[string]string{"memory": "used_memory:7\r\nmaxmemory:100\r\n", "persistence": "loading:0\r\n"}), preflight.Unknown, "has no aof_last_write_status")
}

// answering is a client whose server's INFO is made up.
func answering(t *testing.T, info map[string]string) redis.UniversalClient {
	t.Helper()
	cl := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	cl.AddHook(madeUp{info})
	t.Cleanup(func() { cl.Close() })
	return cl
}

type madeUp struct{ info map[string]string }

func (m madeUp) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m madeUp) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m madeUp) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if answer, ok := cmd.(*redis.StringCmd); ok {
			answer.SetVal(m.info[fmt.Sprint(cmd.Args()[1])])
		}
		return nil
	}
}

// TestR06FilesThatCannotBeWritten has a real Redis fail to write each of them.
func TestR06FilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	block := func(t *testing.T, s *testredis.Server, file string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(s.Dir, file, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a save", func(t *testing.T) {
		t.Parallel()
		s := testredis.Start(t, nil)
		cl := openGate(t, Config{Addrs: []string{s.Addr}})
		block(t, s, "dump.rdb")
		cl.BgSave(t.Context())
		awaitInfo(t, cl, "persistence", "rdb_last_bgsave_status:err")
		expectCheck(t, "a save", "R06", cl, preflight.Fail, "rdb_last_bgsave_status=err")
	})
	t.Run("a rewrite", func(t *testing.T) {
		t.Parallel()
		s := testredis.Start(t, nil)
		cl := openGate(t, Config{Addrs: []string{s.Addr}})
		block(t, s, "appendonlydir/appendonly.aof.2.base.rdb")
		cl.BgRewriteAOF(t.Context())
		awaitInfo(t, cl, "persistence", "aof_last_bgrewrite_status:err")
		expectCheck(t, "a rewrite", "R06", cl, preflight.Fail, "aof_last_bgrewrite_status=err")
	})
	t.Run("a write", func(t *testing.T) {
		t.Parallel()
		s := testredis.Start(t, nil)
		s.Stop()
		// The file that each write goes to is on a disk that is full.
		file := filepath.Join(s.Dir, "appendonlydir", "appendonly.aof.1.incr.aof")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", file); err != nil {
			t.Fatal(err)
		}
		s.Restart()
		cl := openGate(t, Config{Addrs: []string{s.Addr}})
		cl.Set(t.Context(), "a", "b", 0)
		awaitInfo(t, cl, "persistence", "aof_last_write_status:err")
		expectCheck(t, "a write", "R06", cl, preflight.Fail, "aof_last_write_status=err")
	})
}

func TestN05SeveralSubscriptionsOfOneDevice(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, nil)
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	devices := NewDevices(cl, "p", 32, time.Hour)
	put := func(who, id, channel, token string) {
		t.Helper()
		if err := devices.Put(t.Context(), who, delivery.Device{ID: id, Channel: channel, Token: token, Registered: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	expectCheck(t, "no devices", "N05", cl, preflight.Skip, "no participant")
	expectCheck(t, "SCAN denied", "N05", as(t, s, cl, "noscan", "-scan"), preflight.Unknown, "NOPERM")
	for i := range 3 {
		put("a{d}a:1", fmt.Sprint("phone-", i), "webpush", fmt.Sprint("https://push.example/", i))
		put("a{d}a:1", fmt.Sprint("other-", i), "webpush", fmt.Sprint("https://other.example/", i))
		put("a{d}a:1", fmt.Sprint("app-", i), "fcm", fmt.Sprint("token-", i))
	}
	expectCheck(t, "three of each", "N05", cl, preflight.Pass, "9 devices of 1 participants")
	expectCheck(t, "HVALS denied", "N05", as(t, s, cl, "nohvals", "-hvals"), preflight.Unknown, "NOPERM")
	put("a{d}a:1", "again", "webpush", "https://push.example/secret")
	r := expectCheck(t, "a fourth", "N05", cl, preflight.Warn, "1 of the participants have more than 3 at one push service: a{d}a:1 has 4 at webpush https://push.example; seen: 10 devices of 1 participants")
	if strings.Contains(r.Observed, "secret") {
		t.Errorf("it shows where a device is reached: %s", r.Observed)
	}
	put("bob", "his", "webpush", "https://push.example/secret") // the phone was handed on
	expectCheck(t, "a token that is another's now", "N05", cl, preflight.Pass, "11 devices of 2 participants")
}

// TestN05LooksAtABoundedPart: on a Redis with many keys it says that it has seen
// some, and where it has seen none, that it does not know.
func TestN05LooksAtABoundedPart(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, nil)
	cl := openGate(t, Config{Addrs: []string{s.Addr}})
	if err := cl.Do(t.Context(), "DEBUG", "POPULATE", "150000").Err(); err != nil {
		if err = cl.Eval(t.Context(), "for i = 1, 150000 do redis.call('SET', 'key:' .. i, '') end return 1", nil).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expectCheck(t, "none seen", "N05", cl, preflight.Unknown, "no devices among the first 50000 keys")
	if err := cl.Eval(t.Context(), `for i = 1, 30000 do redis.call('HSET', 'p:devices:{' .. i .. '}', 'd', '{"channel":"fcm"}') end return 1`, nil).Err(); err != nil {
		t.Fatal(err)
	}
	expectCheck(t, "some seen", "N05", cl, preflight.Pass, "a sample")
}
