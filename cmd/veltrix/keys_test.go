package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/service"
)

// TestKeys makes keys, lists them and revokes one.
func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	said, code := veltrix(t, "keys", "add", "--file", file, "phones", "--source", "/phone/*", "--type", "clue.*", "--rate", "5")
	secret := strings.TrimSpace(said)
	if code != 0 || !strings.HasPrefix(secret, "vlx_") || len(secret) != 47 {
		t.Fatalf("code %d: %q", code, said)
	}
	if _, code = veltrix(t, "keys", "add", "--file", file, "all", "--read"); code != 0 {
		t.Errorf("a second key: code %d", code)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), secret[4:]) {
		t.Errorf("%v: the file has the key:\n%s", err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: others may read the file: %v", err, info.Mode())
	}
	said, _ = veltrix(t, "keys", "list", "--file", file)
	if !strings.Contains(said, "/phone/*") || !strings.Contains(said, "all ") || strings.Contains(said, secret[4:]) {
		t.Errorf("the list is\n%s", said)
	}
	if _, code = veltrix(t, "keys", "revoke", "--file", file, "phones"); code != 0 {
		t.Errorf("revoked with code %d", code)
	}
	if said, _ = veltrix(t, "keys", "list", "--file", file, "--json"); strings.Count(said, "\n") != 1 || !strings.Contains(said, `"name":"all"`) {
		t.Errorf("the list is\n%s", said)
	}
	for args, want := range map[string]int{
		"add all":                       1,
		"add two_words!":                1,
		"revoke phones":                 1,
		"list --file " + file + ".gone": service.ExitConfig,
	} {
		args := strings.Fields("keys " + args)
		if _, code := veltrix(t, append(append(args[:2:2], "--file", file), args[2:]...)...); code != want {
			t.Errorf("%v ends with %d, want %d", args, code, want)
		}
	}
}

// TestVAPIDKeys makes two pairs: each belongs together, and they differ.
func TestVAPIDKeys(t *testing.T) {
	made := map[string]bool{}
	for range 2 {
		said, code := veltrix(t, "keys", "vapid")
		private, public, both := strings.Cut(strings.TrimPrefix(said, "private_key: "), "\npublic_key: ")
		if code != 0 || !both {
			t.Fatalf("code %d: %q", code, said)
		}
		if got, err := webpush.PublicKey(private); err != nil || got != strings.TrimSpace(public) {
			t.Errorf("the public key of the private one is %q, %v; printed was %q", got, err, public)
		}
		made[private] = true
	}
	if len(made) != 2 {
		t.Error("the same key twice")
	}
}
