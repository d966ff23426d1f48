package kafkalog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

// eventsOfSenders makes an events topic whose times are the senders', with the
// declared retention.
func eventsOfSenders(t *testing.T, cfg kafkalog.Config, more map[string]string) {
	t.Helper()
	settings := map[string]*string{
		"message.timestamp.type": kadm.StringPtr("CreateTime"), "cleanup.policy": kadm.StringPtr("delete"),
		"retention.ms": kadm.StringPtr("1209600000"), "retention.bytes": kadm.StringPtr("-1"),
	}
	for name, value := range more {
		settings[name] = &value
	}
	createTopic(t, cfg, cfg.Topic("events"), 1, settings)
}

// at writes records of a time to partition 0 of events, 1 KiB each, that no
// compression makes smaller.
func at(t *testing.T, cfg kafkalog.Config, when time.Time, records int) {
	t.Helper()
	cl := newClient(t, cfg, kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range records {
		r := &kgo.Record{Topic: cfg.Topic("events"), Key: []byte("ada"), Value: make([]byte, 1<<10), Timestamp: when}
		if err := cl.ProduceSync(withTimeout(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestK06RetentionShorterThanAReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		cfg.BootID = "" // as on brokers that others run
		eventsOfSenders(t, cfg, nil)
		events := cfg.Topic("events")
		k06 := func(opts kafkalog.BrokerOptions) preflight.Result {
			t.Helper()
			_, r := lookAtBrokers(t, cfg, opts)
			return r["K06"]
		}
		expect(t, k06(ours()), preflight.Pass, "retention.ms=1209600000 (336h0m0s), retention.bytes=-1; needed: 72h10m0s")

		alter(t, cfg, events, "retention.ms", fmt.Sprint((72 * time.Hour).Milliseconds()))
		expect(t, k06(ours()), preflight.Fail, "retention.ms=259200000 (72h0m0s)")
		soon := ours()
		soon.SnapshotInterval = time.Nanosecond // what is needed is a little more than three days
		expect(t, k06(soon), preflight.Fail, "72h0m0s")
		alter(t, cfg, events, "retention.ms", "-1")
		expect(t, k06(ours()), preflight.Pass, "for ever")

		// So many bytes are gone within the hour; what was written is too young to say.
		alter(t, cfg, events, "retention.bytes", fmt.Sprint(64<<10))
		expect(t, k06(ours()), preflight.Warn, "partition 0 has less than 1h0m0s of records")
		at(t, cfg, time.Now(), 20)
		expect(t, k06(ours()), preflight.Warn, "partition 0 has less than 1h0m0s of records")
		deleteTopic(t, cfg, events)
		eventsOfSenders(t, cfg, map[string]string{"retention.ms": "-1", "retention.bytes": fmt.Sprint(64 << 10)})
		at(t, cfg, time.Now().Add(-2*time.Hour), 20)
		expect(t, k06(ours()), preflight.Fail, "partition 0 wrote ")
		alter(t, cfg, events, "retention.bytes", fmt.Sprint(1<<40))
		expect(t, k06(ours()), preflight.Pass, "lasts for longer than 72h10m0s")

		// Without snapshots a replay begins at the log's own start.
		none := ours()
		none.SnapshotInterval = 0
		expect(t, k06(none), preflight.Warn, "processor.snapshot_interval=0s")
		upTo := make(kadm.Offsets)
		upTo.AddOffset(events, 0, 5, -1)
		if _, err := kadm.NewClient(newClient(t, cfg)).DeleteRecords(withTimeout(t), upTo); err != nil {
			t.Fatal(err)
		}
		expect(t, k06(none), preflight.Fail, "partition 0 has lost its first 5 records")
		alter(t, cfg, events, "retention.bytes", "-1")
		expect(t, k06(none), preflight.Pass, "for ever")
	})
}

// TestK07OldTimesOfAFile loads records of a year ago into a log that goes by the
// senders' times. The broker would delete them with its next look, which is put off.
func TestK07OldTimesOfAFile(t *testing.T) {
	kept := broker.Start(t, broker.Options{Config: map[string]string{
		"log.initial.task.delay.ms": fmt.Sprint(time.Hour.Milliseconds()), "log.retention.check.interval.ms": fmt.Sprint(time.Hour.Milliseconds()),
	}})
	for name, brokers := range map[string][]string{"kfake": fakeBrokers(t), "kafka": kept.Addrs} {
		t.Run(name, func(t *testing.T) {
			cfg := kafkalog.Config{Brokers: brokers, Prefix: "k07"}
			eventsOfSenders(t, cfg, map[string]string{"segment.ms": fmt.Sprint((24 * time.Hour).Milliseconds())})
			events := cfg.Topic("events")
			k07 := func() preflight.Result {
				t.Helper()
				_, r := lookAtBrokers(t, cfg, ours())
				return r["K07"]
			}
			expect(t, k07(), preflight.Warn, "message.timestamp.type=CreateTime")
			// A log that goes on ages so far by itself.
			at(t, cfg, time.Now().Add(-14*24*time.Hour-23*time.Hour), 1)
			expect(t, k07(), preflight.Warn, "message.timestamp.type=CreateTime")
			deleteTopic(t, cfg, events)
			eventsOfSenders(t, cfg, map[string]string{"segment.ms": fmt.Sprint((24 * time.Hour).Milliseconds())})
			at(t, cfg, time.Now().Add(-365*24*time.Hour), 3)
			at(t, cfg, time.Now(), 3)
			r := k07()
			expect(t, r, preflight.Fail, "partition 0 begins with a record of 20")
			if r.Severity != preflight.Critical {
				t.Errorf("%+v", r)
			}
			alter(t, cfg, events, "retention.ms", "-1")
			expect(t, k07(), preflight.Pass, "for ever")
			alter(t, cfg, events, "retention.ms", "1209600000")
			alter(t, cfg, events, "message.timestamp.type", "LogAppendTime")
			expect(t, k07(), preflight.Pass, "LogAppendTime")
		})
	}
}

// TestK08Clocks has Redis tell other times, and a broker append in the future.
func TestK08Clocks(t *testing.T) {
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("k08.%d", runs.Add(1))}
	k08 := func(clocks ...kafkalog.Clock) preflight.Result {
		t.Helper()
		opts := ours()
		opts.Clocks = func(context.Context) ([]kafkalog.Clock, error) { return clocks, nil }
		_, r := lookAtBrokers(t, cfg, opts)
		return r["K08"]
	}
	now := time.Now()
	clock := func(ahead, took time.Duration) kafkalog.Clock {
		return kafkalog.NewClock("redis", now.Add(ahead), now, now.Add(took))
	}
	expect(t, k08(), preflight.Pass, "kafka controller 1 ")
	expect(t, k08(clock(0, 0), clock(-900*time.Millisecond, 0)), preflight.Pass, "redis -900 ms")
	expect(t, k08(clock(0, 0), clock(-1100*time.Millisecond, 0)), preflight.Fail, "redis -1100 ms")
	expect(t, k08(clock(1100*time.Millisecond, 0)), preflight.Fail, "redis +1100 ms")
	// What took two seconds to read may be off by one.
	expect(t, k08(clock(2500*time.Millisecond, 2*time.Second)), preflight.Pass, "redis +1500 ms (±1001)")
	expect(t, k08(clock(3500*time.Millisecond, 2*time.Second)), preflight.Fail, "redis +2500 ms")

	eventsOfSenders(t, cfg, map[string]string{"message.timestamp.after.max.ms": fmt.Sprint((48 * time.Hour).Milliseconds())})
	at(t, cfg, now.Add(24*time.Hour), 1)
	expect(t, k08(), preflight.Pass, "kafka controller 1 ") // a sender's clock: see K09
	alter(t, cfg, cfg.Topic("events"), "message.timestamp.type", "LogAppendTime")
	expect(t, k08(), preflight.Fail, "whose leader is broker 1, has a record of")

	// kfake tells nobody's time.
	_, r := lookAtBrokers(t, kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}, ours())
	expect(t, r["K08"], preflight.Unknown, "read the controller's clock")
}

