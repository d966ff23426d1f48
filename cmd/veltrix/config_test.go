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
	if out, err = configured(t, "check", "--config", file); err != nil || !strings.Contains(out, "→ exit 0") {
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

// TestConfigCheckRunsTheChecks: what the doctor finds without a server, config check
// finds too, with the same codes.
func TestConfigCheckRunsTheChecks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	away := []string{"check", "--profile=prod", "--kafka-brokers=127.0.0.1:1", "--redis-addrs=127.0.0.1:1", "--notifier-token-secret-file=" + secret}
	out, err := configured(t, away...)
	if service.ExitCode(err) != service.ExitFailure || !strings.Contains(out, "S01") || strings.Contains(out, "K02") || strings.Contains(out, "cannot be reached") {
		t.Errorf("a secret that others can read: %v\n%s", err, out)
	}
	out, err = configured(t, append(away, "--json")...)
	var report struct {
		Exit    int
		Results []struct{ ID, State string }
	}
	if json.Unmarshal([]byte(out), &report) != nil || report.Exit != 1 || len(report.Results) < 7 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	if _, err = configured(t, append(away, "--json", "--junit=-")...); service.ExitCode(err) != service.ExitConfig {
		t.Errorf("two forms at once: %v", err)
	}
	waivers := filepath.Join(t.TempDir(), "waivers.yaml")
	if err := os.WriteFile(waivers, []byte("- {id: S01, expires: 2999-01-01}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = configured(t, append(away, "--doctor-waivers-file="+waivers)...); service.ExitCode(err) != service.ExitConfig || !strings.Contains(err.Error(), "give a reason") {
		t.Errorf("waivers that are none: %v", err)
	}
}

func TestConfigDiff(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("VELTRIX_PREFIX", "of-the-environment") // which is nobody's business here
	before := write("before.yaml", "log: {level: info}\nprocessor: {slots: 2}\n")
	after := write("after.yaml", "log: {level: debug}\nprocessor: {slots: 4}\n")
	out, err := configured(t, "diff", before, after)
	if service.ExitCode(err) != service.ExitFailure || strings.Count(out, "\n") != 2 {
		t.Errorf("two changes: %v\n%s", err, out)
	}
	for _, line := range []string{`processor.slots  "2" → "4"         needs a restart`, `log.level        "info" → "debug"  on SIGHUP`} {
		if !strings.Contains(out, line) {
			t.Errorf("no line says %s:\n%s", line, out)
		}
	}
	out, _ = configured(t, "diff", before, after, "--json")
	var changes []struct {
		Key, Before, After string
		Restart            bool `json:"restart_required"`
	}
	if json.Unmarshal([]byte(out), &changes) != nil || len(changes) != 2 || !changes[0].Restart || changes[1].Restart || changes[1].After != "debug" {
		t.Errorf("as JSON: %s", out)
	}
	if out, err := configured(t, "diff", before, write("same.yaml", "{}\n")); err != nil || out != "" {
		t.Errorf("defaults that are given: %v\n%s", err, out)
	}
	if _, err := configured(t, "diff", before, write("wrong.yaml", "logg: {}\n")); service.ExitCode(err) != service.ExitConfig {
		t.Errorf("a wrong one: %v", err)
	}
}
