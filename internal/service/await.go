package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// The waits between two tries of Await: they double from the first to the
// last, and each is drawn between half and the whole of it, so that a fleet
// that lost its brokers does not come back in step.
const (
	awaitFirst   = 100 * time.Millisecond
	awaitLast    = 5 * time.Second
	awaitAttempt = 10 * time.Second // the longest that one try may take
)

type permanentError struct{ error }

func (p permanentError) Unwrap() error { return p.error }

// Permanent marks an error that trying again cannot mend, such as a refused
// password. Await returns it at once.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// Await calls try until it succeeds. It writes one line when the first try
// fails and one when a later one succeeds, and gives up after timeout, with
// the last error; timeout 0 tries once. what completes "waiting for …" and
// names the place, such as "kafka at 127.0.0.1:9092".
func Await(ctx context.Context, log *slog.Logger, what string, timeout time.Duration, try func(ctx context.Context) error) error {
	start := time.Now()
	deadline := start.Add(timeout)
	wait := awaitFirst
	for tries := 1; ; tries++ {
		err := attempt(ctx, deadline, timeout, try)
		if err == nil {
			if tries > 1 {
				log.Info("reached "+what, "tries", tries, "after", time.Since(start).Round(time.Millisecond).String())
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
		if permanent := (permanentError{}); errors.As(err, &permanent) {
			return fmt.Errorf("reach %s: %w", what, err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("reach %s: no answer within start_timeout (%s): %w", what, timeout, err)
		}
		if tries == 1 {
			log.Warn("waiting for "+what, "for_at_most", timeout.String(), "error", err.Error())
		}
		pause := time.NewTimer(min(wait/2+rand.N(wait/2), left))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		wait = min(2*wait, awaitLast)
	}
}

// attempt makes one try, bounded by the deadline, but for at least a second so
// that a try can succeed at all.
func attempt(ctx context.Context, deadline time.Time, timeout time.Duration, try func(ctx context.Context) error) error {
	most := awaitAttempt
	if timeout > 0 {
		most = min(awaitAttempt, max(time.Until(deadline), time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return try(ctx)
}
