package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// PlayOptions say how schedules are played.
type PlayOptions struct {
	Dir    string // of logs and data; exists
	Jobs   int
	Keep   bool
	Log    func(format string, args ...any) // nil: silent
	Result func(*Result)                    // nil; told of each result as it comes, one at a time
}

// Play starts the brokers, runs schedules and ends the brokers. Results are in
// the schedules' order; one that could not be run is left out, with an error.
func Play(ctx context.Context, o PlayOptions, schedules []*Schedule) ([]*Result, error) {
	env, err := Start(o.Dir, o.Jobs)
	if err != nil {
		return nil, err
	}
	defer func() {
		env.Close()
		for _, name := range []string{"bin", "kafka-1", "kafka-2", "kafka-3"} {
			os.RemoveAll(filepath.Join(o.Dir, name))
		}
	}()
	env.Keep = o.Keep
	if o.Log != nil {
		env.Log = o.Log
	}
	return env.PlayAll(ctx, o.Jobs, schedules, o.Result)
}

// PlayAll runs schedules on brokers that run already.
func (e *Env) PlayAll(ctx context.Context, jobs int, schedules []*Schedule, tell func(*Result)) ([]*Result, error) {
	results := make([]*Result, len(schedules))
	errs := make([]error, len(schedules))
	slots := make(chan struct{}, jobs)
	var wait sync.WaitGroup
	var telling sync.Mutex
	for i, s := range schedules {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			results[i], errs[i] = e.Run(ctx, s)
			telling.Lock()
			defer telling.Unlock()
			if results[i] != nil && tell != nil {
				tell(results[i])
			}
		})
	}
	wait.Wait()
	var done []*Result
	for _, r := range results {
		if r != nil {
			done = append(done, r)
		}
	}
	return done, errors.Join(errors.Join(errs...), context.Cause(ctx))
}
