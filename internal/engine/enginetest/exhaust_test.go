package enginetest_test

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

var (
	scopeSlots   = flag.Int("scope-slots", 2, "processes in the exhaustive search")
	scopeRecords = flag.Int("scope-records", 1, "records in the exhaustive search")
	scopeFaults  = flag.Int("scope-faults", 1, "faults in each run of the exhaustive search")
	scopeStop    = flag.Duration("scope-stop", time.Hour, "stop the exhaustive search after this time")
)

// TestExhaustively tries every order, and every place of a fault, in a small
// world.
func TestExhaustively(t *testing.T) {
	for name, cache := range map[string]int{"cached": 1 << 20, "uncached": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scope := enginetest.Scope{Slots: *scopeSlots, Records: *scopeRecords, Faults: *scopeFaults, CacheBytes: cache, Stop: *scopeStop}
			began := time.Now()
			got, err := enginetest.Exhaust(scope)
			var v *enginetest.Violation
			if errors.As(err, &v) {
				t.Fatalf("%v\n%s", v, strings.Join(v.Trace, "\n"))
			}
			t.Logf("%d processes, 1 partition, %d records, up to %d faults, %s: %s, 0 violations, %.1f s",
				scope.Slots, scope.Records, scope.Faults, name, got, time.Since(began).Seconds())
		})
	}
}
