package config

import (
	"errors"
	"strings"
	"testing"
)

// edges holds, for each bounded key, texts just inside and just outside.
var edges = []struct {
	key     string
	in, out []string
}{
	{"prefix", []string{"a", "A.b_c-1", strings.Repeat("x", 64)}, []string{".a", "a b", "a{b}", strings.Repeat("x", 65)}},
	{"profile", []string{"dev", "prod"}, []string{"Dev", "staging"}},
	{"start_timeout", []string{"0s", "24h"}, []string{"-1ns", "24h0m1s", "0"}},
	{"stop_timeout", []string{"1s", "1h"}, []string{"999ms", "1h1ns"}},
	{"kafka.brokers", []string{"a:1", "[::1]:65535"}, []string{"a", ":9092", "a:0", "a:65536", "a b:1", "http://a:1"}},
	{"kafka.tls.enabled", []string{"true", "false"}, []string{"TRUE", "1", "yes"}},
	{"kafka.tls.ca_file", []string{"", "ca.pem"}, []string{".", "a\x00b"}},
	{"kafka.sasl.mechanism", []string{"none", "scram-sha-512"}, []string{"SCRAM-SHA-512", "gssapi"}},
	{"redis.addrs", []string{"a:1", "unix:///r.sock"}, []string{"a", "unix://r.sock", "redis://a:1"}},
	{"redis.username", []string{"", strings.Repeat("u", 256)}, []string{strings.Repeat("u", 257)}},
	{"producer.listen", []string{":0", ":8080", "[::]:80"}, []string{"8080", "a:", "a:65536", "a/b:1"}},
	{"producer.cors_origins", []string{"", "*", "https://play.example", "http://localhost:3000", "http://[::1]:80"}, []string{"play.example", "https://play.example/", "https://Play.example", "https://*.example", "null", "https://"}},
	{"producer.max_inflight_bytes", []string{"8MiB", "64GiB"}, []string{"1023KiB", "65GiB", "64MB", "1.5GiB", "99999999TiB", "0x10MiB", "MiB"}},
	{"producer.max_request_bytes", []string{"1KiB", "8MiB"}, []string{"1023B", "2GiB"}},
	{"producer.max_batch_events", []string{"1", "1000000"}, []string{"0", "1000001", "-1", "1e3", "99999999999999999999"}},
	{"producer.request_timeout", []string{"100ms", "10m"}, []string{"99ms", "10m1s", "ten", "1d"}},
	{"processor.slots", []string{"1", "64"}, []string{"0", "65", "010"}},
	{"processor.instance", []string{"", "web-1"}, []string{"a/b", strings.Repeat("x", 65)}},
	{"processor.commit_interval", []string{"1ms", "7s"}, []string{"999us", "11s"}},
	{"processor.commit_records", []string{"1", "1000000"}, []string{"0", "1000001"}},
	{"processor.cache_bytes", []string{"1MiB", "1TiB"}, []string{"1048575B", "1025GiB"}},
	{"processor.session_timeout", []string{"9s", "30m"}, []string{"999ms", "31m"}},
	{"processor.transaction_timeout", []string{"500ms", "9s"}, []string{"499ms", "16m"}},
	{"processor.rebalance_timeout", []string{"1s", "1h"}, []string{"999ms", "61m"}},
	{"processor.buckets", []string{"1", "1024"}, []string{"0", "1025"}},
	{"processor.compare_interval", []string{"100ms", "1h"}, []string{"99ms", "61m"}},
	{"processor.scrub_interval", []string{"0s", "8760h"}, []string{"-1s", "8761h"}},
	{"processor.snapshot_interval", []string{"0s", "8760h"}, []string{"-1s", "8761h"}},
	{"notifier.lanes", []string{"1", "65536"}, []string{"0", "65537"}},
	{"notifier.ledger_retention", []string{"1h", "8760h"}, []string{"59m", "8761h"}},
	{"notifier.inbox_max", []string{"1", "100000"}, []string{"0", "100001"}},
	{"notifier.inbox_retention", []string{"1h", "87600h"}, []string{"59m", "87601h"}},
	{"notifier.presence_wait", []string{"0s", "30s"}, []string{"-1ms", "30s1ms"}},
	{"notifier.pushes_max", []string{"0", "10000"}, []string{"-1", "10001"}},
	{"notifier.pushes_window", []string{"1s", "24h"}, []string{"999ms", "24h0m1s"}},
	{"notifier.devices_max", []string{"1", "1000"}, []string{"0", "1001"}},
	{"notifier.device_life", []string{"1h", "87600h"}, []string{"59m", "87601h"}},
	{"notifier.session_timeout", []string{"1s", "30m"}, []string{"999ms", "31m"}},
	{"notifier.jwks_url", []string{"", "https://id.example/keys.json", "http://127.0.0.1:9/k"}, []string{"ftp://a", "id.example", "https://u:p@id.example"}},
	{"notifier.webhook.url", []string{""}, []string{"ftp://a", "a.example", "https://", "https://u:p@a.example"}},
	{"notifier.webpush.subject", []string{"", "ops@a.example", "mailto:ops@a.example", "https://a.example/contact"}, []string{"ops", "http://a.example", "https://", "Ops <ops@a.example>"}},
	{"notifier.fcm.url", []string{"", "https://fcm.googleapis.com", "https://relay.example:8443/fcm"}, []string{"http://relay.example", "relay.example", "https://", "https://u:p@relay.example", "https://relay.example/?a=b", "https://relay.example/#a"}},
	{"notifier.fcm.timeout", []string{"100ms", "5m"}, []string{"99ms", "301s"}},
	{"notifier.apns.key_id", []string{""}, []string{"ABC123", "abcdefghij", "ABCDE123456"}},
	{"notifier.apns.team_id", []string{""}, []string{"ABC 123DEF"}},
	{"notifier.apns.topic", []string{""}, []string{"a/b", ".com", strings.Repeat("x", 256)}},
	{"notifier.apns.environment", []string{"production", "sandbox"}, []string{"development", "Production"}},
	{"notifier.apns.url", []string{"", "https://relay.example", "https://[::1]:8443/"}, []string{"http://relay.example", "relay.example", "https://", "https://u:p@relay.example", "https://relay.example?a"}},
	{"notifier.apns.timeout", []string{"100ms", "5m"}, []string{"99ms", "301s"}},
	{"notifier.webpush.timeout", []string{"100ms", "5m"}, []string{"99ms", "301s"}},
	{"notifier.webpush.allow", []string{"", "127.0.0.0/8"}, []string{"127.0.0.1"}},
	{"notifier.webhook.timeout", []string{"100ms", "5m"}, []string{"99ms", "301s"}},
	{"notifier.webhook.allow", []string{"", "10.0.0.0/8", "::1/128"}, []string{"10.0.0.0", "10.0.0.0/33"}},
	{"doctor.gateway_url", []string{"", "https://events.example", "http://127.0.0.1:8080/hunt/"}, []string{"events.example", "ftp://a", "https://", "https://u:p@a.example", "https://a.example/?b", "https://a.example/#c"}},
	{"doctor.inbox_url", []string{"", "https://inbox.example"}, []string{"inbox.example", "https://inbox.example/?b"}},
	{"log.level", []string{"debug", "error"}, []string{"INFO", "trace"}},
	{"log.format", []string{"json", "text"}, []string{"logfmt"}},
}

