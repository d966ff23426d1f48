package kafkalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/wire"
)

// checked runs checks and returns what each found.
func checked(t *testing.T, checks []preflight.Check) map[string]preflight.Result {
	t.Helper()
	byID := map[string]preflight.Result{}
	for _, r := range preflight.Run(t.Context(), checks, preflight.Options{Deadline: 30 * time.Second}).Results {
		byID[r.ID] = r
		if (r.State == preflight.Fail || r.State == preflight.Warn) && (r.Expected == "" || r.Fix == "" || r.Players == "") || r.State == preflight.Unknown && r.Fix == "" {
			t.Errorf("%s says not what to do: %+v", r.ID, r)
		}
	}
	return byID
}

func expectState(t *testing.T, when string, all map[string]preflight.Result, id string, state preflight.State, observed ...string) {
	t.Helper()
	for _, part := range append(observed, "") {
		if r := all[id]; r.State != state || !strings.Contains(r.Observed, part) {
			t.Errorf("%s: %s is %s: %s; want %s with %q", when, id, r.State, r.Observed, state, part)
		}
	}
}

// passes expects every check to pass, or to be skipped for a reason.
func passes(t *testing.T, when string, all map[string]preflight.Result, but ...string) {
	t.Helper()
	for id, r := range all {
		if r.State != preflight.Pass && r.State != preflight.Skip && !strings.Contains(strings.Join(but, " "), id) {
			t.Errorf("%s: %s is %s: %s", when, id, r.State, r.Observed)
		}
	}
}

// sent appends healthy events of a few players, as the gateway does.
func sent(t *testing.T, cfg kafkalog.Config, n int) {
	t.Helper()
	a, err := kafkalog.NewAppender(cfg, dev.Partitions, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close(withTimeout(t)) }()
	var records []wire.Record
	for i := range n {
		records = append(records, eventRecord(fmt.Sprint("player-", i%30), fmt.Sprintf("%s-%d", t.Name(), i)))
	}
	if _, err := a.Append(withTimeout(t), records); err != nil {
		t.Fatal(err)
	}
}

// foreign sends events by a client of its own, which differs in one thing.
func foreign(t *testing.T, cfg kafkalog.Config, change func(i int, r *kgo.Record), opts ...kgo.Opt) {
	t.Helper()
	cl := newClient(t, cfg, append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	for i := range 9 {
		key := fmt.Sprint("stranger-", i)
		r := &kgo.Record{
			Topic: cfg.Topic("events"), Key: []byte(key), Partition: wire.PartitionFor([]byte(key), dev.Partitions), Value: []byte(`{"n":1}`),
			Headers: []kgo.RecordHeader{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: fmt.Append(nil, i)}, {Key: "ce_source", Value: []byte("/bad/sender")}, {Key: "ce_type", Value: []byte("t")}},
		}
		change(i, r)
		if err := cl.ProduceSync(withTimeout(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// recordsOf is what the checks find once a sender has sent beside healthy ones.
func recordsOf(t *testing.T, cfg kafkalog.Config, change func(i int, r *kgo.Record), opts ...kgo.Opt) map[string]preflight.Result {
	t.Helper()
	apply(t, cfg, dev)
	sent(t, cfg, 100)
	passes(t, "healthy", checked(t, kafkalog.RecordChecks(cfg)))
	foreign(t, cfg, change, opts...)
	return checked(t, kafkalog.RecordChecks(cfg))
}

func TestRecordChecksOfNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		all := func(when, reason string) {
			for id := range checked(t, kafkalog.RecordChecks(cfg)) {
				expectState(t, when, checked(t, kafkalog.RecordChecks(cfg)), id, preflight.Skip, reason)
			}
		}
		all("no topics", "see K10")
		apply(t, cfg, dev)
		all("no events", "no events yet")
	})
}

func TestP01SendersOfAnotherPartitioner(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		all := recordsOf(t, cfg, func(_ int, r *kgo.Record) { r.Partition = (r.Partition + 1) % dev.Partitions })
		expectState(t, "shifted", all, "P01", preflight.Fail, `9 of the newest 109 records of 3 partitions lie on another partition`, `"/bad/sender": 9`)
		passes(t, "shifted", all, "P01")
		if strings.Contains(all["P01"].Observed, "stranger") {
			t.Errorf("it names players: %s", all["P01"].Observed)
		}
	})
}

// TestP01TopicGrew: keys stay where the manifest's count puts them, until that changes.
func TestP01TopicGrew(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	if _, err := kadm.NewClient(newClient(t, cfg)).UpdatePartitions(withTimeout(t), 2*int(dev.Partitions), cfg.Topic("events")); err != nil {
		t.Fatal(err)
	}
	sent(t, cfg, 100)
	passes(t, "as the manifest says", checked(t, kafkalog.RecordChecks(cfg)))
	key := []byte("ada")
	foreign(t, cfg, func(_ int, r *kgo.Record) {
		r.Key, r.Partition = key, wire.PartitionFor(key, dev.Partitions)+dev.Partitions
	})
	expectState(t, "as the topic says", checked(t, kafkalog.RecordChecks(cfg)), "P01", preflight.Fail, "9 of the newest 109 records")
}

