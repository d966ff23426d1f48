package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// file writes text to a file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "veltrix.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command returns a command with every flag, its line parsed.
func command(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	cmd := &cobra.Command{Use: "test"}
	var names []string
	for _, s := range sections {
		if s.name != "" && s.name != "log" {
			names = append(names, s.name)
		}
	}
	Flags(cmd, names...)
	Alias(cmd, "brokers", "kafka.brokers")
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func mustLoad(t *testing.T, args ...string) *Config {
	t.Helper()
	c, err := Load(command(t, args...).Flags())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refusal returns the one error that loading the arguments must give.
func refusal(t *testing.T, args ...string) *FieldError {
	t.Helper()
	_, err := Load(command(t, args...).Flags())
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if len(all) != 1 {
		t.Fatalf("got %d errors, want 1: %v", len(all), err)
	}
	return all[0]
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestPrecedence(t *testing.T) {
	path := file(t, "processor:\n  slots: 3\n  commit_records: 7\nkafka:\n  brokers: [file:1, file:2]\n")
	t.Setenv("VELTRIX_PROCESSOR_SLOTS", "4")
	t.Setenv("VELTRIX_PREFIX", "env")
	c := mustLoad(t, "--config", path, "--prefix", "flag")
	if c.Processor.CommitRecords != 7 || c.Processor.Slots != 4 || c.Prefix != "flag" || c.Processor.Buckets != 4 {
		t.Errorf("got %d %d %q %d, want file 7, env 4, flag, default 4", c.Processor.CommitRecords, c.Processor.Slots, c.Prefix, c.Processor.Buckets)
	}
	for key, want := range map[string]string{
		"processor.commit_records": path + ":3",
		"processor.slots":          "env VELTRIX_PROCESSOR_SLOTS",
		"prefix":                   "flag --prefix",
		"processor.buckets":        "default",
	} {
		if got := c.Origin(key).String(); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
	if c.Explicit("processor.buckets") || !c.Explicit("prefix") {
		t.Error("only what was given is explicit")
	}
}

func TestFileByVariable(t *testing.T) {
	t.Setenv("VELTRIX_CONFIG", file(t, "prefix: one\n"))
	if c := mustLoad(t); c.Prefix != "one" {
		t.Errorf("prefix %q, want one", c.Prefix)
	}
	if c := mustLoad(t, "--config", file(t, "prefix: two\n")); c.Prefix != "two" {
		t.Errorf("prefix %q: the flag comes before the variable", c.Prefix)
	}
	t.Setenv("VELTRIX_CONFIG", "/nowhere/veltrix.yaml")
	wantText(t, refusal(t), "/nowhere/veltrix.yaml: cannot be read", "--config")
}

func TestLists(t *testing.T) {
	path := file(t, "kafka:\n  brokers: [a:1, b:2]\n")
	want := func(c *Config, brokers ...string) {
		t.Helper()
		if !slices.Equal(c.Kafka.Brokers, brokers) {
			t.Errorf("brokers %q, want %q", c.Kafka.Brokers, brokers)
		}
	}
	want(mustLoad(t, "--config", path), "a:1", "b:2")
	want(mustLoad(t, "--config", path, "--kafka-brokers", "c:3"), "c:3")
	want(mustLoad(t, "--kafka-brokers", "c:3", "--kafka-brokers", "d:4,e:5"), "c:3", "d:4", "e:5")
	t.Setenv("VELTRIX_KAFKA_BROKERS", "f:6, g:7")
	want(mustLoad(t, "--config", path), "f:6", "g:7")
	t.Setenv("VELTRIX_KAFKA_BROKERS", "f:6,,g:7")
	wantText(t, refusal(t), "env VELTRIX_KAFKA_BROKERS", `"f:6,,g:7"`, "empty element")
}

func TestAliasNamesItself(t *testing.T) {
	c := mustLoad(t, "--brokers", "x:9")
	if c.Kafka.Brokers[0] != "x:9" || c.Origin("kafka.brokers").String() != "flag --brokers" {
		t.Errorf("got %q from %q", c.Kafka.Brokers, c.Origin("kafka.brokers"))
	}
}

// TestViperTraps holds one case for each thing that viper does in silence.
func TestViperTraps(t *testing.T) {
	t.Run("every key is read from its variable", func(t *testing.T) {
		t.Setenv("VELTRIX_NOTIFIER_WEBHOOK_ALLOW", "10.0.0.0/8,fd00::/8")
		if c := mustLoad(t); !slices.Equal(c.Notifier.Webhook.Allow, []string{"10.0.0.0/8", "fd00::/8"}) {
			t.Errorf("got %q", c.Notifier.Webhook.Allow)
		}
	})
	t.Run("a bare number is no duration", func(t *testing.T) {
		wantText(t, refusal(t, "--config", file(t, "stop_timeout: 5\n")), "stop_timeout", `"5"`, "needs a unit", "5s", ":1")
		wantText(t, refusal(t, "--stop-timeout", "5"), "flag --stop-timeout", "needs a unit")
	})
	t.Run("a bare number is no size", func(t *testing.T) {
		wantText(t, refusal(t, "--processor-cache-bytes=64"), "needs a unit", "64MiB")
	})
	t.Run("a scalar does not hide a section", func(t *testing.T) {
		wantText(t, refusal(t, "--config", file(t, "redis: localhost:6379\n")), "redis", "is a section")
	})
	t.Run("no weak types", func(t *testing.T) {
		wantText(t, refusal(t, "--config", file(t, "redis:\n  cluster: 'false'\n")), "true or false, without quotes")
		wantText(t, refusal(t, "--config", file(t, "redis:\n  cluster: yes\n")), "true or false")
		wantText(t, refusal(t, "--config", file(t, "processor:\n  slots: 0x10\n")), "decimal")
		wantText(t, refusal(t, "--config", file(t, "processor:\n  slots: 010\n")), "decimal")
		wantText(t, refusal(t, "--config", file(t, "processor:\n  slots: 2.0\n")), "whole number")
		wantText(t, refusal(t, "--config", file(t, "prefix: 123\n")), "quotes")
		wantText(t, refusal(t, "--config", file(t, "kafka:\n  brokers: a:1,b:2\n")), "takes a list: [a:1,b:2]")
		wantText(t, refusal(t, "--config", file(t, "prefix: [a]\n")), "takes one value")
		wantText(t, refusal(t, "--redis-cluster=1"), "true or false")
	})
	t.Run("an empty variable is not unset", func(t *testing.T) {
		t.Setenv("VELTRIX_PROCESSOR_SLOTS", "")
		wantText(t, refusal(t), "VELTRIX_PROCESSOR_SLOTS", "is empty", "1 to 64")
	})
	t.Run("an empty variable is a value where nothing is one", func(t *testing.T) {
		t.Setenv("VELTRIX_RULES_FILE", "")
		if c := mustLoad(t, "--config", file(t, "rules:\n  file: a.yaml\n")); c.Rules.File != "" {
			t.Errorf("rules.file %q, want the variable's nothing", c.Rules.File)
		}
	})
	t.Run("an empty section is nothing", func(t *testing.T) {
		if c := mustLoad(t, "--config", file(t, "kafka:\nprefix: x\n")); c.Prefix != "x" || len(c.Kafka.Brokers) != 1 {
			t.Errorf("got %q %q", c.Prefix, c.Kafka.Brokers)
		}
		wantText(t, refusal(t, "--config", file(t, "prefix:\n")), "has no value")
	})
	t.Run("keys keep their case", func(t *testing.T) {
		wantText(t, refusal(t, "--config", file(t, "Prefix: x\n")), "Prefix is not a key; did you mean prefix?")
	})
	t.Run("a flag has no default of its own", func(t *testing.T) {
		if c := mustLoad(t, "--config", file(t, "processor:\n  leave_on_stop: false\n")); c.Processor.LeaveOnStop {
			t.Error("an unused flag hid the file")
		}
	})
}

func TestUnknownKeys(t *testing.T) {
	for text, want := range map[string]string{
		"kafka:\n  broker: [a:1]\n":           "kafka.broker is not a key; did you mean kafka.brokers?",
		"\n\nkafak:\n  brokers: [a:1]\n":      "kafak is not a key; did you mean kafka?",
		"brokers: [a:1]\n":                    "did you mean kafka.brokers?",
		"processor:\n  xyzzy: 1\n":            "processor.xyzzy is not a key",
		"kafka.brokers: [a:1]\n":              "kafka.brokers is not a key",
		"processor: {slots: 1, slots: 2}\n":   "processor.slots is given twice",
		"prefix: a\nprefix: b\n":              "prefix is given twice",
		"x: &x {slots: 1}\nprocessor: *x\n":   "x is not a key",
		"- prefix\n":                          "must be a mapping",
		"prefix: a\n---\nprefix: b\n":         "more than one document",
		"prefix: \"a\n":                       "is not YAML",
		"redis:\n  password: hunter2\n":       "is a secret",
		"kafka:\n  brokers: [a:1, 5]\n":       "list of texts",
		"kafka:\n  brokers: []\n":             "must be 1 to 64 of: host:port",
		"notifier:\n  webhook:\n    urk: x\n": "did you mean notifier.webhook.url?",
	} {
		err := refusal(t, "--config", file(t, text))
		wantText(t, err, want)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is in %q", err)
		}
	}
	wantText(t, refusal(t, "--config", file(t, "\n\nkafak:\n")), "veltrix.yaml:3:")
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if c := mustLoad(t, "--config", file(t, empty)); c.Prefix != "veltrix" {
			t.Errorf("empty file: prefix %q", c.Prefix)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Run("a mistyped one is refused", func(t *testing.T) {
		t.Setenv("VELTRIX_KAFKA_BROKER", "a:1")
		wantText(t, refusal(t), "env VELTRIX_KAFKA_BROKER", "did you mean VELTRIX_KAFKA_BROKERS?")
	})
	t.Run("another program's is remarked on", func(t *testing.T) {
		t.Setenv("VELTRIX_DASHBOARD_COLOUR", "red")
		c := mustLoad(t)
		if len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "VELTRIX_DASHBOARD_COLOUR") {
			t.Errorf("warnings %q", c.Warnings())
		}
	})
	t.Run("an orchestrator's are nobody's", func(t *testing.T) {
		for _, name := range []string{"SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"} {
			t.Setenv("VELTRIX_PRODUCER_"+name, "1")
		}
		if c := mustLoad(t); len(c.Warnings()) != 0 {
			t.Errorf("warnings %q", c.Warnings())
		}
	})
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Setenv("VELTRIX_LOG_LEVEL", "loud")
	path := file(t, "prefx: a\nprocessor:\n  slots: 65\nstop_timeout: 5\n")
	_, err := Load(command(t, "--config", path, "--metrics-listen", "nowhere").Flags())
	var all Errors
	if !errors.As(err, &all) || len(all) != 5 {
		t.Fatalf("want five errors, got %v", err)
	}
	wantText(t, err, "5 errors", "prefx", "processor.slots = \"65\" must be 1 to 64", "VELTRIX_LOG_LEVEL", "debug, info, warn, error", "--metrics-listen", path+":4")
	if all.ExitCode() != 78 {
		t.Errorf("exit code %d, want 78", all.ExitCode())
	}
}

func TestOverride(t *testing.T) {
	c := Default()
	if err := c.Override("redis.addrs", "unix:///tmp/r.sock", "embedded"); err != nil {
		t.Fatal(err)
	}
	if c.Redis.Addrs[0] != "unix:///tmp/r.sock" || c.Origin("redis.addrs").String() != "embedded" {
		t.Errorf("got %q from %q", c.Redis.Addrs, c.Origin("redis.addrs"))
	}
	if err := c.Override("start_timeout", "-1s", "test"); err == nil {
		t.Error("an override is bound as well")
	}
	if c.StartTimeout != time.Minute {
		t.Error("a refused override changes nothing")
	}
}
