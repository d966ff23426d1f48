package config

import (
	"fmt"
	"time"
)

// webhookSchedule is the longest a webhook is retried, rounded up to an hour.
const webhookSchedule = 76 * time.Hour

// checkTogether holds keys against each other. It runs once each is right by
// itself, so that no complaint here follows from one there.
func (c *Config) checkTogether() Errors {
	var all Errors
	wrong := func(name, problem string, args ...any) {
		k := find(name)
		all = append(all, &FieldError{Key: name, Value: c.shown(k), Origin: c.Origin(name), Problem: fmt.Sprintf(problem, args...)})
	}
	p := c.Processor
	if p.TransactionTimeout >= p.SessionTimeout {
		// Otherwise a slot that lost its partitions could still hold their last
		// stable offset, and the successor would wait for the brokers to abort it.
		wrong("processor.transaction_timeout", "must be less than processor.session_timeout (%s)", writeDuration(p.SessionTimeout))
	}
	if p.CommitInterval >= p.TransactionTimeout {
		wrong("processor.commit_interval", "must be less than processor.transaction_timeout (%s)", writeDuration(p.TransactionTimeout))
	}
	if c.Producer.MaxRequestBytes > c.Producer.MaxInflightBytes {
		wrong("producer.max_request_bytes", "must be at most producer.max_inflight_bytes (%s), or the largest request never gets in", c.Producer.MaxInflightBytes)
	}
	if len(c.Redis.Addrs) > 1 && !c.Redis.Cluster {
		wrong("redis.addrs", "names several servers, which only a cluster has; set redis.cluster to true")
	}
	c.checkKafka(wrong)
	c.checkTLS(wrong)
	c.checkNotifier(wrong)
	return all
}

func (c *Config) checkKafka(wrong func(name, problem string, args ...any)) {
	s := c.Kafka.SASL
	if s.Mechanism == "none" {
		if s.Username != "" {
			wrong("kafka.sasl.username", "needs kafka.sasl.mechanism, which is none")
		}
		if s.Password.Set() {
			wrong("kafka.sasl.password", "needs kafka.sasl.mechanism, which is none")
		}
		return
	}
	if s.Username == "" {
		wrong("kafka.sasl.username", "is empty, and %s needs one", s.Mechanism)
	}
	if !s.Password.Set() {
		wrong("kafka.sasl.password", "is empty, and %s needs one; set kafka.sasl.password_file", s.Mechanism)
	}
	if s.Mechanism == "plain" && !c.Kafka.TLS.Enabled {
		c.warnings = append(c.warnings, "kafka.sasl.mechanism plain without kafka.tls.enabled sends the password in the clear")
	}
}

func (c *Config) checkTLS(wrong func(name, problem string, args ...any)) {
	for _, name := range []string{"kafka.tls.ca_file", "kafka.tls.cert_file", "kafka.tls.key_file"} {
		if *find(name).field(c).(*string) != "" && !c.Kafka.TLS.Enabled {
			wrong(name, "needs kafka.tls.enabled, which is false")
		}
	}
	if c.Kafka.TLS.CertFile != "" && c.Kafka.TLS.KeyFile == "" {
		wrong("kafka.tls.key_file", "is empty, and kafka.tls.cert_file needs its key")
	}
	if c.Kafka.TLS.KeyFile != "" && c.Kafka.TLS.CertFile == "" {
		wrong("kafka.tls.cert_file", "is empty, and kafka.tls.key_file needs its certificate")
	}
	if c.Redis.TLS.CAFile != "" && !c.Redis.TLS.Enabled {
		wrong("redis.tls.ca_file", "needs redis.tls.enabled, which is false")
	}
}

func (c *Config) checkNotifier(wrong func(name, problem string, args ...any)) {
	n := c.Notifier
	if n.Webhook.URL == "" {
		return
	}
	if !n.Webhook.Secret.Set() {
		wrong("notifier.webhook.secret", "is empty, and a webhook must be signed; set notifier.webhook.secret_file")
	}
	if n.LedgerRetention < webhookSchedule {
		wrong("notifier.ledger_retention", "must be at least %s with webhooks, or a late retry would be sent twice", writeDuration(webhookSchedule))
	}
}
