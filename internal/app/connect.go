package app

import (
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// Runtime is what every service of a process shares.
type Runtime struct {
	Config *config.Config
	Log    *slog.Logger
	// BootID is set by the embedded broker only; see kafkalog.Config.
	BootID string
	// InMemoryRedis says that Redis is the embedded one without persistence.
	InMemoryRedis bool
	Metrics       *telemetry.Metrics

	live *live // nil: Config is in force for good
}

// Kafka returns how to reach the brokers. name becomes the client ID, under
// which the brokers' logs and quotas know this client.
func (rt Runtime) Kafka(name string) (kafkalog.Config, error) {
	cfg := rt.Config
	tls, err := cfg.Kafka.TLS.Build()
	if err != nil {
		return kafkalog.Config{}, fmt.Errorf("kafka.tls: %w", err)
	}
	command := name
	if name == "promote" { // does what a repair does
		command = "repair"
	}
	user := ""
	if cfg.Kafka.SASL.Mechanism != "none" {
		user = cfg.Kafka.SASL.Username
	}
	return kafkalog.Config{
		Brokers: cfg.Kafka.Brokers, Prefix: cfg.Prefix, BootID: rt.BootID, ClientID: cfg.Prefix + "." + name, Command: command, User: user,
		TLS: tls, SASL: mechanism(cfg.Kafka.SASL), Logger: rt.Log.With("client", name), Hooks: []kgo.Hook{rt.Metrics.KafkaHook()},
	}, nil
}

func mechanism(s config.SASL) sasl.Mechanism {
	switch s.Mechanism {
	case "plain":
		return plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	case "scram-sha-512":
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha512Mechanism()
	}
	return nil
}

// Redis returns how to reach Redis.
func (rt Runtime) Redis() (redisstore.Config, error) {
	cfg := rt.Config
	tls, err := cfg.Redis.TLS.Build()
	if err != nil {
		return redisstore.Config{}, fmt.Errorf("redis.tls: %w", err)
	}
	return redisstore.Config{
		Addrs: cfg.Redis.Addrs, Prefix: cfg.Prefix, Username: cfg.Redis.Username,
		Password: cfg.Redis.Password.Reveal(), Cluster: cfg.Redis.Cluster, TLS: tls,
	}, nil
}
