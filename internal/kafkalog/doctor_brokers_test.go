package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

// ours are the options of a processor with its defaults, in profile dev.
func ours() kafkalog.BrokerOptions {
	return kafkalog.BrokerOptions{
		Profile: "dev", TransactionTimeout: 8 * time.Second, SnapshotInterval: 10 * time.Minute, User: kafkalog.Anonymous,
	}
}

func lookAtBrokers(t *testing.T, cfg kafkalog.Config, opts kafkalog.BrokerOptions) (preflight.Report, map[string]preflight.Result) {
	t.Helper()
	report := preflight.Run(t.Context(), kafkalog.BrokerChecks(cfg, opts), preflight.Options{Deadline: time.Minute})
	byID := map[string]preflight.Result{}
	for _, r := range report.Results {
		byID[r.ID] = r
	}
	return report, byID
}

// expect holds a result against its state and a part of what was observed; a
// failure or warning has to say what to do.
func expect(t *testing.T, r preflight.Result, state preflight.State, observed string) {
	t.Helper()
	if r.State != state || !strings.Contains(r.Observed, observed) {
		t.Errorf("%s is %s: %s\n  want %s: … %s …", r.ID, r.State, r.Observed, state, observed)
	}
	if (r.State == preflight.Fail || r.State == preflight.Warn) && (r.Expected == "" || r.Fix == "" || r.Players == "") {
		t.Errorf("%s says not what to do: %+v", r.ID, r)
	}
	if r.State == preflight.Unknown && r.Fix == "" {
		t.Errorf("%s says not how to let it look: %+v", r.ID, r)
	}
}

// spreader is a load balancer: each connection goes to the next of its targets.
type spreader struct {
	addr string

	mu      sync.Mutex
	targets []string
	next    int
}

func spread(t *testing.T, targets ...string) *spreader {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spreader{addr: l.Addr().String(), targets: targets}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return s
}

func (s *spreader) add(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.targets, target) {
		s.targets = append(s.targets, target)
	}
}

