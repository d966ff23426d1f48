package deliverytest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// SuiteRetry is the one retry topic that a LogSite has.
const SuiteRetry = "notify.retry.1m"

// LogSite is a log under test: topics of two partitions and one group.
type LogSite interface {
	// Add appends a committed notification to a partition.
	Add(t *testing.T, n *delivery.Notification, partition int32)
	Join(t *testing.T, holder delivery.Holder) delivery.Source
	Writer(t *testing.T) delivery.Receipts
}

// LogSuite checks a source with its receipts. make returns an empty one.
func LogSuite(t *testing.T, make func(t *testing.T) LogSite) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, LogSite){
		"a group begins with the oldest record and goes on behind its commit": logGoesOn,
		"a paused partition brings nothing until it is resumed":               logPause,
		"what is parked comes back as it was":                                 logPark,
		"leaving revokes everything that was assigned":                        logLeave,
		"an end of patience is no error":                                      logPatience,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

// member is a holder that notes what it holds.
type member struct {
	mu   sync.Mutex
	held map[delivery.TopicPartition]bool
	all  chan struct{} // closed when all four partitions are held
}

func newMember() *member {
	return &member{held: map[delivery.TopicPartition]bool{}, all: make(chan struct{})}
}

func (m *member) Assigned(parts []delivery.TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tp := range parts {
		m.held[tp] = true
	}
	if len(m.held) == 4 {
		close(m.all)
	}
}

func (m *member) Lost(parts []delivery.TopicPartition) { m.Revoked(parts) }
func (m *member) Revoked(parts []delivery.TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tp := range parts {
		delete(m.held, tp)
	}
}

// gather polls until count records came, and returns them as "partition/offset ID".
func gather(t *testing.T, s delivery.Source, count int) (out []string, last map[delivery.TopicPartition]delivery.Fetch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	last = map[delivery.TopicPartition]delivery.Fetch{}
	for len(out) < count {
		fetches, err := s.Poll(ctx, 100)
		s.Release()
		if err != nil || ctx.Err() != nil {
			t.Fatalf("after %v: %v, %v", out, err, ctx.Err())
		}
		for _, f := range fetches {
			last[f.TopicPartition] = f
			for i := range f.Records {
				n, err := delivery.Decode(&f.Records[i])
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, fmt.Sprint(f.Partition, " ", n.ID[31:]))
			}
		}
	}
	return out, last
}

// quiet reports that nothing comes for a while.
func quiet(t *testing.T, s delivery.Source) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		fetches, err := s.Poll(ctx, 100)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fetches {
			if len(f.Records) > 0 {
				t.Fatalf("%v brought %d records", f.TopicPartition, len(f.Records))
			}
		}
	}
}

func logGoesOn(t *testing.T, site LogSite) {
	for i := 1; i <= 3; i++ {
		site.Add(t, Note("a", i), 1)
	}
	tp := delivery.TopicPartition{Topic: delivery.NotificationsTopic, Partition: 1}
	s := site.Join(t, newMember())
	got, last := gather(t, s, 3)
	if want := []string{"1 1", "1 2", "1 3"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	f := last[tp]
	if at := f.Records[len(f.Records)-1].Offset; f.Next <= at || f.End < f.Next {
		t.Errorf("behind offset %d the position is %d of %d", at, f.Next, f.End)
	}
	if f.Records[0].Partition != 1 || string(f.Records[0].Key) != "a" {
		t.Errorf("the record is %+v", f.Records[0])
	}
	if err := s.Commit(t.Context(), map[delivery.TopicPartition]int64{tp: f.Records[len(f.Records)-1].Offset}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = site.Join(t, newMember())
	defer s.Close()
	if got, _ := gather(t, s, 1); !reflect.DeepEqual(got, []string{"1 3"}) {
		t.Errorf("the next member read %v, want what was not committed", got)
	}
}

func logPause(t *testing.T, site LogSite) {
	site.Add(t, Note("a", 1), 0)
	s := site.Join(t, newMember())
	defer s.Close()
	gather(t, s, 1)
	tp := delivery.TopicPartition{Topic: delivery.NotificationsTopic}
	s.Pause(tp)
	site.Add(t, Note("a", 2), 0)
	quiet(t, s)
	site.Add(t, Note("b", 3), 1)
	if got, _ := gather(t, s, 1); !reflect.DeepEqual(got, []string{"1 3"}) {
		t.Errorf("beside the paused partition came %v", got)
	}
	s.Resume(tp)
	if got, _ := gather(t, s, 1); !reflect.DeepEqual(got, []string{"0 2"}) {
		t.Errorf("after the pause came %v", got)
	}
}

func logPark(t *testing.T, site LogSite) {
	w := site.Writer(t)
	n := Note("a", 7)
	n.HoldMS, n.Expires = 3000, n.Arrival.Add(time.Hour)
	want := delivery.Parked{
		Notification: *n, Partition: 1, Channel: "webhook", Target: "t", Attempt: 3,
		NotBefore: n.Arrival.Add(time.Minute), InboxOffset: 12,
	}
	if err := w.Park(t.Context(), SuiteRetry, want); err != nil {
		t.Fatal(err)
	}
	w.Write(delivery.Receipt{Notification: n.ID, Channel: "webhook", Outcome: delivery.OutRetried, Partition: 1, At: n.Arrival})
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := site.Join(t, newMember())
	defer s.Close()
	_, last := gather(t, s, 1)
	f, ok := last[delivery.TopicPartition{Topic: SuiteRetry, Partition: 1}]
	if !ok {
		t.Fatalf("it came from %v", last)
	}
	got, err := delivery.DecodeParked(&f.Records[0])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if age := time.Since(time.UnixMicro(f.Records[0].Timestamp)); age < -time.Second || age > time.Minute {
		t.Errorf("the record's own time is %v ago: its wait is counted from there", age)
	}
}

func logLeave(t *testing.T, site LogSite) {
	m := newMember()
	s := site.Join(t, m)
	quiet(t, s)
	for range 50 {
		select {
		case <-m.all:
		default:
			quiet(t, s)
			continue
		}
		break
	}
	s.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.all:
	default:
		t.Errorf("not all partitions were ever assigned: %v", m.held)
	}
	if len(m.held) != 0 {
		t.Errorf("still held after leaving: %v", m.held)
	}
}

func logPatience(t *testing.T, site LogSite) {
	s := site.Join(t, newMember())
	defer s.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if fetches, err := s.Poll(over, 10); err != nil || len(fetches) != 0 {
		t.Errorf("%v, %v", fetches, err)
	}
	s.Release()
}
