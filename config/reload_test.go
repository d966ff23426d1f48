package config

import (
	"errors"
	"os"
	"testing"
)

// TestReload changes a file under a configuration that was loaded from it.
func TestReload(t *testing.T) {
	secret := file(t, "one")
	path := file(t, "log: {level: info}\nprocessor: {slots: 2}\nredis: {password_file: "+secret+"}\nnotifier: {pushes_max: 5}\n")
	first := mustLoad(t, "--config="+path, "--notifier-pushes-window=2h")
	if err := first.Override("prefix", "own", "veltrix up"); err != nil {
		t.Fatal(err)
	}
	rewrite := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(secret, "two")
	rewrite(path, "log: {level: debug}\nprocessor: {slots: 4}\nredis: {password_file: "+secret+"}\nnotifier: {pushes_window: 3h}\n")
	second, taken, waiting, err := first.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if len(taken) != 2 || taken[0] != (Change{"notifier.pushes_max", "5", "60", false}) || taken[1] != (Change{"log.level", "info", "debug", false}) {
		t.Errorf("taken over: %v", taken)
	}
	if len(waiting) != 2 || waiting[0] != (Change{"redis.password", "redacted", "redacted", true}) || waiting[1] != (Change{"processor.slots", "2", "4", true}) {
		t.Errorf("waiting for a restart: %v", waiting)
	}
	if second.Log.Level != "debug" || second.Notifier.PushesMax != 60 || second.Explicit("notifier.pushes_max") || second.Origin("log.level").Line != 1 {
		t.Errorf("the new values are not in force: %s", second)
	}
	if second.Processor.Slots != 2 || second.Redis.Password.Reveal() != "one" || second.Prefix != "own" || second.Notifier.PushesWindow.Hours() != 2 {
		t.Errorf("what waits, was decided by the command or by a flag is not as it was: %s", second)
	}
	if first.Log.Level != "info" || first.Origin("notifier.pushes_max").Kind != "file" {
		t.Error("the configuration that was in force is another one now")
	}
	// What waits still does at the next time, and a file that was put back changes nothing.
	if _, taken, waiting, err := second.Reload(); err != nil || len(taken) != 0 || len(waiting) != 2 {
		t.Errorf("again: %v, %v, %v", taken, waiting, err)
	}
}

func TestReloadRefuses(t *testing.T) {
	path := file(t, "producer: {max_request_bytes: 1MiB, max_inflight_bytes: 2MiB}\n")
	c := mustLoad(t, "--config="+path)
	for text, want := range map[string]string{
		"log: {level: loud}\nprodcuer: {slots: 1}\n": "did you mean",
		// Each for itself is right; together with what waits for a restart it is not.
		"producer: {max_request_bytes: 8MiB, max_inflight_bytes: 16MiB}\n": "at most producer.max_inflight_bytes (2MiB)",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		next, _, _, err := c.Reload()
		var all Errors
		if next != nil || !errors.As(err, &all) {
			t.Fatalf("%q gives %v, %v", text, next, err)
		}
		wantText(t, err, want)
	}
	if _, _, _, err := Default().Reload(); err == nil {
		t.Error("what was not loaded is loaded again")
	}
}
