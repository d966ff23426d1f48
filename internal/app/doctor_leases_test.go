package app

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// TestLeasesThatAreHidden: a user who may not read the leases has seen nothing.
func TestLeasesThatAreHidden(t *testing.T) {
	t.Parallel()
	rt, kafka, shared, _ := guarded(t)
	client := shared.(*redis.Client)
	err := client.Do(t.Context(), "ACL", "SETUSER", "blind", "on", ">secret", "~*", "+ping", "+hello", "+client", "-get", "-lrange").Err()
	if err != nil {
		t.Fatal(err)
	}
	as := *client.Options()
	as.Username, as.Password = "blind", "secret"
	blind := redis.NewClient(&as)
	t.Cleanup(func() { _ = blind.Close() })
	for _, c := range rt.leaseChecks(kafka, blind) {
		if f := c.Run(t.Context()); f.State != preflight.Unknown || !strings.Contains(f.Observed, "NOPERM") || f.Fix == "" {
			t.Errorf("%s: %+v", c.ID, f)
		}
	}
	for _, c := range rt.leaseChecks(kafka, client) {
		if f := c.Run(t.Context()); f.State != preflight.Pass && f.State != preflight.Skip {
			t.Errorf("%s, seen: %+v", c.ID, f)
		}
	}
}

// TestSlotsThatGoToAndFro: who lost a slot, and how often, says which of two causes
// it has, or none.
func TestSlotsThatGoToAndFro(t *testing.T) {
	const named, process = "instance:a:0", "process:host:1:2:0"
	lost := func(slot int, owner string, sessions ...string) (all []redisstore.Fence) {
		for _, s := range sessions {
			all = append(all, redisstore.Fence{At: time.Now(), Slot: slot, Owner: owner, Session: s})
		}
		return all
	}
	for name, c := range map[string]struct {
		fences         []redisstore.Fence
		twins, strange preflight.State
	}{
		"never":                     {nil, preflight.Pass, preflight.Pass},
		"a takeover":                {lost(0, named, "x", "y"), preflight.Pass, preflight.Pass},
		"takeovers of three slots":  {append(append(lost(0, named, "x"), lost(1, named, "x")...), lost(2, named, "y")...), preflight.Pass, preflight.Pass},
		"two of one name":           {lost(0, named, "x", "y", "x"), preflight.Fail, preflight.Pass},
		"one, to whom nobody knows": {lost(0, named, "x", "x", "x"), preflight.Pass, preflight.Warn},
		"one without a name":        {lost(3, process, "x", "x", "x"), preflight.Pass, preflight.Warn},
		"two without a name":        {lost(3, process, "x", "y", "x"), preflight.Pass, preflight.Warn},
		"two of two names":          {append(lost(0, named, "x"), lost(0, "instance:b:0", "y", "y")...), preflight.Pass, preflight.Warn},
	} {
		expectFinding(t, name, sharedInstance(c.fences), c.twins, "")
		expectFinding(t, name, sharedPrefix(c.fences, nil, nil), c.strange, "")
	}
}

// leaseCheck is one of the checks of leases.
func leaseCheck(rt Runtime, id string, kafka kafkalog.Config, client redis.UniversalClient) func(context.Context) preflight.Finding {
	all := rt.leaseChecks(kafka, client)
	return all[slices.IndexFunc(all, func(c preflight.Check) bool { return c.ID == id })].Run
}

// TestC12TwoLivesUnderOnePrefix: the keys are ours where cluster and topic are.
func TestC12TwoLivesUnderOnePrefix(t *testing.T) {
	t.Parallel()
	rt, kafka, client, _ := guarded(t)
	look := leaseCheck(rt, "C12", kafka, client)
	expectFinding(t, "nobody", look(t.Context()), preflight.Skip, "no processor is at work")
	ours, err := kafkalog.ReadManifest(t.Context(), kafka)
	if err != nil {
		t.Fatal(err)
	}
	topic, cluster := *ours, *ours
	topic.TopicID, cluster.ClusterID = "else", "else"
	for _, c := range []struct {
		manifest *kafkalog.Manifest
		state    preflight.State
		observed string
	}{
		{ours, preflight.Pass, ours.TopicID}, {&topic, preflight.Fail, "topic ID else are at work"}, {&cluster, preflight.Fail, "processors of cluster else"},
	} {
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := (redisstore.Slots{Client: client, Prefix: kafka.Prefix, Life: time.Minute}).Claim(t.Context(), life(c.manifest)); err != nil {
			t.Fatal(err)
		}
		expectFinding(t, c.observed, look(t.Context()), c.state, c.observed)
	}
	kafka.Prefix = "other"
	expectFinding(t, "no topics", leaseCheck(rt, "C12", kafka, client)(t.Context()), preflight.Skip, "no manifest yet")
}

