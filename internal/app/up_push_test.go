package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webpush"
)

// TestUpMakesAPushKey starts three times in one data directory: players who
// subscribed must stay subscribed, and a key that was given is used as it is.
func TestUpMakesAPushKey(t *testing.T) {
	t.Parallel()
	given, _, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "vapid.key")
	start := func(key string) (string, error) {
		cfg := upConfig()
		if key != "" {
			cfg.Notifier.Webpush.PrivateKey, cfg.Notifier.Webpush.Subject = config.NewSecret(key), "ops@example.com"
		}
		var out bytes.Buffer
		u := &Up{hunt: &hunt{name: "flights"}, Out: &out, cfg: cfg, DataDir: dir}
		if err := u.start(t.Context(), "test"); err != nil {
			return "", err
		}
		defer func() {
			if err := u.cluster.Close(); err != nil {
				t.Error(err)
			}
		}()
		_, public, err := channels(cfg.Notifier, u.rt.devices(nil))
		if secret := cfg.Notifier.Webpush.PrivateKey.Reveal(); strings.Contains(out.String(), secret) {
			t.Error("the key is shown")
		}
		return public, err
	}
	if _, err := start(given); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a key is made beside the one that is given")
	}
	first, err := start("")
	if err != nil || first == "" {
		t.Fatalf("the key is %q, %v", first, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if again, err := start(""); err != nil || again != first {
		t.Errorf("the second start has the key %q, %v, the first %q", again, err, first)
	}
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(""); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "remove it") || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a file without a key: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if public, err := start(""); err != nil || public == first { // the failed start left no lock
		t.Errorf("the new key is %q, %v", public, err)
	}
}
