package broker

import (
	"os"
	"sync"
	"testing"
)

var shared struct {
	sync.Mutex
	dir     string
	cluster *Cluster
	err     error
}

// Shared returns a one-node cluster that all tests of one test binary share:
// each uses topics, groups and transactional IDs of its own. The package's
// TestMain must end with os.Exit(broker.Run(m)).
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.dir, shared.err = os.MkdirTemp("", "veltrix-kafka-")
		if shared.err == nil {
			shared.cluster, shared.err = StartDir(shared.dir, Options{})
		}
	}
	if shared.err != nil {
		t.Fatalf("start a real Kafka: %v", shared.err)
	}
	return shared.cluster
}

// Run runs a test binary's tests and then ends its shared cluster, if one was
// started. It returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil {
		shared.cluster.Stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	return code
}
