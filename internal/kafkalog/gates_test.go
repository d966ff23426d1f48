package kafkalog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

func gates(t *testing.T, cfg kafkalog.Config, profile string) map[string]preflight.Result {
	t.Helper()
	report := preflight.Run(t.Context(), kafkalog.Gates(cfg, kafkalog.GateOptions{Profile: profile}), preflight.Options{Deadline: 30 * time.Second})
	byID := map[string]preflight.Result{}
	for _, r := range report.Results {
		byID[r.ID] = r
	}
	return byID
}

// found expects the named check in a state, and every other one to pass.
func found(t *testing.T, cfg kafkalog.Config, profile, id string, state preflight.State, observed string) {
	t.Helper()
	for _, r := range gates(t, cfg, profile) {
		switch {
		case r.ID != id && r.State != preflight.Pass:
			t.Errorf("%s is %s: %s", r.ID, r.State, r.Observed)
		case r.ID == id && (r.State != state || !strings.Contains(r.Observed, observed)):
			t.Errorf("%s is %s: %s; want %s: %s", r.ID, r.State, r.Observed, state, observed)
		case r.ID == id && (r.Fix == "" || r.Expected == "" || r.Players == ""):
			t.Errorf("%s says not what to do: %+v", r.ID, r)
		}
	}
}

func TestK02K05K09K10K11Gates(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		before := gates(t, cfg, "dev")
		if r := before["K10"]; r.State != preflight.Fail || !strings.Contains(r.Fix, "topics apply") {
			t.Errorf("before the topics: %+v", r)
		}
		for _, id := range []string{"K05", "K09", "K11"} {
			if before[id].State != preflight.Skip {
				t.Errorf("before the topics %s is %+v", id, before[id])
			}
		}
		apply(t, cfg, dev)
		for id, r := range gates(t, cfg, "dev") {
			if r.State != preflight.Pass {
				t.Errorf("%s is %s: %s", id, r.State, r.Observed)
			}
		}
		found(t, cfg, "prod", "K02", preflight.Fail, "1 replicas")

		events := cfg.Topic("events")
		for _, c := range []struct{ setting, bad, good, id string }{
			{"cleanup.policy", "compact,delete", "delete", "K05"},
			{"message.timestamp.type", "CreateTime", "LogAppendTime", "K09"},
		} {
			alter(t, cfg, events, c.setting, c.bad)
			found(t, cfg, "dev", c.id, preflight.Fail, c.bad)
			alter(t, cfg, events, c.setting, c.good)
		}

		adm := kadm.NewClient(newClient(t, cfg))
		if _, err := adm.UpdatePartitions(withTimeout(t), 5, cfg.Topic("rejected")); err != nil {
			t.Fatal(err)
		}
		awaitPartitions(t, adm, cfg.Topic("rejected"), 5)
		found(t, cfg, "dev", "K10", preflight.Fail, "has 5 instead of 3")
		deleteTopic(t, cfg, cfg.Topic("rejected"))
		found(t, cfg, "dev", "K10", preflight.Fail, "missing")
		apply(t, cfg, dev)

		deleteTopic(t, cfg, events)
		createTopic(t, cfg, events, 3, map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime"), "cleanup.policy": kadm.StringPtr("delete")})
		found(t, cfg, "dev", "K11", preflight.Fail, "topic ID")
	})
}

// TestK15TransactionGate is row 5 of the failure matrix: the level that counts is
// the finalised one, and this broker supports 2 but has 1 finalised.
func TestK15TransactionGate(t *testing.T) {
	for name, brokers := range map[string][]string{
		"kafka": broker.Start(t, broker.Options{Features: map[string]int{"transaction.version": 1}}).Addrs,
		"kfake": fakeBrokers(t, kfake.MaxVersions(kversion.V3_9_0())),
	} {
		r := gates(t, kafkalog.Config{Brokers: brokers, Prefix: "p"}, "dev")["K15"]
		if r.State != preflight.Fail || !strings.Contains(r.Observed, "transaction.version=") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestK02UncleanElectionIsSeen(t *testing.T) {
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("unclean.%d", runs.Add(1))}
	apply(t, cfg, dev)
	alter(t, cfg, cfg.Topic("notifications"), "unclean.leader.election.enable", "true")
	found(t, cfg, "dev", "K02", preflight.Fail, "notifications: unclean.leader.election.enable=true")
}

func TestUnreachableBrokersAreUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report := preflight.Run(ctx, kafkalog.Gates(kafkalog.Config{Brokers: []string{"127.0.0.1:1"}, Prefix: "p"}, kafkalog.GateOptions{Profile: "dev"}), preflight.Options{Deadline: 2 * time.Second})
	for _, r := range report.Results {
		if r.State != preflight.Unknown || r.Fix == "" {
			t.Errorf("%+v", r)
		}
	}
	if report.Exit() != preflight.ExitFail {
		t.Errorf("exit %d", report.Exit())
	}
}