func TestBoundsAtTheirEdges(t *testing.T) {
	tested := map[string]bool{}
	for _, e := range edges {
		k := find(e.key)
		tested[e.key] = true
		for _, text := range e.in {
			if _, err := Load(command(t, "--"+k.flag()+"="+text).Flags()); err != nil && !strings.Contains(e.key, "tls") && !strings.Contains(e.key, "sasl") && !strings.Contains(e.key, "username") {
				t.Errorf("%s = %q: %v", e.key, text, err)
			} else if err != nil && strings.Contains(err.Error(), "must be "+k.bound.text) {
				t.Errorf("%s = %q: %v", e.key, text, err)
			}
		}
		for _, text := range e.out {
			_, err := Load(command(t, "--"+k.flag()+"="+text).Flags())
			var all Errors
			if !errors.As(err, &all) || all[0].Key != e.key || all[0].Value != text {
				t.Errorf("%s = %q: got %v, want a refusal that names both", e.key, text, err)
			}
		}
	}
	for i := range keys {
		if name := keys[i].name; !tested[name] && keys[i].bound.holds != nil && !keys[i].secret() && keys[i].bound.text != filePath.text && !tested[sameBound(&keys[i])] {
			t.Errorf("the bound of %s is not tested at its edges", name)
		}
	}
}

// sameBound returns another key of the table that shares k's bound by name.
func sameBound(k *key) string {
	for i := range keys {
		if keys[i].name != k.name && keys[i].bound.text == k.bound.text && keys[i].fallback == k.fallback {
			return keys[i].name
		}
	}
	for _, e := range edges {
		if find(e.key).bound.text == k.bound.text {
			return e.key
		}
	}
	return ""
}

func TestSizeText(t *testing.T) {
	for size, want := range map[Size]string{0: "0B", 1: "1B", 1023: "1023B", 1 << 10: "1KiB", 1536: "1536B", 64 << 20: "64MiB", 3 << 40: "3TiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(size), got, want)
		}
		if back, err := parseSize(want); err != nil || back != size {
			t.Errorf("%q is read as %d, %v", want, back, err)
		}
	}
}

