package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

// exhaust searches small worlds of two processes and one partition whole: with
// states that stay cached, and with states that are loaded for every batch.
func exhaust(list string, out, errOut io.Writer) int {
	for _, text := range strings.Split(list, ",") {
		scope := enginetest.Scope{Slots: 2}
		if n, err := fmt.Sscanf(text, "%d/%d", &scope.Records, &scope.Faults); n != 2 || err != nil || scope.Records < 1 {
			_, _ = fmt.Fprintf(errOut, "sim: %q is no small world: records/faults, as in 3/1\n", text)
			return 2
		}
		if !exhaustBoth(scope, out) {
			return 1
		}
	}
	return 0
}

// exhaustBoth searches a scope with and without a cache, side by side.
func exhaustBoth(scope enginetest.Scope, out io.Writer) bool {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // runs are thrown away by the million
	var mu sync.Mutex
	var wait sync.WaitGroup
	whole := true
	for name, bytes := range map[string]int{"cached": 1 << 20, "loaded each time": 0} {
		wait.Go(func() {
			scope, began := scope, time.Now()
			scope.CacheBytes = bytes
			got, err := enginetest.Exhaust(scope)
			mu.Lock()
			defer mu.Unlock()
			_, _ = fmt.Fprintf(out, "2 processes, 1 partition, %d records, up to %d faults in a run, states %s: ", scope.Records, scope.Faults, name)
			var v *enginetest.Violation
			if errors.As(err, &v) {
				whole = false
				_, _ = fmt.Fprintf(out, "VIOLATION after %s: %v\n", got, v.Err)
				writeLines(out, v.Trace)
				return
			}
			_, _ = fmt.Fprintf(out, "%s, %.1f s: 0 violations\n", got, time.Since(began).Seconds())
		})
	}
	wait.Wait()
	return whole
}
