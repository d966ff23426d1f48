package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("connection refused")

func TestAwaitRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tries, start := 0, time.Now()
		err := Await(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), "redis at a:1", time.Minute, func(context.Context) error {
			tries++
			if time.Since(start) < 30*time.Second {
				return errAway
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if tries < 8 || tries > 20 {
			t.Errorf("%d tries in 30 s: the waits should grow to 5 s", tries)
		}
		if lines := strings.Count(out.String(), "\n"); lines != 2 {
			t.Errorf("%d lines, want one that waits and one that arrived:\n%s", lines, out.String())
		}
		for _, part := range []string{"waiting for redis at a:1", "connection refused", "reached redis at a:1"} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the log does not say %q:\n%s", part, out.String())
			}
		}
	})
}

func TestAwaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := Await(t.Context(), slog.New(slog.DiscardHandler), "kafka at a:1", time.Minute, func(context.Context) error { return errAway })
		if !errors.Is(err, errAway) || !strings.Contains(err.Error(), "start_timeout (1m0s)") || ExitCode(err) != 1 {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > 61*time.Second {
			t.Errorf("gave up after %s", took)
		}
	})
}

func TestAwaitBoundsATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, start := 0, time.Now()
		err := Await(t.Context(), slog.New(slog.DiscardHandler), "x", 25*time.Second, func(ctx context.Context) error {
			tries++
			<-ctx.Done()
			return ctx.Err()
		})
		if err == nil || tries < 3 || time.Since(start) > 27*time.Second {
			t.Errorf("%d tries in %s: %v", tries, time.Since(start), err)
		}
	})
}

func TestAwaitOnceAndPermanent(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		err     error
	}{
		"timeout 0 tries once":      {0, errAway},
		"a permanent error is last": {time.Minute, Permanent(errAway)},
	} {
		tries := 0
		err := Await(t.Context(), slog.New(slog.DiscardHandler), "x", c.timeout, func(context.Context) error {
			tries++
			return c.err
		})
		if !errors.Is(err, errAway) || tries != 1 {
			t.Errorf("%s: %v after %d tries", name, err, tries)
		}
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("stopped by signal: interrupt")
		time.AfterFunc(3*time.Second, func() { cancel(why) })
		start := time.Now()
		err := Await(ctx, slog.New(slog.DiscardHandler), "x", time.Hour, func(context.Context) error { return errAway })
		if !errors.Is(err, why) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}