func TestP02EventsWithoutAKey(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		all := recordsOf(t, cfg, func(i int, r *kgo.Record) {
			switch i % 3 {
			case 0:
				r.Key = nil
			case 1:
				r.Key, r.Headers = []byte{}, []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
				r.Value = []byte(`{"specversion":"1.0","id":"x","source":"/whole/envelope","type":"t"}`)
			}
		})
		expectState(t, "without", all, "P02", preflight.Fail, "6 of the newest 109 records", `"/bad/sender": 3`, `"/whole/envelope": 3`)
		passes(t, "without", all, "P02")
	})
}

func TestP04SendersWithoutIdempotence(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		all := recordsOf(t, cfg, func(int, *kgo.Record) {}, kgo.DisableIdempotentWrite())
		expectState(t, "without", all, "P04", preflight.Fail, "9 of the newest 109 records", `"/bad/sender": 9`)
		passes(t, "without", all, "P04")
	})
}

// TestP05SendersWithTransactions: by their records while they are open, and by their
// ends alone.
func TestP05SendersWithTransactions(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		sent(t, cfg, 50)
		cl := newClient(t, cfg, kgo.TransactionalID(cfg.Prefix+".foreign"))
		open(t, cl, cfg.Topic("events"), "1", "2")
		expectState(t, "open", checked(t, kafkalog.RecordChecks(cfg)), "P05", preflight.Fail, "2 of the newest 52 records", "no source: 2", "0 ends of transactions")
		sent(t, cfg, 2_000)
		passes(t, "its records are not in the sample", checked(t, kafkalog.RecordChecks(cfg)))
		if err := cl.EndTransaction(withTimeout(t), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		expectState(t, "aborted", checked(t, kafkalog.RecordChecks(cfg)), "P05", preflight.Fail, "0 of the newest", "1 ends of transactions")
		sent(t, cfg, 2_000) // more than the sample
		passes(t, "long ago", checked(t, kafkalog.RecordChecks(cfg)))
	})
}

// TestRecordChecksSayTheSources: few are named, none by more than its beginning,
// and none by a player's key.
func TestRecordChecksSayTheSources(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	all := recordsOf(t, cfg, func(i int, r *kgo.Record) {
		r.Key, r.Partition = []byte("ada-lovelace"), (wire.PartitionFor([]byte("ada-lovelace"), dev.Partitions)+1)%dev.Partitions
		source := fmt.Sprint("/phone/", i)
		if i < 3 {
			source = "/of/ada-lovelace/" + strings.Repeat("x", 200)
		}
		r.Headers[2].Value = []byte(source)
	})
	expectState(t, "many", all, "P01", preflight.Fail, "9 of the newest", `"/of/…/xxx`, "2 more")
	if text := all["P01"].Observed; strings.Contains(text, "lovelace") || len(text) > 400 {
		t.Errorf("it says %s", text)
	}
}

// denying are fake brokers that keep a user from what its rights do not name.
func denying(t *testing.T, prefix string, acls ...kfake.ACL) (owner, user kafkalog.Config) {
	t.Helper()
	brokers := fakeBrokers(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User("PLAIN", "doctor", "secret", acls...))
	as := func(name string) kafkalog.Config {
		return kafkalog.Config{Brokers: brokers, Prefix: prefix, BootID: "b", SASL: plain.Auth{User: name, Pass: "secret"}.AsMechanism()}
	}
	return as("root"), as("doctor")
}

func may(resource kmsg.ACLResourceType, name string, what ...kmsg.ACLOperation) (acls []kfake.ACL) {
	pattern := kmsg.ACLResourcePatternTypePrefixed
	if resource == kmsg.ACLResourceTypeCluster {
		pattern = kmsg.ACLResourcePatternTypeLiteral
	}
	for _, op := range what {
		acls = append(acls, kfake.ACL{Resource: resource, Name: name, Pattern: pattern, Operation: op, Allow: true})
	}
	return acls
}

// TestRecordChecksDenied: who may describe the topic and not read it has seen nothing.
func TestRecordChecksDenied(t *testing.T) {
	owner, user := denying(t, "p", append(may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe), may(kmsg.ACLResourceTypeTopic, "p.manifest", kmsg.ACLOperationRead)...)...)
	apply(t, owner, dev)
	sent(t, owner, 20)
	passes(t, "the owner", checked(t, kafkalog.RecordChecks(owner)))
	all := checked(t, kafkalog.RecordChecks(user))
	for id := range all {
		expectState(t, "denied", all, id, preflight.Unknown, "TOPIC_AUTHORIZATION_FAILED")
	}
}