// TestK14Quotas: a quota that applies is warned of, and one that holds this look
// back fails. Other users' and other prefixes' are theirs.
func TestK14Quotas(t *testing.T) {
	set := func(t *testing.T, cfg kafkalog.Config, remove bool, key string, value float64, entity ...kadm.ClientQuotaEntityComponent) {
		t.Helper()
		made, err := kadm.NewClient(newClient(t, cfg)).AlterClientQuotas(withTimeout(t), []kadm.AlterClientQuotaEntry{
			{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: key, Value: value, Remove: remove}}},
		})
		if err != nil || made[0].Err != nil {
			t.Fatal(err, made)
		}
	}
	client := func(id string) kadm.ClientQuotaEntityComponent {
		return kadm.ClientQuotaEntityComponent{Type: "client-id", Name: &id}
	}
	user := func(name *string) kadm.ClientQuotaEntityComponent {
		return kadm.ClientQuotaEntityComponent{Type: "user", Name: name}
	}
	k14 := func(t *testing.T, cfg kafkalog.Config, opts kafkalog.BrokerOptions) preflight.Result {
		t.Helper()
		_, r := lookAtBrokers(t, cfg, opts)
		return r["K14"]
	}
	const rate = "producer_byte_rate"
	t.Run("kfake", func(t *testing.T) {
		cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "hunt", ClientID: "hunt.doctor"}
		expect(t, k14(t, cfg, ours()), preflight.Pass, "none of 0 quotas")
		other, anonymous := "other", kafkalog.Anonymous
		set(t, cfg, false, rate, 1000, client("hunters.processor"))
		set(t, cfg, false, rate, 1000, user(&other))
		set(t, cfg, false, rate, 1000, user(&anonymous), client("another"))
		expect(t, k14(t, cfg, ours()), preflight.Pass, "none of 3 quotas")
		nobody := ours()
		nobody.User = "" // a certificate's name: any user's may be ours
		expect(t, k14(t, cfg, nobody), preflight.Warn, "user other: producer_byte_rate=1000")
		set(t, cfg, false, rate, 2000, client("hunt.processor"))
		expect(t, k14(t, cfg, ours()), preflight.Warn, "quotas: client-id hunt.processor: producer_byte_rate=2000; this look")
		set(t, cfg, true, rate, 0, client("hunt.processor"))
		set(t, cfg, false, "request_percentage", 50, user(nil))
		expect(t, k14(t, cfg, ours()), preflight.Warn, "user (default): request_percentage=50")
	})
	t.Run("kafka", func(t *testing.T) {
		prefix := fmt.Sprintf("k14.%d", runs.Add(1))
		cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: prefix, ClientID: prefix + ".doctor"}
		expect(t, k14(t, cfg, ours()), preflight.Pass, "no answer was held back")
		set(t, cfg, false, "request_percentage", 0.001, client(cfg.ClientID))
		for ctx := withTimeout(t); ; time.Sleep(50 * time.Millisecond) { // the broker has to hear of it first
			r := k14(t, cfg, ours())
			if r.State != preflight.Pass && r.State != preflight.Warn || ctx.Err() != nil {
				expect(t, r, preflight.Fail, "a broker held this look back for ")
				break
			}
		}
	})
}
