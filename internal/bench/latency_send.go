package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// schedule is that of an open loop: an event has its time before anybody knows
// how the one before it fares. What is measured counts from that time, also where
// the sender or the broker was behind.
type schedule struct {
	start time.Time
	rate  float64 // events/s
}

// due is when event number i, from 0, is to be sent.
func (s schedule) due(i int64) time.Time { return s.start.Add(s.after(i)) }

func (s schedule) after(i int64) time.Duration {
	return time.Duration(float64(i) / s.rate * float64(time.Second))
}

// count is how many events are due within the first d.
func (s schedule) count(d time.Duration) int64 { return int64(d.Seconds() * s.rate) }

// samples are times that were measured, by several goroutines.
type samples struct {
	mu     sync.Mutex
	micros []int64
}

func (s *samples) add(d time.Duration) {
	s.mu.Lock()
	s.micros = append(s.micros, d.Microseconds())
	s.mu.Unlock()
}

// quantiles also says how many there are.
func (s *samples) quantiles() (q Quantiles, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.micros)
	return quantiles(s.micros), int64(len(s.micros))
}

// sender sends a workload by schedule. One in so many events causes a
// notification: it samples those, as whoever waits for the notification does.
type sender struct {
	schedule
	workload *Workload
	place    *place
	from     int64         // events before it are not measured
	stop     chan struct{} // closed: no more is sent
	sent     int64         // final once run has returned
	late     samples       // from due to handed to the client
	logged   samples       // from due to acknowledged by all in-sync replicas
}

const (
	// breath is the shortest pause between two looks at the clock, and how long the
	// client gathers a batch, as the gateway's does. Shorter ones would only cost
	// the machine that is measured.
	breath = time.Millisecond
	// sendBuffer are records that wait for the broker. Beyond it the sender waits,
	// which counts, since the next events are due all the same.
	sendBuffer = 100_000
)

// errStopped ends a workload before its last event.
var errStopped = errors.New("no more is to be sent")

// run sends until the workload ends, or it is stopped, and until all is acknowledged.
func (s *sender) run(ctx context.Context) error {
	topic := s.place.kafka.Topic("events")
	cl, err := kgo.NewClient(s.place.kafka.Options(
		kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(breath), kgo.MaxBufferedRecords(sendBuffer),
	)...)
	if err != nil {
		return fmt.Errorf("create the client that sends to %s: %w", topic, err)
	}
	defer cl.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err = s.workload.Each(s.place.partitions, func(r *kgo.Record) error {
		due := s.due(s.sent)
		if err := s.wait(ctx, due); err != nil {
			return err
		}
		cl.Produce(ctx, r, s.promise(due, fail))
		s.sent++
		return nil
	})
	if err == nil || errors.Is(err, errStopped) {
		err = cl.Flush(ctx)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", topic, err)
	}
	return nil
}

// promise notes how late the event is that is sent now, and says what to do once it
// is acknowledged.
func (s *sender) promise(due time.Time, fail context.CancelCauseFunc) func(*kgo.Record, error) {
	measured := s.sent >= s.from && s.workload.notifies(s.sent)
	if measured {
		s.late.add(time.Since(due))
	}
	return func(_ *kgo.Record, err error) {
		if err != nil {
			fail(err)
		} else if measured {
			s.logged.add(time.Since(due))
		}
	}
}

// wait returns when due has come.
func (s *sender) wait(ctx context.Context, due time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.stop:
			return errStopped
		default:
		}
		early := time.Until(due)
		if early <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-s.stop:
		case <-time.After(max(early, breath)):
		}
	}
}

// notifies says whether event number i causes a notification. It does in the
// workloads whose notifications are told once.
func (w *Workload) notifies(i int64) bool { return i%int64(w.Notify) == int64(w.Notify)-1 }

// caused is how many notifications the first n events cause.
func (w *Workload) caused(n int64) int64 { return n / int64(w.Notify) }
