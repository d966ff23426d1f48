package kafkalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

func heldBack(t *testing.T, cfg kafkalog.Config) preflight.Result {
	t.Helper()
	return preflight.Run(t.Context(), []preflight.Check{kafkalog.TransactionCheck(cfg)}, preflight.Options{Deadline: 30 * time.Second}).Results[0]
}

// silent opens a transaction on events, and says nothing more.
func silent(t *testing.T, cfg kafkalog.Config, id string, timeout time.Duration) *kgo.Client {
	t.Helper()
	cl := newClient(t, cfg, kgo.TransactionalID(id), kgo.TransactionTimeout(timeout), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	open(t, cl, cfg.Topic("events"), "one", "two")
	return cl
}

// TestK12TransactionThatNobodyEnds has a producer begin, write and stay silent, on
// a broker that looks so rarely for what has timed out that the transaction outlives
// its timeout.
func TestK12TransactionThatNobodyEnds(t *testing.T) {
	t.Parallel()
	cluster := broker.Start(t, broker.Options{Config: map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "3600000"}})
	cfg := kafkalog.Config{Brokers: cluster.Addrs, Prefix: "k12"}
	if r := heldBack(t, cfg); r.State != preflight.Skip || !strings.Contains(r.Observed, "K10") {
		t.Errorf("before the topics: %s: %s", r.State, r.Observed)
	}
	apply(t, cfg, dev)
	patient := silent(t, cfg, "k12-patient", 10*time.Minute)
	if r := heldBack(t, cfg); r.State != preflight.Pass || !strings.Contains(r.Observed, `within their timeout: k12.events/0 stands at 0 of 2`) || !strings.Contains(r.Observed, `"k12-patient"`) {
		t.Errorf("within its timeout: %s: %s", r.State, r.Observed)
	}
	began := time.Now()
	hung := silent(t, cfg, "k12-hung", time.Second)
	r := heldBack(t, cfg)
	for ; r.State != preflight.Fail && time.Since(began) < time.Minute; r = heldBack(t, cfg) {
		time.Sleep(200 * time.Millisecond)
	}
	if time.Since(began) < time.Second {
		t.Error("it is said to hang before its timeout")
	}
	for _, want := range []string{`k12.events/0 stands at 0 of 4: transaction "k12-hung" of producer `, "(Ongoing, timeout 1s, open since " + began.UTC().Format("2006-01-02T"), "), from offset 2"} {
		if r.State != preflight.Fail || !strings.Contains(r.Observed, want) || strings.Contains(r.Observed, "patient") {
			t.Errorf("%s: %s; want %s", r.State, r.Observed, want)
		}
	}
	if r.Fix == "" || r.Expected == "" || !strings.Contains(r.Players, "nothing moves") {
		t.Errorf("it says not what to do: %+v", r)
	}
	for _, cl := range []*kgo.Client{hung, patient} {
		if err := cl.EndTransaction(withTimeout(t), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	for ended := time.Now(); r.State != preflight.Pass || !strings.Contains(r.Observed, "nothing is held back"); r = heldBack(t, cfg) {
		if time.Since(ended) > time.Minute {
			t.Fatalf("after their end: %s: %s", r.State, r.Observed)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestK12DeniedIsUnknown: without the right to see who holds a partition back, or
// for how long they may, nothing has passed.
func TestK12DeniedIsUnknown(t *testing.T) {
	t.Parallel()
	allow := func(resource kmsg.ACLResourceType, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: "*", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	}
	describe := allow(kmsg.ACLResourceTypeTopic, kmsg.ACLOperationDescribe)
	read := allow(kmsg.ACLResourceTypeTopic, kmsg.ACLOperationRead)
	named := allow(kmsg.ACLResourceTypeTransactionalId, kmsg.ACLOperationDescribe)
	brokers := fakeBrokers(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "x"),
		kfake.User("PLAIN", "blind", "x", describe, named), kfake.User("PLAIN", "nameless", "x", describe, read), kfake.User("PLAIN", "doctor", "x", describe, read, named))
	as := func(user string) kafkalog.Config {
		return kafkalog.Config{Brokers: brokers, Prefix: "denied", SASL: plain.Auth{User: user, Pass: "x"}.AsMechanism()}
	}
	apply(t, as("root"), dev)
	for _, user := range []string{"blind", "nameless"} {
		if r := heldBack(t, as(user)); r.State != preflight.Pass {
			t.Errorf("%s, of whom nothing more is needed yet: %s: %s", user, r.State, r.Observed)
		}
	}
	silent(t, as("root"), "theirs", time.Minute)
	for user, want := range map[string]string{"blind": "AUTHORIZATION_FAILED", "nameless": "how long it may be open is not known"} {
		if r := heldBack(t, as(user)); r.State != preflight.Unknown || !strings.Contains(r.Observed, want) || !strings.Contains(r.Fix, "describe") {
			t.Errorf("%s: %s: %s; want %s", user, r.State, r.Observed, want)
		}
	}
	if r := heldBack(t, as("doctor")); r.State != preflight.Pass || !strings.Contains(r.Observed, `"theirs"`) {
		t.Errorf("who may: %s: %s", r.State, r.Observed)
	}
}

// opened begins a transaction on a topic, and says nothing more. It returns the
// producer's ID.
func opened(t *testing.T, cfg kafkalog.Config, topic string) int64 {
	t.Helper()
	cl := newClient(t, cfg, kgo.TransactionalID("k12"), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	open(t, cl, cfg.Topic(topic), "one", "two")
	id, _, err := cl.ProducerID(withTimeout(t))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestK12EachCase opens a transaction on one topic after the other, of which the
// coordinator says that it began an hour ago, or which the leader does not name.
func TestK12EachCase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"events", "notifications", "rejected"} {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		cfg := kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p"}
		apply(t, cfg, dev)
		expect(t, heldBack(t, cfg), preflight.Pass, "9 partitions, and nothing is held back")
		producer := opened(t, cfg, name)
		expect(t, heldBack(t, cfg), preflight.Pass, fmt.Sprintf(`open, and within their timeout: p.%s/0 stands at 0 of 2: transaction "k12"`, name))
		c.ControlKey(int16(kmsg.DescribeTransactions), func(k kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := k.ResponseKind().(*kmsg.DescribeTransactionsResponse)
			for _, id := range k.(*kmsg.DescribeTransactionsRequest).TransactionalIDs {
				s := kmsg.NewDescribeTransactionsResponseTransactionState()
				s.TransactionalID, s.ProducerID, s.State = id, producer, "Ongoing"
				s.TimeoutMillis, s.StartTimestamp = 60_000, 1 // since 1970
				resp.TransactionStates = append(resp.TransactionStates, s)
			}
			return resp, nil, true
		})
		expect(t, heldBack(t, cfg), preflight.Fail, fmt.Sprintf(`p.%s/0 stands at 0 of 2: transaction "k12" of producer `, name))
		c.ControlKey(int16(kmsg.DescribeProducers), func(k kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := k.ResponseKind().(*kmsg.DescribeProducersResponse)
			for _, asked := range k.(*kmsg.DescribeProducersRequest).Topics {
				topic := kmsg.NewDescribeProducersResponseTopic()
				topic.Topic = asked.Topic
				for _, id := range asked.Partitions {
					p := kmsg.NewDescribeProducersResponseTopicPartition()
					p.Partition = id
					topic.Partitions = append(topic.Partitions, p)
				}
				resp.Topics = append(resp.Topics, topic)
			}
			return resp, nil, true
		})
		expect(t, heldBack(t, cfg), preflight.Unknown, fmt.Sprintf("p.%s/0 stands at 0 of 2, and its leader names no open transaction", name))
	}
}
