package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	watchEvery = 50 * time.Millisecond
	endsEvery  = 5 // looks at K and R for each at the ends
	askTimeout = 3 * time.Second
	// settledAfter is how long after a fault K may still move by what was on its
	// way already.
	settledAfter = 20 * time.Millisecond
)

// place is where one partition stands. Only grows: what goes back is the
// verification's business, and recovery is beyond the highest that was.
type place struct {
	committed, applied, end int64
}

// watch looks at K, R and the ends all the time, and measures for each injected
// fault how long it takes until they move again.
type watch struct {
	r      *run
	mu     sync.Mutex
	places []place
	looked time.Time // the beginning of the last complete look
	open   []*injection
}

// injection is one fault that happened.
type injection struct {
	Fault    string        `json:"fault"` // its row in the table
	At       time.Duration `json:"at"`    // since the load began
	Lasted   time.Duration `json:"lasted"`
	Recovery time.Duration `json:"recovery"` // until all partitions advanced past what they were; 0: nothing was left to do

	r         *run
	began     time.Time
	before    []place
	fresh     bool // before is of after the fault
	recovered bool
}

// inject notes that a fault has happened just now.
func (r *run) inject(f *Fault, p Params) *injection {
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	i := &injection{Fault: f.label(p), r: r, began: time.Now(), At: time.Since(r.feeder.began), before: append([]place(nil), w.places...)}
	w.open = append(w.open, i)
	r.env.Log("%s: %6.2fs %s %v", r.s.Name, i.At.Seconds(), f.Name, p)
	return i
}

// over notes that the fault has ended; its recovery may not have.
func (i *injection) over() {
	i.r.watch.mu.Lock()
	defer i.r.watch.mu.Unlock()
	if i.Lasted == 0 {
		i.Lasted = time.Since(i.began)
	}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		w.look(ctx, n%endsEvery == 0)
		_ = sleep(ctx, watchEvery) // an end of ctx ends the loop
	}
}

// look takes one look. What does not answer has not moved.
func (w *watch) look(ctx context.Context, ends bool) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	fed := w.r.feeder.done() // before the ends are asked for
	committed, err := w.r.committed(ctx)
	applied := w.r.applied(ctx)
	var end []int64
	if ends {
		end = w.r.ends(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.places {
		at := &w.places[p]
		at.committed = max(at.committed, committed[int32(p)])
		at.applied = max(at.applied, applied[p])
		if end != nil {
			at.end = max(at.end, end[p])
		}
	}
	if err == nil {
		w.looked = began
	}
	for _, i := range w.open {
		i.compare(w.places, began, err == nil, fed && ends && end != nil)
	}
}

// compare holds a look against what an injection began with.
func (i *injection) compare(now []place, looked time.Time, whole, fed bool) {
	if i.recovered {
		return
	}
	since := looked.Sub(i.began)
	if !i.fresh && whole && since >= settledAfter && since < 300*time.Millisecond {
		for p := range i.before { // R is that of before the fault: it may have gone back
			i.before[p].committed = now[p].committed
		}
		i.fresh = true
		return
	}
	waited := false
	for p := range now {
		before, at := &i.before[p], &now[p]
		if fed && at.committed >= at.end && at.applied >= at.end {
			waited = waited || before.committed < at.end
			continue
		}
		if at.committed <= before.committed || at.applied <= before.applied {
			return
		}
		waited = true
	}
	i.recovered = true
	if waited {
		i.Recovery = time.Since(i.began)
	}
}

// sum adds the committed offsets up.
func (w *watch) sum() (committed int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		committed += p.committed
	}
	return committed
}

func (w *watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for p, at := range w.places {
		text += fmt.Sprintf(" %d: K %d, R %d, end %d;", p, at.committed, at.applied, at.end)
	}
	return text
}

// committed asks for K without waiting for what is undecided: a look must not
// stand still where the pipeline does.
func (r *run) committed(ctx context.Context) (map[int32]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = r.kafka.ProcessorGroup()
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic = r.kafka.Topic("events")
	for p := range r.s.Topology.Partitions {
		topic.Partitions = append(topic.Partitions, p)
	}
	group.Topics = append(group.Topics, topic)
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, r.asking)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 {
					found[p.Partition] = max(p.Offset, 0)
				}
			}
		}
	}
	if len(found) < int(r.s.Topology.Partitions) {
		return found, errors.New("not every partition has an answer")
	}
	return found, nil
}

// applied asks Redis for R; -1 where it does not say.
func (r *run) applied(ctx context.Context) []int64 {
	out := make([]int64, r.s.Topology.Partitions)
	for p := range out {
		out[p] = -1
		if meta, err := r.state.Meta(ctx, int32(p)); err == nil && meta.Exists {
			out[p] = meta.Applied
		}
	}
	return out
}

// ends asks for the high watermarks; nil where not all of them answer.
func (r *run) ends(ctx context.Context) []int64 {
	listed, err := r.asks.ListEndOffsets(ctx, r.kafka.Topic("events"))
	if err != nil || listed.Error() != nil {
		return nil
	}
	out := make([]int64, r.s.Topology.Partitions)
	for p := range out {
		o, ok := listed.Lookup(r.kafka.Topic("events"), int32(p))
		if !ok {
			return nil
		}
		out[p] = o.Offset
	}
	return out
}

// newAsking returns a client that gives up soon.
func (r *run) newAsking() (*kgo.Client, error) {
	return kgo.NewClient(r.kafka.Options(kgo.RetryTimeout(askTimeout), kgo.MetadataMinAge(100*time.Millisecond))...)
}
