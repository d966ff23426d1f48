package enginetest_test

import (
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

func TestSimulatedStore(t *testing.T) {
	enginetest.StoreSuite(t, func(*testing.T) engine.Store { return enginetest.NewStore(2) })
}
