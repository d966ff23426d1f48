package app

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// TestK08ClockOfRedis: brokers and Redis are read by adapters that know nothing of
// each other, and judged together.
func TestK08ClockOfRedis(t *testing.T) {
	t.Parallel()
	rt, kafka, client, _ := guarded(t)
	k08 := func(client redis.UniversalClient) preflight.Result {
		t.Helper()
		report := rt.examine(t.Context(), rt.brokerChecks(kafka, client), kafka, client, nil, 10*time.Second)
		for _, r := range report.Results {
			if r.ID == "K08" {
				return r
			}
		}
		t.Fatal("nobody looks at the clocks")
		return preflight.Result{}
	}
	if r := k08(client); r.State != preflight.Pass || !strings.Contains(r.Observed, "redis at ") {
		t.Errorf("%+v", r)
	}
	slow := miniredis.RunT(t)
	slow.SetTime(time.Now().Add(-time.Minute))
	late := redis.NewClient(&redis.Options{Addr: slow.Addr()})
	t.Cleanup(func() { late.Close() })
	if r := k08(late); r.State != preflight.Fail || !strings.Contains(r.Observed, "redis at "+slow.Addr()+" -60") {
		t.Errorf("a minute behind: %+v", r)
	}
	slow.Close()
	if r := k08(late); r.State != preflight.Unknown || r.Missing != needsRedis {
		t.Errorf("away: %+v", r)
	}
	if err := client.Do(t.Context(), "ACL", "SETUSER", "default", "-time").Err(); err != nil {
		t.Fatal(err)
	}
	if r := k08(client); r.State != preflight.Unknown || !strings.Contains(r.Fix, "+time") {
		t.Errorf("denied: %+v", r)
	}
}

// TestK14User: whose quotas are looked for.
func TestK14User(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]config.Kafka{
		"ada":              {SASL: config.SASL{Mechanism: "plain", Username: "ada"}},
		kafkalog.Anonymous: {SASL: config.SASL{Mechanism: "none", Username: "ada"}},
		"":                 {SASL: config.SASL{Mechanism: "none"}, TLS: config.TLS{Enabled: true, CertFile: "cert.pem"}},
	} {
		if got := (Runtime{Config: &config.Config{Kafka: k}}).kafkaUser(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestK03K06K13K14AreAskedAsConfigured: what the brokers are held against is the
// deployment's own.
func TestK03K06K13K14AreAskedAsConfigured(t *testing.T) {
	t.Parallel()
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "p.events", "__consumer_offsets", "__transaction_state"),
		kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "30000"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	cfg := config.Default()
	cfg.Prefix, cfg.Profile, cfg.Kafka.Brokers = "p", "prod", brokers.ListenAddrs()
	cfg.Processor.TransactionTimeout, cfg.Processor.SnapshotInterval = time.Minute, 10*time.Minute
	rt := Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New(), InMemoryRedis: true}
	kafka, err := rt.Kafka("doctor")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kafka.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	other := "other"
	_, err = kadm.NewClient(cl).AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &other}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]preflight.Result{}
	for _, r := range rt.examine(t.Context(), rt.brokerChecks(kafka, nil), kafka, nil, nil, 10*time.Second).Results {
		seen[r.ID] = r
	}
	for id, want := range map[string]struct {
		state preflight.State
		text  string
	}{
		"K03": {preflight.Fail, "1 replicas"},
		"K06": {preflight.Pass, "needed: 72h10m0s"},
		"K13": {preflight.Fail, "a transaction may last 1m0s"},
		"K14": {preflight.Pass, "none of 1 quotas applies to us"},
	} {
		if r := seen[id]; r.State != want.state || !strings.Contains(r.Observed, want.text) {
			t.Errorf("%s is %s: %s; want %s: %s", id, r.State, r.Observed, want.state, want.text)
		}
	}
}

// astray is a listener of a broker that advertises where nobody is.
type astray struct{ net.Listener }

func (astray) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestK01IsToldToWhoWaits: brokers that answer, and all advertise an address that
// leads nowhere, would be waited for until the start is given up.
func TestK01IsToldToWhoWaits(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Kafka.Brokers = nil
	brokers, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "p.manifest"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		cfg.Kafka.Brokers = append(cfg.Kafka.Brokers, l.Addr().String())
		return astray{l}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	cfg.Prefix, cfg.StartTimeout = "p", 20*time.Second
	rt := Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New()}
	kafka, err := rt.Kafka("processor")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.awaitManifest(t.Context(), kafka); err == nil || !strings.Contains(err.Error(), "brokers 0,1,2 all advertise 127.0.0.1:1") {
		t.Errorf("who waits is told %v", err)
	}
}
