package veltrixtest

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/rules"
)

// partitions is how many the events have. More than one, so that a sender that
// relies on an order among participants is found out.
const partitions = 4

// Options says which Veltrix to start.
type Options struct {
	// Rules is the path of the rules file, from the test's own directory.
	Rules string
	// Start is the first moment of the virtual clock; the zero Time is midnight
	// of 2026-01-01, UTC. Events further ahead of the clock than the rules'
	// max_ahead are refused as future: give the sender Now as its clock.
	Start time.Time
	// Seed makes the order that Reorder gives; the same seed, the same order.
	Seed uint64
}

// Veltrix is a running one. Its methods may be called from many goroutines;
// those that read fail the test where they cannot.
type Veltrix struct {
	t      testing.TB
	server *httptest.Server
	rules  *rules.Program

	mu      sync.Mutex
	now     time.Time
	random  *rand.Rand
	log     log
	faults  []*failure // asked for and not used up, in order
	oracles [partitions]*fold.Oracle
	folded  int // records of the log that were folded
	fates   []Event
	// arrivals are what became of the records, one for each that was folded.
	arrivals []arrival
	people   map[string]*person
}

// Start starts a Veltrix that ends with the test. It ends the test at once where
// the rules file cannot be loaded, and says every mistake in it.
func Start(t testing.TB, o Options) *Veltrix {
	t.Helper()
	program, err := rules.LoadFile(o.Rules)
	if err != nil {
		t.Fatalf("veltrixtest: %v", err)
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	v := &Veltrix{
		t: t, rules: program, now: o.Start.UTC(),
		random: rand.New(rand.NewPCG(o.Seed, 0x2545f4914f6cdd1d)), people: map[string]*person{},
	}
	f := fold.New(program, partitions)
	for p := range v.oracles {
		v.oracles[p] = fold.NewOracle(f, int32(p))
	}
	limits := config.Default().Producer
	gateway := ingest.New(ingest.Options{
		Appender: appender{v}, States: view{v}, Boards: view{v}, Trail: view{v}, Schema: program.Schema(), Now: v.Now,
		Limits: ingest.Limits{RequestBytesMax: int64(limits.MaxRequestBytes), BatchEventsMax: limits.MaxBatchEvents}, InflightBytesMax: int64(limits.MaxInflightBytes), Timeout: limits.RequestTimeout,
	})
	v.server = httptest.NewServer(edge{v, gateway})
	t.Cleanup(v.server.Close)
	return v
}

// URL is where the gateway listens, such as http://127.0.0.1:40123, without a
// slash at the end: events go to URL() + "/v1/events".
func (v *Veltrix) URL() string { return v.server.URL }

// Now is the virtual clock's time, in UTC: a method to give to a sender as its
// clock.
func (v *Veltrix) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Advance moves the virtual clock on by d. What is sent after it arrives then;
// what was held back until then is pushed. It may stand in for the sender's
// time.Sleep. A negative d ends the test: time does not go back.
func (v *Veltrix) Advance(d time.Duration) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if d < 0 {
		v.t.Fatalf("veltrixtest: Advance(%s): the clock only moves forward", d)
	}
	v.now = v.now.Add(d)
}

// view is what GET /v1/participants reads: the fold of everything accepted, and
// so never behind.
type view struct{ v *Veltrix }

// Participant implements ingest.StateReader.
func (r view) Participant(_ context.Context, id string) (*ingest.Participant, error) {
	r.v.mu.Lock()
	defer r.v.mu.Unlock()
	if err := r.v.catchUp(); err != nil {
		return nil, err
	}
	return r.v.participant(id), nil
}