func (s *spreader) serve(client net.Conn) {
	defer client.Close()
	s.mu.Lock()
	target := s.targets[s.next%len(s.targets)]
	s.next++
	s.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // until either side ends
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

// TestK01BrokersShareOneAddress puts three real brokers behind load balancers: each
// advertises one of its own, and then all the same. Only as bootstrap it is fine.
func TestK01BrokersShareOneAddress(t *testing.T) {
	t.Parallel()
	const each, same = 1, 2 // lanes; the first is as the nodes listen
	own := map[int]*spreader{1: spread(t), 2: spread(t), 3: spread(t)}
	all := spread(t)
	c := broker.Start(t, broker.Options{Nodes: 3, Lanes: 3, Advertise: func(node, lane int, listens string) (string, error) {
		switch lane {
		case each: // the node comes first, and others after it
			for _, s := range own {
				s.add(listens)
			}
			return own[node].addr, nil
		case same:
			all.add(listens)
			return all.addr, nil
		}
		return listens, nil
	}})
	at := func(brokers ...string) kafkalog.Config {
		return kafkalog.Config{Brokers: brokers, Prefix: "k01", ClientID: "k01.doctor"}
	}
	healthy := at(c.Addrs...)
	apply(t, healthy, kafkalog.TopicPlanOptions{Profile: "prod"})
	_, r := lookAtBrokers(t, healthy, ours())
	expect(t, r["K01"], preflight.Pass, "is broker 1 (4 connections)")
	_, r = lookAtBrokers(t, at(spread(t, c.Addrs...).addr), ours())
	expect(t, r["K01"], preflight.Pass, "is broker 3 (4 connections)")

	_, r = lookAtBrokers(t, at(c.Lane(each)...), ours())
	expect(t, r["K01"], preflight.Fail, "served nodes 1,2,3 over 4 connections, and is broker 2's")
	own[3].add(fakeBrokers(t, kfake.NumBrokers(5))[4])            // node 4, of another cluster
	_, r = lookAtBrokers(t, at(own[1].addr, own[2].addr), ours()) // the third may lead to the other cluster's metadata
	expect(t, r["K01"], preflight.Fail, own[3].addr+" served nodes none of these,1,2,3 over 4 connections")
	_, r = lookAtBrokers(t, at(c.Lane(same)[0]), ours())
	expect(t, r["K01"], preflight.Fail, "brokers 1,2,3 all advertise one address: "+all.addr+" served nodes 1,2,3 over 12 connections")
	if r["K01"].Severity != preflight.Critical {
		t.Errorf("%+v", r["K01"])
	}

	prod := ours()
	prod.Profile = "prod"
	_, r = lookAtBrokers(t, healthy, prod)
	for id, x := range r {
		if x.State != preflight.Pass {
			t.Errorf("on a cluster as it should be, %s is %s: %s", id, x.State, x.Observed)
		}
	}
	oneBrokerAway(t, c, healthy)
}

// oneBrokerAway kills a broker: it is one line, at once, and also when the others
// have forgotten it.
func oneBrokerAway(t *testing.T, c *broker.Cluster, cfg kafkalog.Config) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, kafkalog.Config{Brokers: c.Addrs[:2], Prefix: cfg.Prefix}))
	listed := func() bool {
		t.Helper()
		brokers, err := adm.ListBrokers(withTimeout(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(brokers) == 3
	}
	c.Kill(3)
	for known := true; known; time.Sleep(100 * time.Millisecond) {
		known = listed()
		report, r := lookAtBrokers(t, cfg, ours())
		if len(report.Unreachable) != 1 || report.Unreachable[0].Server != "kafka broker 3" || !slices.Equal(report.Unreachable[0].Checks, []string{"K01", "K04", "K13", "K16"}) {
			t.Fatalf("known: %t: %+v", known, report.Unreachable)
		}
		for _, id := range report.Unreachable[0].Checks {
			if r[id].State != preflight.Unknown || r[id].Missing != "kafka broker 3" {
				t.Errorf("known: %t: %+v", known, r[id])
			}
		}
		k15, err := preflight.Choose(kafkalog.Gates(cfg, kafkalog.GateOptions{}), []string{"K15"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x := preflight.Run(t.Context(), k15, preflight.Options{}).Results[0]; known && listed() && x.Missing != "kafka broker 3" {
			t.Errorf("while the others know it: %+v", x)
		}
	}
}

func TestK01OneBrokerAndThree(t *testing.T) {
	t.Parallel()
	one := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}
	_, r := lookAtBrokers(t, one, ours())
	expect(t, r["K01"], preflight.Skip, "one broker")
	_, r = lookAtBrokers(t, kafkalog.Config{Brokers: fakeBrokers(t, kfake.NumBrokers(3)), Prefix: "p"}, ours())
	expect(t, r["K01"], preflight.Pass, "is broker 2")
}

// hidden are brokers that let a user see that they and the topics are there, and
// nothing of how they are set.
func hidden(t *testing.T, brokers int, more ...kfake.ACL) kafkalog.Config {
	t.Helper()
	addrs := fakeBrokers(t, kfake.NumBrokers(brokers), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.SeedTopics(3, "p.events"),
		kfake.User("PLAIN", "doctor", "doctor", append(more, allow(kmsg.ACLResourceTypeTopic, "p.events", kmsg.ACLOperationDescribe))...))
	return kafkalog.Config{Brokers: addrs, Prefix: "p", SASL: plain.Auth{User: "doctor", Pass: "doctor"}.AsMechanism()}
}

func TestDeniedBrokersAreUnknown(t *testing.T) {
	t.Parallel()
	clocks := ours()
	clocks.Clocks = func(context.Context) ([]kafkalog.Clock, error) { return nil, errors.New("TIME denied") }
	_, r := lookAtBrokers(t, hidden(t, 3), clocks)
	if len(r) != 9 {
		t.Errorf("%d checks", len(r))
	}
	for id, x := range r {
		expect(t, x, preflight.Unknown, "")
		if !strings.Contains(x.Fix, "grant this user") {
			t.Errorf("%s: %s; fix: %s", id, x.Observed, x.Fix)
		}
	}
}

func allow(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
}

// TestDeniedOneIsNotAll: a right that is missing leaves the others' checks alone.
func TestDeniedOneIsNotAll(t *testing.T) {
	t.Parallel()
	cluster := allow(kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLOperationDescribeConfigs)
	_, r := lookAtBrokers(t, hidden(t, 3, cluster), ours())
	for _, id := range []string{"K01", "K13", "K14"} {
		expect(t, r[id], preflight.Pass, "")
	}
	for _, id := range []string{"K03", "K06", "K07"} {
		expect(t, r[id], preflight.Unknown, "TOPIC_AUTHORIZATION_FAILED")
	}
	_, r = lookAtBrokers(t, hidden(t, 3, allow(kmsg.ACLResourceTypeTopic, "p.events", kmsg.ACLOperationDescribeConfigs)), ours())
	expect(t, r["K06"], preflight.Pass, "retention.ms=")
	expect(t, r["K01"], preflight.Unknown, "CLUSTER_AUTHORIZATION_FAILED")
}

// TestDeniedByARealBroker: its authorizer refuses in the same words.
func TestDeniedByARealBroker(t *testing.T) {
	t.Parallel()
	c := broker.Start(t, broker.Options{Config: map[string]string{
		"authorizer.class.name":            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found":   "true",
		"super.users":                      "User:admin",
		"early.start.listeners":            "CONTROLLER",
		"transaction.state.log.min.isr":    "1",
		"offsets.topic.replication.factor": "1",
	}})
	cfg := kafkalog.Config{Brokers: c.Addrs, Prefix: "denied"}
	apply(t, cfg, dev)
	_, r := lookAtBrokers(t, cfg, ours())
	expect(t, r["K04"], preflight.Pass, "false at brokers 1")
	adm := kadm.NewClient(newClient(t, cfg))
	everybody := kadm.NewACLs().Clusters().Topics("denied.events").ResourcePatternType(kadm.ACLPatternLiteral)
	for _, acl := range []*kadm.ACLBuilder{
		kadm.NewACLs().Clusters().Topics("denied.events").ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:*").Operations(kadm.OpAll),
		everybody.Deny("User:ANONYMOUS").Operations(kadm.OpDescribeConfigs),
	} {
		made, err := adm.CreateACLs(withTimeout(t), acl)
		for _, m := range made {
			err = errors.Join(err, m.Err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for ctx := withTimeout(t); ; time.Sleep(50 * time.Millisecond) {
		_, r = lookAtBrokers(t, cfg, ours())
		if r["K06"].State != preflight.Pass || ctx.Err() != nil {
			break
		}
	}
	for _, id := range []string{"K04", "K06", "K07", "K13", "K14", "K16"} {
		expect(t, r[id], preflight.Unknown, "")
		if !strings.Contains(r[id].Fix, "grant this user") {
			t.Errorf("%s: %s; fix: %s", id, r[id].Observed, r[id].Fix)
		}
	}
}

// TestK03K04K13K16BrokersSetWrong has a real broker with all of it wrong.
func TestK03K04K13K16BrokersSetWrong(t *testing.T) {
	t.Parallel()
	c := broker.Start(t, broker.Options{Config: map[string]string{
		"auto.create.topics.enable":                                   "true",
		"transactional.id.expiration.ms":                              fmt.Sprint(time.Hour.Milliseconds()),
		"transaction.max.timeout.ms":                                  "9000", // enough for the processor, and not for the manifest
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "60000",
		"offset.metadata.max.bytes":                                   "100",
	}})
	cfg := kafkalog.Config{Brokers: c.Addrs, Prefix: "wrong"}
	prod := ours()
	prod.Profile = "prod"
	_, r := lookAtBrokers(t, cfg, prod)
	expect(t, r["K03"], preflight.Fail, "__transaction_state: none yet, to be made with 1 replicas (transaction.state.log.replication.factor)")
	expect(t, r["K04"], preflight.Fail, "auto.create.topics.enable=true at brokers 1")
	expect(t, r["K13"], preflight.Fail, "transactional.id.expiration.ms=3600000 at brokers 1: an ID that rests for a night is forgotten")
	expect(t, r["K13"], preflight.Fail, "transaction.max.timeout.ms=9000 at brokers 1: a transaction may last 10s")
	expect(t, r["K16"], preflight.Fail, "cleanup.interval.ms=60000 at brokers 1: after a crash")
	expect(t, r["K16"], preflight.Fail, "offset.metadata.max.bytes=100 at brokers 1: a commit's stamp")
	for _, id := range []string{"K06", "K07"} {
		expect(t, r[id], preflight.Skip, "wrong.events does not exist")
	}
	long := ours()
	long.TransactionTimeout = time.Minute
	_, r = lookAtBrokers(t, cfg, long)
	expect(t, r["K13"], preflight.Fail, "a transaction may last 1m0s")
	if strings.Contains(r["K16"].Observed, "cleanup") {
		t.Errorf("an interval of the transactions' own length is refused: %s", r["K16"].Observed)
	}
}

// TestK03K04K13K16BrokersSetRight: also where one copy is all that profile dev asks for.
func TestK03K04K13K16BrokersSetRight(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("right.%d", runs.Add(1))}
	apply(t, cfg, dev) // its transaction makes __transaction_state
	_, r := lookAtBrokers(t, cfg, ours())
	for _, id := range []string{"K03", "K04", "K06", "K07", "K08", "K13", "K14", "K16"} {
		expect(t, r[id], preflight.Pass, "")
	}
	if !strings.Contains(r["K03"].Before, "3 replicas") || !strings.Contains(r["K03"].Observed, "__transaction_state: 1 replicas") {
		t.Errorf("profile dev says not what production asks for: %+v", r["K03"])
	}
	prod := ours()
	prod.Profile = "prod"
	_, r = lookAtBrokers(t, cfg, prod)
	expect(t, r["K03"], preflight.Fail, "__transaction_state: 1 replicas")

	// A few days are no failure, and worth a word. kfake answers so.
	few := kafkalog.Config{Prefix: "p", Brokers: fakeBrokers(t, kfake.BrokerConfigs(map[string]string{"transactional.id.expiration.ms": fmt.Sprint((48 * time.Hour).Milliseconds())}))}
	_, r = lookAtBrokers(t, few, ours())
	expect(t, r["K13"], preflight.Warn, "=172800000")
	// It has no auto.create.topics.enable to show: hidden is unknown.
	expect(t, r["K04"], preflight.Unknown, "broker 0 hides auto.create.topics.enable")
	expect(t, r["K16"], preflight.Unknown, "hides")
	expect(t, r["K03"], preflight.Unknown, "does not exist yet, and broker 0 hides")
}

// TestEmbeddedBrokerIsLeftAlone: what it has not, nobody is bothered with.
func TestEmbeddedBrokerIsLeftAlone(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	_, r := lookAtBrokers(t, cfg, ours())
	for id, x := range r {
		if x.State != preflight.Skip && x.State != preflight.Pass {
			t.Errorf("%s is %s: %s", id, x.State, x.Observed)
		}
	}
}
