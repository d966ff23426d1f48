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
	scopeFaults  = flag.Int("scope-faults", 1, "faults in each run of the exhaustive search")
	scopeRecords = flag.Int("scope-records", 2, "records in the exhaustive search")
	scopeStop    = flag.Duration("scope-stop", time.Hour, "stop the exhaustive search after this time")
)

// TestExhaustively tries every order and every place of a fault in a small
// world.
func TestExhaustively(t *testing.T) {
	for _, slots := range []int{1, 2} {
		for _, cache := range []int{0, 1 << 20} {
			scope := enginetest.Scope{Slots: slots, Records: *scopeRecords, Faults: *scopeFaults, CacheBytes: cache, Stop: *scopeStop}
			began := time.Now()
			got, err := enginetest.Exhaust(scope)
			if err != nil {
				var v *enginetest.Violation
				if errors.As(err, &v) {
					t.Log(strings.Join(v.Trace, "\n"))
				}
				t.Fatal(err)
			}
			t.Logf("%d processes, 1 partition, %d records, up to %d faults, %d bytes of cache: %s, 0 violations, %.1f s",
				slots, scope.Records, scope.Faults, cache, got, time.Since(began).Seconds())
		}
	}
}
