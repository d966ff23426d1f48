package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/testredis"
)

// said is a log that may be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// guarded is a deployment on an embedded broker and a real Redis, with its topics.
func guarded(t *testing.T) (Runtime, kafkalog.Config, redis.UniversalClient, *said) {
	t.Helper()
	given, err := devcluster.Start(t.Context(), devcluster.Options{NoRedis: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() })
	log := &said{}
	cfg := upConfig()
	rt := Runtime{Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: telemetry.New(), BootID: given.BootID}
	cfg.Kafka.Brokers, cfg.Redis.Addrs = given.Brokers, []string{testredis.Start(t, nil).Addr}
	if _, err := rt.Topics(t.Context(), "topics", kafkalog.TopicPlanOptions{Profile: "dev"}, kafkalog.ApplyTopics); err != nil {
		t.Fatal(err)
	}
	kafka, err := rt.Kafka("test")
	if err != nil {
		t.Fatal(err)
	}
	client, err := rt.awaitRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return rt, kafka, client, log
}

// state is the gauge of a check in a state.
func state(rt Runtime, id, in string) float64 {
	return testutil.ToFloat64(rt.Metrics.DoctorCheck.WithLabelValues(id, in))
}

// TestGateHonoursWaivers follows a waiver through its life: no waiver, one that
// holds, one that expired, and files that are none.
func TestGateHonoursWaivers(t *testing.T) {
	t.Parallel()
	rt, kafka, client, log := guarded(t)
	rt.Config.Profile = "prod" // one broker is not enough for it
	pass := func(waivers string) error {
		rt.Config.Doctor = config.Doctor{}
		if waivers != "" {
			rt.Config.Doctor.WaiversFile = filepath.Join(t.TempDir(), "waivers.yaml")
			if err := os.WriteFile(rt.Config.Doctor.WaiversFile, []byte(waivers), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := rt.gate(t.Context(), "processor", kafka, client)
		return err
	}
	if err := pass(""); err == nil || !strings.Contains(err.Error(), "refused to start: K02") {
		t.Errorf("without a waiver: %v", err)
	}
	if state(rt, "K02", "fail") != 1 {
		t.Error("the gauge does not show the failure")
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if err := pass(fmt.Sprintf("- {id: K02, reason: two brokers yet, expires: %s}\n", today)); err != nil {
		t.Errorf("waived until %s: %v", today, err)
	}
	if state(rt, "K02", "waived") != 1 || testutil.CollectAndCount(rt.Metrics.DoctorCheck) < 5 || !strings.Contains(log.String(), "two brokers yet") {
		t.Errorf("the gauge or the log does not show the waiver: %s", log)
	}
	if err := pass("- {id: K02, reason: two brokers yet, expires: 2020-01-01}\n"); err == nil || !strings.Contains(err.Error(), "its waiver expired on 2020-01-01: two brokers yet") {
		t.Errorf("expired: %v", err)
	}
	if err := pass("- {id: K05, reason: another's, expires: 2999-01-01}\n"); err == nil {
		t.Error("another check's waiver is taken")
	}
	if err := pass("- {id: K02, expires: 2999-01-01}\n"); service.ExitCode(err) != service.ExitConfig || !strings.Contains(err.Error(), "doctor.waivers_file: ") || !strings.Contains(err.Error(), ":1: give a reason") {
		t.Errorf("a file that is none: %v", err)
	}
}

// TestEveryServiceHasAGate starts the services on deployments that are bad for
// them. A gateway does not mind what only Redis has.
func TestEveryServiceHasAGate(t *testing.T) {
	t.Parallel()
	rt, kafka, client, log := guarded(t)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rt.Config.Profile = "prod"
	if err := NewProducer(rt, nil, listen()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "K02") {
		t.Errorf("the gateway: %v", err)
	}
	if strings.Contains(log.String(), "taking events") {
		t.Error("the gateway took events before its gate")
	}
	if err := NewProcessor(rt, nil).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "K02") {
		t.Errorf("the processor: %v", err)
	}
	rt.Config.Profile = "dev"
	for name, value := range map[string]string{"maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"} {
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := NewNotifier(rt, listen()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "R01") {
		t.Errorf("the notifier: %v", err)
	}
	if _, err := rt.gate(t.Context(), "producer", kafka, client); err != nil {
		t.Errorf("the gateway minds Redis: %v", err)
	}
}

// TestGateLooksAgain: the gauge and the log follow what changes while a service runs.
func TestGateLooksAgain(t *testing.T) {
	t.Parallel()
	rt, kafka, client, log := guarded(t)
	waivers := filepath.Join(t.TempDir(), "waivers.yaml")
	if err := os.WriteFile(waivers, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rt.Config.Doctor.WaiversFile = waivers
	g, err := rt.gate(t.Context(), "processor", kafka, client)
	if err != nil {
		t.Fatal(err)
	}
	// Only what may refuse the start holds it up: K09 cannot.
	if state(rt, "R02", "pass") != 1 || state(rt, "K02", "pass") != 1 || state(rt, "K09", "pass") != 0 {
		t.Errorf("after the start: %s", log)
	}
	g.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { g.keep(ctx); close(ended) }()
	await := func(value, in, not string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), "appendonly", value).Err(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); state(rt, "R02", in) != 1 || state(rt, "R02", not) != 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("appendonly=%s does not become %s: %s", value, in, log)
			}
		}
	}
	await("no", "warn", "pass")
	if state(rt, "K09", "pass") != 1 {
		t.Errorf("a running service leaves K09 out: %s", log)
	}
	await("yes", "pass", "warn")
	if n := strings.Count(log.String(), "check warn"); n != 1 {
		t.Errorf("one change is said %d times: %s", n, log)
	}
	// A waiver that is written while it runs is followed.
	if err := os.WriteFile(waivers, []byte("- {id: R02, reason: a cache yet, expires: 2999-01-01}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	await("no", "waived", "pass")
	cancel()
	<-ended
}
