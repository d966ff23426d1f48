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
		if c.text(name) != "" && !c.Kafka.TLS.Enabled {
			wrong(name, "needs kafka.tls.enabled, which is false")
		}
	}
	for _, section := range []string{"kafka", "producer", "notifier"} {
		cert, key := section+".tls.cert_file", section+".tls.key_file"
		if c.text(cert) != "" && c.text(key) == "" {
			wrong(key, "is empty, and %s needs its key", cert)
		}
		if c.text(key) != "" && c.text(cert) == "" {
			wrong(cert, "is empty, and %s needs its certificate", key)
		}
		if authorities := section + ".tls.client_ca_file"; section != "kafka" && c.text(authorities) != "" && c.text(cert) == "" && c.text(key) == "" {
			wrong(authorities, "needs a certificate of the server's own: set %s and %s", cert, key)
		}
	}
	if c.Redis.TLS.CAFile != "" && !c.Redis.TLS.Enabled {
		wrong("redis.tls.ca_file", "needs redis.tls.enabled, which is false")
	}
}

// text is the value of a key that is text.
func (c *Config) text(name string) string { return *find(name).field(c).(*string) }

func (c *Config) checkNotifier(wrong func(name, problem string, args ...any)) {
	n := c.Notifier
	if n.JWKSURL != "" && n.TokenSecret.Set() {
		wrong("notifier.jwks_url", "and notifier.token_secret both say who signs players' tokens; set one of them")
	}
	if n.JWKSURL != "" && n.TokenAudience == "" {
		wrong("notifier.token_audience", "is empty, and a token for another service of the same issuer would open inboxes")
	}
	if n.Webpush.PrivateKey.Set() && n.Webpush.Subject == "" {
		wrong("notifier.webpush.subject", "is empty, and push services want to know whom to turn to: set a mail address")
	}
	c.checkAPNs(wrong)
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

// checkAPNs refuses a part of what APNs needs: the channel would be off, or fail
// at the first push.
func (c *Config) checkAPNs(wrong func(name, problem string, args ...any)) {
	a := c.Notifier.APNs
	if !a.Enabled() {
		return
	}
	if !a.Key.Set() {
		wrong("notifier.apns.key_file", "is empty, and APNs needs the .p8 file of a key")
	}
	for _, name := range []string{"notifier.apns.key_id", "notifier.apns.team_id", "notifier.apns.topic"} {
		if c.text(name) == "" {
			wrong(name, "is empty, and APNs needs it; docs/channels/apns.md says where Apple shows it")
		}
	}
}
