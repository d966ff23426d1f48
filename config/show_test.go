package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the generated pages")

func TestReferencePageIsCurrent(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	want := Reference()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what the declarations say; run go test ./config -rewrite")
	}
}

func TestDeclarationsAreComplete(t *testing.T) {
	seen := map[string]string{}
	for i := range keys {
		k := &keys[i]
		for _, name := range []string{k.name, k.env(), "--" + k.flag()} {
			if other, twice := seen[name]; twice {
				t.Errorf("%s and %s share %s", other, k.name, name)
			}
			seen[name] = k.name
		}
		if k.sentence == "" || !strings.HasSuffix(k.sentence, ".") {
			t.Errorf("%s has no sentence", k.name)
		}
		if k.secret() {
			find(k.name + "_file") // panics where a secret can come from no file
		}
	}
}

// A file made of the defaults says what the defaults say.
func TestExampleLoads(t *testing.T) {
	c, err := LoadFile(file(t, Example()))
	if err != nil {
		t.Fatal(err)
	}
	if changes := Diff(Default(), c); len(changes) != 0 {
		t.Errorf("the example differs from the defaults: %v", changes)
	}
}

func TestSecrets(t *testing.T) {
	const password = "correct-horse-battery-staple"
	check := func(c *Config) {
		t.Helper()
		if c.Redis.Password.Reveal() != password || !c.Redis.Password.Set() {
			t.Fatalf("the password was read as %q", c.Redis.Password.Reveal())
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		if err := c.Show(&shown, true); err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{
			string(text), shown.String(), c.String(), fmt.Sprintf("%v %+v %#v", *c, *c, c.Redis),
			fmt.Sprint(c.Redis.Password), c.Redis.Password.LogValue().String(), fmt.Sprint(Diff(Default(), c)),
		} {
			if strings.Contains(got, password) {
				t.Errorf("the secret shows in %s", got)
			}
		}
		if !strings.Contains(shown.String(), "# password: redacted") {
			t.Errorf("show does not tell that there is a password:\n%s", shown.String())
		}
		if changes := Diff(Default(), c); len(changes) == 0 {
			t.Error("a changed secret is a change")
		}
	}
	path := file(t, password+"\r\n")
	check(mustLoad(t, "--redis-password-file", path))
	t.Setenv("VELTRIX_REDIS_PASSWORD", password)
	check(mustLoad(t))
	wantText(t, refusal(t, "--redis-password-file", path), "are both set")
}

func TestBadSecrets(t *testing.T) {
	wantText(t, refusal(t, "--redis-password-file=/nowhere/x"), "redis.password_file", "cannot be read")
	wantText(t, refusal(t, "--redis-password-file="+file(t, "\n")), "is empty")
	const short = "too-short-a-key"
	err := refusal(t, "--notifier-token-secret-file="+file(t, short))
	wantText(t, err, "32 to 4096 bytes")
	t.Setenv("VELTRIX_NOTIFIER_TOKEN_SECRET", short)
	for _, err := range []error{err, refusal(t)} {
		if strings.Contains(err.Error(), short) {
			t.Errorf("the secret shows in %q", err)
		}
	}
}

func TestSecretsHaveNoFlag(t *testing.T) {
	cmd := command(t)
	if cmd.Flags().Lookup("redis-password") != nil || cmd.Flags().Lookup("redis-password-file") == nil {
		t.Error("a secret's file has a flag, the secret has none")
	}
}

// What show prints is a file that gives the same configuration again.
func TestShowRoundTrip(t *testing.T) {
	c := mustLoad(t, "--kafka-brokers=a:1,b:2", "--prefix=x.y", "--redis-cluster", "--notifier-inbox-retention=1h30m", "--producer-max-request-bytes=3MiB")
	var text strings.Builder
	if err := c.Show(&text, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "# flag --kafka-brokers") {
		t.Errorf("the origin is missing:\n%s", text.String())
	}
	back, err := LoadFile(file(t, text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if changes := Diff(c, back); len(changes) != 0 {
		t.Errorf("read back, %v", changes)
	}
	if got := Diff(Default(), c); len(got) != 5 || got[0] != (Change{"prefix", "veltrix", "x.y", true}) {
		t.Errorf("diff %v", got)
	}
}

func TestFlagsOfSections(t *testing.T) {
	cmd := &cobra.Command{Use: "test"}
	Flags(cmd, "redis")
	for name, want := range map[string]bool{"redis-addrs": true, "log-level": true, "prefix": true, "config": true, "kafka-brokers": false} {
		if got := cmd.Flags().Lookup(name) != nil; got != want {
			t.Errorf("--%s is there: %t, want %t", name, got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a section that does not exist is a mistake in the program")
		}
	}()
	Flags(cmd, "rediss")
}

func TestTLS(t *testing.T) {
	if built, err := (TLS{}).Build(); built != nil || err != nil {
		t.Errorf("off: %v %v", built, err)
	}
	if built, err := (TLS{Enabled: true}).Build(); err != nil || built.RootCAs != nil {
		t.Errorf("the system's authorities: %v %v", built, err)
	}
	_, err := TLS{Enabled: true, CAFile: file(t, "no certificate")}.Build()
	wantText(t, err, "holds no PEM certificate")
	if code, ok := err.(interface{ ExitCode() int }); !ok || code.ExitCode() != 78 {
		t.Error("a bad certificate is a bad configuration")
	}
}
