package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

const structured = "application/cloudevents+json; charset=UTF-8"

// event is what one participant did. Its number is its place in time.
type event struct {
	number int
	who    int
	n      int64
}

func participantName(i int) string { return fmt.Sprintf("player-%d", i) }

func (e *event) id() string { return fmt.Sprintf("e%d", e.number) }

// begin is when the first event of every schedule happened.
var begin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (e *event) json() []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/chaos","type":"counted","time":%q,"partitionkey":%q,"datacontenttype":"application/json","data":{"n":%d}}`,
		e.id(), begin.Add(time.Duration(e.number)*time.Second).Format(time.RFC3339), participantName(e.who), e.n)
}

// spread is how many places an event that is out of order comes late at most,
// and a duplicate after its first.
const spread = 300

// events makes a load from its seed: in the order of time, and in the order in
// which they are sent, with duplicates.
func (l *Load) events(seed uint64) (all []event, order []int) {
	random := rand.New(rand.NewPCG(seed, 0x5eed))
	all = make([]event, l.Events)
	type sending struct{ at, number int }
	var sent []sending
	for i := range all {
		all[i] = event{number: i, who: random.IntN(l.Participants), n: random.Int64N(1000)}
		at := i
		if random.IntN(100) < int(l.Disorder) {
			at += random.IntN(spread)
		}
		sent = append(sent, sending{at, i})
		if random.IntN(100) < int(l.Duplicates) {
			sent = append(sent, sending{at + random.IntN(spread), i})
		}
	}
	slices.SortStableFunc(sent, func(a, b sending) int { return a.at - b.at })
	for _, s := range sent {
		order = append(order, s.number)
	}
	return all, order
}

// feeder sends a load at its rate, without waiting for one event before the
// next.
type feeder struct {
	topic      string
	client     *kgo.Client
	all        []event
	order      []int
	rate       int
	partitions atomic.Int32 // as its senders believe

	stopped  atomic.Bool
	finished chan struct{}

	mu     sync.Mutex
	acked  map[int]bool // numbers of events that the brokers have
	failed error        // the first
	began  time.Time
}

const burstEvery = 20 * time.Millisecond

func (f *feeder) start(ctx context.Context) {
	f.began = time.Now()
	go func() {
		defer close(f.finished)
		var under sync.WaitGroup
		next := 0
		for next < len(f.order) && ctx.Err() == nil && !f.stopped.Load() {
			due := min(len(f.order), 1+int(time.Since(f.began).Seconds()*float64(f.rate)))
			// A stalled broker is made up for, but not at once.
			due = min(due, next+4*max(1, f.rate/int(time.Second/burstEvery)))
			for ; next < due; next++ {
				e := &f.all[f.order[next]]
				under.Add(1)
				f.client.Produce(ctx, f.record(e), func(_ *kgo.Record, err error) {
					defer under.Done()
					f.answered(e.number, err)
				})
			}
			time.Sleep(burstEvery)
		}
		under.Wait()
	}()
}

func (f *feeder) record(e *event) *kgo.Record {
	key := []byte(participantName(e.who))
	return &kgo.Record{
		Topic: f.topic, Key: key, Value: e.json(), Partition: wire.PartitionFor(key, f.partitions.Load()),
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(structured)}},
	}
}

func (f *feeder) answered(number int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.acked[number] = true
	} else if f.failed == nil && !f.stopped.Load() {
		f.failed = err
	}
}

// halt ends the load before its time, and waits until all that was sent has its
// answer.
func (f *feeder) halt() {
	f.stopped.Store(true)
	<-f.finished
}

func (f *feeder) done() bool {
	select {
	case <-f.finished:
		return true
	default:
		return false
	}
}
