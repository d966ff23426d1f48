package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

const (
	brokers = 3
	heapMiB = 384
	jobsMax = 4

	// Each schedule at work has lanes of its own, so that what happens to one
	// network happens to one schedule. Lane 0 is the brokers' own.
	processorLanes = 3
	lanesEach      = processorLanes + 1 // and one of the notifiers
)

// Env is what all schedules share: the brokers, the relays before them, and the
// commands under test.
type Env struct {
	Dir string // of logs and data
	// Keep leaves a schedule's files although it passed.
	Keep bool
	Log  func(format string, args ...any)

	cluster  *broker.Cluster
	relays   [][]*relay.Relay // by node, by lane
	client   *kgo.Client
	admin    *kadm.Client
	binaries string
	// Schedules that hit the brokers run alone.
	alone sync.RWMutex
	lanes chan int // the first lane of each schedule that could run now
	count int      // of schedules so far, for their names
	mu    sync.Mutex
}

// Start builds the commands and starts the brokers, in a directory that the
// caller removes, with room for so many schedules at the same time.
func Start(dir string, jobs int) (_ *Env, err error) {
	if jobs < 1 || jobs > jobsMax {
		return nil, fmt.Errorf("schedules run 1 to %d at a time, not %d", jobsMax, jobs)
	}
	e := &Env{Dir: dir, Log: func(string, ...any) {}, lanes: make(chan int, jobs)}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if err := e.build(); err != nil {
		return nil, err
	}
	for job := range jobs {
		e.lanes <- 1 + job*lanesEach
	}
	e.relays = make([][]*relay.Relay, brokers)
	e.cluster, err = broker.StartDir(dir, broker.Options{
		Nodes: brokers, HeapMiB: heapMiB, Lanes: 1 + jobs*lanesEach, Advertise: e.advertise,
		// A restarted broker's replicas are in sync again soon.
		Config: map[string]string{"replica.lag.time.max.ms": "5000", "group.initial.rebalance.delay.ms": "0"},
	})
	if err != nil {
		return nil, err
	}
	e.client, err = kgo.NewClient(
		kgo.SeedBrokers(e.cluster.Addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.ProducerBatchMaxBytes(1_048_576),
	)
	if err != nil {
		return nil, err
	}
	e.admin = kadm.NewClient(e.client)
	return e, nil
}

// build builds the commands as they are shipped, without the race detector.
func (e *Env) build() error {
	e.binaries = filepath.Join(e.Dir, "bin")
	list, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module's directory: %w", err)
	}
	cmd := exec.Command("go", "build", "-o", e.binaries+"/", "./cmd/processor", "./cmd/notifier", "./cmd/veltrix")
	cmd.Dir = strings.TrimSpace(string(list))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w: %s", err, out)
	}
	return nil
}

// advertise puts a relay before a broker's lane.
func (e *Env) advertise(node, lane int, listens string) (string, error) {
	r, err := relay.Start("tcp", listens)
	if err != nil {
		return "", err
	}
	if lane == 0 { // of an attempt whose ports were taken
		for _, old := range e.relays[node-1] {
			old.Close()
		}
		e.relays[node-1] = nil
	}
	e.relays[node-1] = append(e.relays[node-1], r)
	return r.Addr, nil
}

// lane returns the relays of a lane before one broker, or before all of them.
func (e *Env) lane(number, broker int) (all []*relay.Relay) {
	for node, lanes := range e.relays {
		if broker == 0 || broker == node+1 {
			all = append(all, lanes[number])
		}
	}
	return all
}

// Close ends everything that the environment started.
func (e *Env) Close() {
	if e.client != nil {
		e.client.Close()
	}
	if e.cluster != nil {
		e.cluster.Stop()
	}
	for _, lanes := range e.relays {
		for _, r := range lanes {
			r.Close()
		}
	}
}

// Run runs one schedule. The error is of the harness; what the schedule found
// is in the result.
func (e *Env) Run(ctx context.Context, s *Schedule) (*Result, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.hitsBrokers() {
		e.alone.Lock()
		defer e.alone.Unlock()
	} else {
		e.alone.RLock()
		defer e.alone.RUnlock()
	}
	lane := <-e.lanes
	defer func() { e.lanes <- lane }()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e.mu.Lock()
	e.count++
	name := fmt.Sprintf("chaos-%d-%d", os.Getpid(), e.count)
	e.mu.Unlock()
	r := newRun(e, s, name, lane)
	result, err := r.play(ctx)
	closeErr := r.close(context.WithoutCancel(ctx))
	if result != nil && result.Passed && err == nil && !e.Keep {
		os.RemoveAll(r.dir)
	}
	return result, errors.Join(err, closeErr)
}

func (s *Schedule) hitsBrokers() bool {
	for i := range s.Steps {
		if s.Steps[i].touchesBrokers() {
			return true
		}
	}
	return false
}