// TestC13ProducersWithoutALease: one at work fails, unless its lease comes back; one
// that left a transaction open warns, whoever it was.
func TestC13ProducersWithoutALease(t *testing.T) {
	t.Parallel()
	rt, kafka, client, _ := guarded(t)
	leases := redisstore.Slots{Client: client, Prefix: kafka.Prefix, Life: time.Minute}
	stop := transacting(t, kafka, "0")
	c13 := func(what string, session, within time.Duration, client redis.UniversalClient, state preflight.State, observed string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		rt.Config.Processor.SessionTimeout = session
		expectFinding(t, what, leaseCheck(rt, "C13", kafka, client)(ctx), state, observed)
	}
	const works = ".processor.0 works, and nobody holds that slot"
	c13("at work", time.Second, time.Minute, client, preflight.Fail, works)
	c13("at work, and little time", time.Hour, 6*time.Second, client, preflight.Fail, works)
	again := redis.NewClient(client.(*redis.Client).Options())
	t.Cleanup(func() { _ = again.Close() })
	again.AddHook(&thirdLook{then: func() {
		if _, err := leases.Acquire(t.Context(), "ours"); err != nil {
			t.Error(err)
		}
	}})
	c13("its lease comes back", time.Hour, time.Minute, again, preflight.Pass, "every transactional ID at work")
	c13("it has a lease", time.Second, time.Minute, client, preflight.Pass, "every transactional ID at work")
	stop()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	c13("it has ended", time.Second, time.Minute, client, preflight.Pass, "every transactional ID at work")
	cl := transactional(t, kafka, "console")
	produceIn(t, cl, kafka)
	c13("a stranger's is open", time.Second, time.Minute, client, preflight.Warn, "a transaction is open of "+kafka.Prefix+".processor.console")
}

func transactional(t *testing.T, kafka kafkalog.Config, slot string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kafka.Options(kgo.TransactionalID(kafka.Prefix + ".processor." + slot))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produceIn(t *testing.T, cl *kgo.Client, kafka kafkalog.Config) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Error(err)
	}
	if err := cl.ProduceSync(context.WithoutCancel(t.Context()), &kgo.Record{Topic: kafka.Topic("receipts")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

// transacting is a slot's producer at work, from when it returns until it is stopped.
func transacting(t *testing.T, kafka kafkalog.Config, slot string) (stop func()) {
	t.Helper()
	cl := transactional(t, kafka, slot)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			produceIn(t, cl, kafka)
			if err := cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryCommit); err != nil {
				t.Error(err)
			}
			if n == 0 {
				close(begun)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	<-begun
	return stop
}

// thirdLook does something before the third look at a lease.
type thirdLook struct {
	looks atomic.Int32
	then  func()
}

func (l *thirdLook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *thirdLook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *thirdLook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "get" && l.looks.Add(1) == 3 {
			l.then()
		}
		return next(ctx, cmd)
	}
}

// TestC12ClaimsAreRenewed: a Redis that loses the claim gets it back with the lease of
// the slot, and another life does not get in between.
func TestC12ClaimsAreRenewed(t *testing.T) {
	t.Parallel()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { _ = client.Close() })
	leases := redisstore.Slots{Client: client, Prefix: "p", Life: time.Second}
	number, err := leases.Acquire(t.Context(), "ours")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		renew(ctx, func(error) {}, leases, number, "ours", "life")
	}()
	for round := range 2 {
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			held, _, err := redisstore.Claimed(t.Context(), client, "p")
			if err == nil && held == "life" {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("round %d: the keys belong to %q, %v", round, held, err)
			}
		}
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-ended
}
