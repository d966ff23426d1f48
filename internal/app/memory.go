package app

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/veltrix/veltrix/config"
)

// heapPercent is how much garbage may gather beside what lives before it is
// collected, in percent. At Go's 100 a processor at full speed spends a fifth more
// CPU: while the collector marks, each copy of a state costs its write barriers.
const heapPercent = 400

// heapBesides is what a processor takes beside its cache, at full speed: fetched
// records, what two batches leave to be written over, their outputs, the clients.
const heapBesides = 256 << 20

// MemoryLimit is what the heap of a process with processors grows to before garbage
// is collected sooner, in bytes: the cache twice, since what is written over counts
// until it is collected, and what is beside it.
func MemoryLimit(cfg *config.Config) int64 {
	cache := int64(cfg.Processor.CacheBytes)
	if cache > (math.MaxInt64-heapBesides)/2 {
		return math.MaxInt64
	}
	return 2*cache + heapBesides
}

// BoundMemory sets the collector of this process by that. Where GOGC or GOMEMLIMIT
// say something else, that stands.
func BoundMemory(cfg *config.Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(MemoryLimit(cfg))
	}
}
