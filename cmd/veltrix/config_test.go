package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/service"
)

// configured runs veltrix config and returns what it printed.
func configured(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, append([]string{"config"}, args...)...)
}

// run runs the command and returns what it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "veltrix.yaml")
	if err := os.WriteFile(file, []byte("profile: prod\nkafka:\n  brokers: [k1:9092]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VELTRIX_NOTIFIER_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
	t.Setenv("VELTRIX_PREFIX", "hunt")
	out, err := configured(t, "show", "--origin", "--config", file, "--redis-addrs", "r1:6379")
	if err != nil {
		t.Fatal(err)
	}
	for key, origin := range map[string]string{"profile: \"prod\"": file, "prefix: \"hunt\"": "VELTRIX_PREFIX", "r1:6379": "--redis-addrs", "commit_interval": "default"} {
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.Contains(line, key) && strings.Contains(line, origin)
		}
		if !found {
			t.Errorf("no line says %s with %s:\n%s", key, origin, out)
		}
	}
	if strings.Contains(out, "0123456789abcdef") {
		t.Error("it shows a secret")
	}
	out, err = configured(t, "show", "--json", "--config", file)
	var keys map[string]struct{ Value, Origin string }
	if err != nil || json.Unmarshal([]byte(out), &keys) != nil || keys["profile"].Value != "prod" {
		t.Errorf("as JSON: %v, %s", err, out)
	}
	if out, err = configured(t, "check", "--config", file); err != nil || !strings.Contains(out, "right") {
		t.Errorf("a right one: %v, %s", err, out)
	}
	if err := os.WriteFile(file, []byte("profil: prod\nprocessor:\n  slots: -1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = configured(t, "check", "--config", file)
	if service.ExitCode(err) != service.ExitConfig || !strings.Contains(err.Error(), "profil") || !strings.Contains(err.Error(), "slots") {
		t.Errorf("a wrong one: %v", err)
	}
}