func TestChecksBetweenKeys(t *testing.T) {
	secret := file(t, "0123456789abcdef0123456789abcdef\n")
	vapid := file(t, strings.Repeat("A", 43)+"\n")
	for _, c := range []struct {
		args []string
		key  string // empty: accepted
	}{
		{[]string{"--processor-transaction-timeout=10s"}, "processor.transaction_timeout"},
		{[]string{"--processor-transaction-timeout=9999ms"}, ""},
		{[]string{"--processor-commit-interval=8s"}, "processor.commit_interval"},
		{[]string{"--producer-max-request-bytes=65MiB"}, "producer.max_request_bytes"},
		{[]string{"--producer-max-request-bytes=64MiB"}, ""},
		{[]string{"--redis-addrs=a:1,b:1"}, "redis.addrs"},
		{[]string{"--redis-addrs=a:1,b:1", "--redis-cluster"}, ""},
		{[]string{"--kafka-sasl-username=u"}, "kafka.sasl.username"},
		{[]string{"--kafka-sasl-password-file=" + secret}, "kafka.sasl.password"},
		{[]string{"--kafka-sasl-mechanism=plain", "--kafka-sasl-username=u"}, "kafka.sasl.password"},
		{[]string{"--kafka-sasl-mechanism=plain", "--kafka-sasl-password-file=" + secret}, "kafka.sasl.username"},
		{[]string{"--kafka-sasl-mechanism=scram-sha-256", "--kafka-sasl-username=u", "--kafka-sasl-password-file=" + secret}, ""},
		{[]string{"--kafka-tls-ca-file=x"}, "kafka.tls.ca_file"},
		{[]string{"--kafka-tls-enabled", "--kafka-tls-cert-file=x"}, "kafka.tls.key_file"},
		{[]string{"--kafka-tls-enabled", "--kafka-tls-key-file=x"}, "kafka.tls.cert_file"},
		{[]string{"--redis-tls-ca-file=x"}, "redis.tls.ca_file"},
		{[]string{"--producer-tls-cert-file=x"}, "producer.tls.key_file"},
		{[]string{"--producer-tls-key-file=x"}, "producer.tls.cert_file"},
		{[]string{"--producer-tls-client-ca-file=x"}, "producer.tls.client_ca_file"},
		{[]string{"--producer-tls-client-ca-file=x", "--producer-tls-cert-file=x", "--producer-tls-key-file=x"}, ""},
		{[]string{"--notifier-tls-key-file=x"}, "notifier.tls.cert_file"},
		{[]string{"--notifier-jwks-url=https://a.example/k", "--notifier-token-secret-file=" + secret}, "notifier.jwks_url"},
		{[]string{"--notifier-jwks-url=https://a.example/k", "--notifier-token-audience="}, "notifier.token_audience"},
		{[]string{"--notifier-jwks-url=https://a.example/k"}, ""},
		{[]string{"--notifier-apns-key-id=ABCDE12345", "--notifier-apns-team-id=TEAM123456", "--notifier-apns-topic=com.example.app"}, "notifier.apns.key_file"},
		{[]string{"--notifier-apns-key-file=" + secret, "--notifier-apns-team-id=TEAM123456", "--notifier-apns-topic=com.example.app"}, "notifier.apns.key_id"},
		{[]string{"--notifier-apns-key-file=" + secret, "--notifier-apns-key-id=ABCDE12345", "--notifier-apns-topic=com.example.app"}, "notifier.apns.team_id"},
		{[]string{"--notifier-apns-key-file=" + secret, "--notifier-apns-key-id=ABCDE12345", "--notifier-apns-team-id=TEAM123456"}, "notifier.apns.topic"},
		{[]string{"--notifier-apns-key-file=" + secret, "--notifier-apns-key-id=ABCDE12345", "--notifier-apns-team-id=TEAM123456", "--notifier-apns-topic=com.example.app"}, ""},
		{[]string{"--notifier-webpush-private-key-file=" + vapid}, "notifier.webpush.subject"},
		{[]string{"--notifier-webpush-private-key-file=" + vapid, "--notifier-webpush-subject=ops@a.example"}, ""},
		{[]string{"--notifier-webpush-private-key-file=" + secret, "--notifier-webpush-subject=ops@a.example"}, "notifier.webpush.private_key_file"},
		{[]string{"--notifier-webhook-url=https://a.example/"}, "notifier.webhook.secret"},
		{[]string{"--notifier-webhook-url=https://a.example/", "--notifier-webhook-secret-file=" + secret, "--notifier-ledger-retention=75h"}, "notifier.ledger_retention"},
		{[]string{"--notifier-webhook-url=https://a.example/", "--notifier-webhook-secret-file=" + secret, "--notifier-ledger-retention=76h"}, ""},
	} {
		if c.key == "" {
			mustLoad(t, c.args...)
		} else if got := refusal(t, c.args...); got.Key != c.key {
			t.Errorf("%v: refused for %s, want %s", c.args, got.Key, c.key)
		}
	}
}
