package app

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/preflight"
)

// defaults are passwords that every scanner tries first.
var defaults = []string{
	"admin", "admin-secret", "changeit", "changeme", "default", "foobared", "guest", "kafka", "pass", "password",
	"redis", "root", "secret", "test", "veltrix", "123456", "12345678",
}

// exposure is S01: who else could reach, guess or read what is ours.
func exposure(cfg *config.Config) preflight.Finding {
	wrong := slices.Concat(openListeners(cfg), openConnections(cfg), weakSecrets(cfg), readableFiles(cfg))
	if len(wrong) == 0 {
		return preflight.Passed(fmt.Sprintf("listeners off loopback speak TLS and ask for keys, %d secrets are not defaults, %d files are nobody else's", len(cfg.Secrets()), len(cfg.SecretFiles())))
	}
	f := preflight.Failed(strings.Join(wrong, "; "), "TLS and keys off loopback, passwords of your own, files without rights for others",
		"producer.tls, notifier.tls and producer.keys_file, or listen on loopback; chmod o-rwx the files; where a proxy speaks TLS before it, waive this with that reason")
	if cfg.Profile != "prod" {
		f.State, f.Production = preflight.Warn, f.Observed
	}
	return f
}

// openListeners are those that take more than loopback's connections in the
// clear, or from anybody. Metrics hold no secrets; profiles hold memory.
func openListeners(cfg *config.Config) (wrong []string) {
	if at := cfg.Producer.Listen; !loopback(at) {
		if cfg.Producer.TLS.CertFile == "" {
			wrong = append(wrong, "producer.listen="+at+" without TLS")
		}
		if cfg.Producer.KeysFile == "" && cfg.Producer.TLS.ClientCAFile == "" {
			wrong = append(wrong, "producer.listen="+at+" takes events from whoever reaches it (no producer.keys_file, no client certificates)")
		}
	}
	if at := cfg.Notifier.Listen; !loopback(at) && cfg.Notifier.TLS.CertFile == "" {
		wrong = append(wrong, "notifier.listen="+at+" without TLS")
	}
	if at := cfg.Metrics.Listen; !loopback(at) && cfg.Metrics.Pprof {
		wrong = append(wrong, "metrics.listen="+at+" shows profiles (metrics.pprof)")
	}
	return wrong
}

// openConnections are those that carry a password in the clear, or that need none.
func openConnections(cfg *config.Config) (wrong []string) {
	away := func(addresses []string) bool {
		return slices.ContainsFunc(addresses, func(at string) bool { return !loopback(at) })
	}
	if cfg.Kafka.SASL.Mechanism == "plain" && !cfg.Kafka.TLS.Enabled && away(cfg.Kafka.Brokers) {
		wrong = append(wrong, "the brokers' password is sent in the clear (kafka.sasl.mechanism=plain without kafka.tls)")
	}
	if away(cfg.Redis.Addrs) {
		switch {
		case !cfg.Redis.Password.Set():
			wrong = append(wrong, "Redis is not on this machine and is asked without a password")
		case !cfg.Redis.TLS.Enabled:
			wrong = append(wrong, "Redis' password is sent in the clear (redis.tls.enabled=false)")
		}
	}
	return wrong
}

// weakSecrets names secrets by their keys, never by their values.
func weakSecrets(cfg *config.Config) (wrong []string) {
	secrets := cfg.Secrets()
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		value := strings.ToLower(secrets[key].Reveal())
		user := map[string]string{"kafka.sasl.password": cfg.Kafka.SASL.Username, "redis.password": cfg.Redis.Username}[key]
		if slices.Contains(defaults, value) || user != "" && strings.EqualFold(user, value) {
			wrong = append(wrong, key+" is a default that anybody tries")
		}
	}
	return wrong
}

// readableFiles are secrets that other users of this machine can read or write.
func readableFiles(cfg *config.Config) (wrong []string) {
	const others = 0o007
	for _, f := range cfg.SecretFiles() {
		info, err := os.Stat(f.Path)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", f.Key, err))
		case info.Mode().Perm()&others != 0:
			wrong = append(wrong, fmt.Sprintf("%s=%s has mode %04o", f.Key, f.Path, info.Mode().Perm()))
		}
	}
	return wrong
}

// loopback reports whether an address takes, or leads to, this machine alone.
func loopback(address string) bool {
	if strings.HasPrefix(address, "unix://") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
