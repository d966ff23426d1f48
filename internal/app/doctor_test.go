package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/preflight"
)

// expectFinding holds a finding against its state and a part of what it observed.
func expectFinding(t *testing.T, what string, f preflight.Finding, state preflight.State, observed string) {
	t.Helper()
	if f.State != state || !strings.Contains(f.Observed, observed) {
		t.Errorf("%s: %s %q, want %s with %q", what, f.State, f.Observed, state, observed)
	}
	if (f.State == preflight.Fail || f.State == preflight.Warn) && (f.Expected == "" || f.Fix == "") {
		t.Errorf("%s says not what to do: %+v", what, f)
	}
}

// TestRegistry: what is run is what the catalogue knows, in its order and words,
// and what it calls not detected is what nothing runs for.
func TestRegistry(t *testing.T) {
	rt := Runtime{Config: config.Default()}
	var want []string
	for _, e := range preflight.Catalogue() {
		if !e.NotDetected {
			want = append(want, e.ID)
		}
	}
	var got []string
	for _, c := range rt.checks(kafkalog.Config{Prefix: "p"}, nil) {
		got = append(got, c.ID)
		e, _ := preflight.Find(c.ID)
		if c.Title != e.Title || c.Harm != e.Harm || c.Severity != e.Severity || c.Players != e.Players {
			t.Errorf("%s has words of its own: %+v", c.ID, c)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("checks   %v\ncatalogue %v", got, want)
	}
}

func TestN01PushesThatExpireAtOnce(t *testing.T) {
	class := func(name string, expires time.Duration, channels ...string) *participant.Class {
		return &participant.Class{Name: name, Channels: channels, ExpiresMs: expires.Milliseconds()}
	}
	now := time.Now()
	fine := []*participant.Class{class("clue", time.Minute, "inbox", "webpush"), class("blink", time.Millisecond, "inbox", "fcm")}
	expectFinding(t, "off", pushLife(false, fine, now), preflight.Skip, "off")
	expectFinding(t, "fine", pushLife(true, fine, now), preflight.Pass, "class clue: TTL 60 s")
	expectFinding(t, "no rules", pushLife(true, nil, now), preflight.Pass, "without an end: TTL 2419200 s")
	expectFinding(t, "one second", pushLife(true, []*participant.Class{class("edge", time.Second, "webpush")}, now), preflight.Pass, "TTL 1 s")
	expectFinding(t, "less", pushLife(true, append(fine, class("gone", 999*time.Millisecond, "webpush")), now), preflight.Fail, "class gone: TTL 0 s")
}

func TestN02OldNews(t *testing.T) {
	const ledger = 168 * time.Hour
	hook := schedule{"webhook", 75 * time.Hour}
	expectFinding(t, "as declared", oldNews([]schedule{hook}, ledger, 96*time.Hour), preflight.Pass, "webhook goes on trying for 75h0m0s")
	expectFinding(t, "at the edge", oldNews(nil, ledger, ledger), preflight.Pass, "168h")
	expectFinding(t, "the log outlives the ledger", oldNews(nil, ledger, ledger+time.Millisecond), preflight.Warn, "notifications stay")
	expectFinding(t, "the log is for ever", oldNews(nil, ledger, kafkalog.Forever), preflight.Warn, "for ever")
	expectFinding(t, "tries are cut off", oldNews([]schedule{{"webhook", ledger - time.Minute}}, ledger, time.Hour), preflight.Warn, "its last tries are never made")
	expectFinding(t, "tries outlive the ledger", oldNews([]schedule{{"webhook", ledger + time.Minute}}, ledger, time.Hour), preflight.Fail, "webhook goes on trying")
	expectFinding(t, "both", oldNews([]schedule{{"webhook", ledger + time.Minute}}, ledger, kafkalog.Forever), preflight.Fail, "for ever")
}

// TestN02LooksAtTheTopic: what is held against the ledger is what the brokers keep,
// and what the channels go on trying.
func TestN02LooksAtTheTopic(t *testing.T) {
	rt, kafka, _, _ := guarded(t)
	look := func(kafka kafkalog.Config) preflight.Finding {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return rt.oldNewsCheck(kafka).Run(ctx)
	}
	expectFinding(t, "as declared", look(kafka), preflight.Pass, "notifications stay on the brokers for 96h")
	rt.Config.Notifier.LedgerRetention = time.Hour
	expectFinding(t, "a short ledger", look(kafka), preflight.Warn, "notifications stay on the brokers for 96h")
	rt.Config.Notifier.Webhook = loaded(t, map[string]string{"WEBHOOK_URL": "https://example.com/", "WEBHOOK_SECRET": "c2VjcmV0"}).Notifier.Webhook
	expectFinding(t, "a short ledger, and a channel", look(kafka), preflight.Fail, "webhook goes on trying")
	elsewhere, away := kafka, kafka
	elsewhere.Prefix, away.Brokers = "other", []string{"127.0.0.1:1"}
	expectFinding(t, "no topics", look(elsewhere), preflight.Skip, "see K10")
	expectFinding(t, "no brokers", look(away), preflight.Unknown, "")
	rt.Config.Notifier.FCM = loaded(t, map[string]string{"FCM_CREDENTIALS": "{}"}).Notifier.FCM
	expectFinding(t, "a channel that cannot be made", look(kafka), preflight.Skip, "see N06")
}

// TestRulesThatCannotBeRead: what depends on the classes is unknown then.
func TestRulesThatCannotBeRead(t *testing.T) {
	rt := Runtime{Config: config.Default()}
	rt.Config.Rules.File = filepath.Join(t.TempDir(), "gone.yaml")
	for _, c := range rt.configChecks() {
		if c.ID == "N01" || c.ID == "N06" {
			expectFinding(t, c.ID, c.Run(t.Context()), preflight.Unknown, "gone.yaml")
		}
	}
	expectFinding(t, "N06, asked for", rt.provenCredentials(t.Context()), preflight.Unknown, "gone.yaml")
}

// TestN02Schedules: what is held against the ledger is what the channels do.
func TestN02Schedules(t *testing.T) {
	cfg := loaded(t, map[string]string{"WEBHOOK_URL": "https://example.com/", "WEBHOOK_SECRET": "c2VjcmV0", "WEBHOOK_TIMEOUT": "10s"})
	all, _, err := channels(cfg.Notifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := 100 * time.Second // 10 tries
	for attempt := 1; ; attempt++ {
		pause, again := all[0].Retry(attempt)
		if !again {
			break
		}
		want += pause
	}
	if got := schedules(all); len(got) != 1 || got[0] != (schedule{"webhook", want}) || want < 75*time.Hour || want > cfg.Notifier.LedgerRetention {
		t.Errorf("%+v, want %v", got, want)
	}
	if delivery.Life(time.Hour) >= time.Hour {
		t.Error("a notification outlives the ledger")
	}
}

// loaded is a configuration with settings of the notifier, as variables.
func loaded(t *testing.T, notifier map[string]string) *config.Config {
	t.Helper()
	for key, value := range notifier {
		t.Setenv("VELTRIX_NOTIFIER_"+key, value)
	}
	cfg, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestN06Credentials(t *testing.T) {
	private, _, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	asks := func(channels ...string) []*participant.Class {
		return []*participant.Class{{Name: "clue", Channels: append([]string{"inbox"}, channels...)}}
	}
	apple := map[string]string{"APNS_KEY_ID": "ABCDE12345", "APNS_TEAM_ID": "TEAM123456", "APNS_TOPIC": "com.example.hunt", "APNS_KEY": "no key"}
	for name, c := range map[string]struct {
		set      map[string]string
		profile  string
		classes  []*participant.Class
		state    preflight.State
		observed string
	}{
		"none":                       {profile: "prod", classes: asks(), state: preflight.Pass, observed: "on: inbox"},
		"webpush":                    {set: map[string]string{"WEBPUSH_SUBJECT": "ops@example.com", "WEBPUSH_PRIVATE_KEY": private}, profile: "prod", classes: asks("webpush"), state: preflight.Pass, observed: "on: webpush, inbox"},
		"a key that is none":         {set: map[string]string{"FCM_CREDENTIALS": "{}"}, profile: "dev", state: preflight.Fail, observed: "fcm: "},
		"two that are none":          {set: merge(apple, map[string]string{"FCM_CREDENTIALS": "{}"}), profile: "dev", classes: asks("fcm"), state: preflight.Fail, observed: "; apns: "},
		"a point outside the curve":  {set: map[string]string{"WEBPUSH_SUBJECT": "ops@example.com", "WEBPUSH_PRIVATE_KEY": strings.Repeat("A", 43)}, profile: "dev", state: preflight.Fail, observed: "webpush: "},
		"a secret that is no base64": {set: map[string]string{"WEBHOOK_URL": "https://example.com/", "WEBHOOK_SECRET": "!"}, profile: "dev", state: preflight.Fail, observed: "webhook: "},
		"asked for and off":          {profile: "prod", classes: asks("fcm"), state: preflight.Fail, observed: "class clue asks for fcm, which is off"},
		"the same in development":    {profile: "dev", classes: asks("fcm"), state: preflight.Pass, observed: "on: inbox"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := loaded(t, c.set)
			cfg.Profile = c.profile
			f := credentials(cfg, c.classes)
			expectFinding(t, name, f, c.state, c.observed)
			if c.state == preflight.Fail && c.observed != "class clue asks for fcm, which is off" && strings.Contains(f.Observed, "asks for") {
				t.Errorf("a broken channel is called off: %s", f.Observed)
			}
			if (name == "the same in development") != (f.Production != "") {
				t.Errorf("before production: %q", f.Production)
			}
			if first, second, two := strings.Cut(f.Observed, "; apns: "); two && strings.TrimPrefix(first, "fcm: ") == second {
				t.Errorf("one channel's mistake is said of both: %s", f.Observed)
			}
			for _, value := range c.set {
				if len(value) > 40 && strings.Contains(f.Observed, value) {
					t.Errorf("it shows a secret: %s", f.Observed)
				}
			}
		})
	}
}

func merge(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func TestS01Exposure(t *testing.T) {
	dir := t.TempDir()
	file := func(mode os.FileMode) string {
		path := filepath.Join(dir, mode.String())
		if err := os.WriteFile(path, []byte("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // past the umask
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		env   map[string]string
		wrong string // empty: it passes
	}{
		"as it is":                      {},
		"loopback by name":              {env: map[string]string{"PRODUCER_LISTEN": "localhost:1", "NOTIFIER_LISTEN": "[::1]:1"}},
		"the gateway in the clear":      {map[string]string{"PRODUCER_LISTEN": ":8080"}, "producer.listen=:8080 without TLS"},
		"the gateway for anybody":       {map[string]string{"PRODUCER_LISTEN": "10.0.0.1:8080", "PRODUCER_TLS_CERT_FILE": "c", "PRODUCER_TLS_KEY_FILE": file(0o400)}, "takes events from whoever"},
		"the gateway with certificates": {env: map[string]string{"PRODUCER_LISTEN": "10.0.0.1:8080", "PRODUCER_TLS_CERT_FILE": "c", "PRODUCER_TLS_KEY_FILE": file(0o400), "PRODUCER_TLS_CLIENT_CA_FILE": "c"}},
		"the gateway with keys":         {env: map[string]string{"PRODUCER_LISTEN": "10.0.0.1:8080", "PRODUCER_TLS_CERT_FILE": "c", "PRODUCER_TLS_KEY_FILE": file(0o400), "PRODUCER_KEYS_FILE": file(0o400)}},
		"the inbox with TLS":            {env: map[string]string{"NOTIFIER_LISTEN": "10.0.0.1:8081", "NOTIFIER_TLS_CERT_FILE": "c", "NOTIFIER_TLS_KEY_FILE": file(0o400)}},
		"the inbox in the clear":        {map[string]string{"NOTIFIER_LISTEN": "0.0.0.0:8081"}, "notifier.listen=0.0.0.0:8081 without TLS"},
		"metrics for all":               {env: map[string]string{"METRICS_LISTEN": ":9464"}},
		"profiles for all":              {map[string]string{"METRICS_LISTEN": ":9464", "METRICS_PPROF": "true"}, "metrics.listen=:9464 shows profiles"},
		"Redis elsewhere":               {map[string]string{"REDIS_ADDRS": "r1:6379"}, "without a password"},
		"a password in the clear":       {map[string]string{"REDIS_ADDRS": "r1:6379", "REDIS_PASSWORD": "hJ7x"}, "Redis' password is sent in the clear"},
		"Redis as it should be":         {env: map[string]string{"REDIS_ADDRS": "r1:6379", "REDIS_PASSWORD": "hJ7x", "REDIS_TLS_ENABLED": "true"}},
		"Redis by a socket":             {env: map[string]string{"REDIS_ADDRS": "unix:///tmp/r"}},
		"a default":                     {map[string]string{"REDIS_PASSWORD": "Redis"}, "redis.password is a default"},
		"the user's own name":           {map[string]string{"REDIS_USERNAME": "hunter", "REDIS_PASSWORD": "Hunter"}, "redis.password is a default"},
		"brokers in the clear":          {map[string]string{"KAFKA_BROKERS": "127.0.0.1:9092,k1:9092", "KAFKA_SASL_MECHANISM": "plain", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hJ7x"}, "the brokers' password is sent in the clear"},
		"a password that is not sent":   {env: map[string]string{"KAFKA_BROKERS": "k1:9092", "KAFKA_SASL_MECHANISM": "scram-sha-512", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hJ7x"}},
		"brokers with TLS":              {env: map[string]string{"KAFKA_BROKERS": "k1:9092", "KAFKA_TLS_ENABLED": "true", "KAFKA_SASL_MECHANISM": "plain", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hJ7x"}},
		"brokers on this machine":       {env: map[string]string{"KAFKA_BROKERS": "127.0.0.1:9092", "KAFKA_SASL_MECHANISM": "plain", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hJ7x"}},
		"the brokers' user's own name":  {map[string]string{"KAFKA_BROKERS": "127.0.0.1:9092", "KAFKA_SASL_MECHANISM": "plain", "KAFKA_SASL_USERNAME": "hunter", "KAFKA_SASL_PASSWORD": "hunter"}, "kafka.sasl.password is a default"},
		"a secret of one's own":         {env: map[string]string{"NOTIFIER_TOKEN_SECRET_FILE": file(0o640)}},
		"a secret that all can read":    {map[string]string{"NOTIFIER_TOKEN_SECRET_FILE": file(0o644)}, "has mode 0644"},
		"a key that all can write":      {map[string]string{"PRODUCER_KEYS_FILE": file(0o602)}, "producer.keys_file="},
		"a key that is not there":       {map[string]string{"KAFKA_TLS_ENABLED": "true", "KAFKA_TLS_CERT_FILE": "c", "KAFKA_TLS_KEY_FILE": filepath.Join(dir, "gone")}, "kafka.tls.key_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv("VELTRIX_"+key, value)
			}
			cfg, err := config.Load(nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Profile = "prod"
			f, state := exposure(cfg), preflight.Pass
			if c.wrong != "" {
				state = preflight.Fail
			}
			expectFinding(t, name, f, state, c.wrong)
			if strings.Contains(f.Observed, "hJ7x") {
				t.Errorf("it shows a secret: %s", f.Observed)
			}
			if cfg.Profile = "dev"; c.wrong != "" {
				if f = exposure(cfg); f.State != preflight.Warn || f.Production == "" {
					t.Errorf("in development: %+v", f)
				}
			}
		})
	}
}
