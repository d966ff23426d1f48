package enginetest_test

import (
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

func TestSnapshotsInMemory(t *testing.T) {
	t.Parallel()
	enginetest.SnapshotSuite(t, func(*testing.T) func() engine.Snapshots {
		s := enginetest.NewSnapshots()
		return func() engine.Snapshots { return s }
	})
}
