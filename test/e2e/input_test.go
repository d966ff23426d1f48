package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/wire"
)

const structured = "application/cloudevents+json; charset=UTF-8"

// lines opens an example's sorted events and returns at most limit of them with
// the rules.
func lines(t *testing.T, name string, limit int) (source []byte, all []string) {
	t.Helper()
	source, events, _, err := examples.Sorted(name)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	text, err := io.ReadAll(events)
	if err != nil {
		t.Fatal(err)
	}
	all = strings.Split(strings.TrimSpace(string(text)), "\n")
	return source, all[:min(limit, len(all))]
}

// disorderly sends one event in ten twice and shuffles the flights within the
// day of grace that their rules give: most by minutes, some by hours. What is
// sent twice comes within 21 hours of its time, so it is known as a duplicate.
func disorderly(t *testing.T, sorted []string) (sent []string, repeats int64) {
	t.Helper()
	var out bytes.Buffer
	n, err := examples.Disorder(&out, strings.NewReader(strings.Join(sorted, "\n")), 42, examples.Delays{
		Steps: []examples.Delay{
			{Share: 0.50, Max: 5 * time.Minute},
			{Share: 0.30, Max: 3 * time.Hour},
			{Share: 0.20, Max: 18 * time.Hour},
		},
		Repeats: 0.10, RepeatWithin: 3 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), int64(n)
}

// keyOf finds a line's participant without decoding it.
func keyOf(line string) string {
	_, rest, _ := strings.Cut(line, `"partitionkey":"`)
	key, _, _ := strings.Cut(rest, `"`)
	return key
}

// event is a line as a record in structured mode, on its participant's partition.
func (d *deployment) event(line string) *kgo.Record {
	key := keyOf(line)
	if key == "" {
		d.t.Errorf("no participant in %s", line)
	}
	return &kgo.Record{
		Key: []byte(key), Value: []byte(line), Partition: wire.PartitionFor([]byte(key), d.partitions),
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(structured)}},
	}
}

// send produces lines and waits until the brokers have them.
func (d *deployment) send(ctx context.Context, cl *kgo.Client, lines []string) error {
	records := make([]*kgo.Record, len(lines))
	for i, line := range lines {
		records[i] = d.event(line)
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

// feeder sends lines in the background, at a pace.
type feeder struct {
	d    *deployment
	cl   *kgo.Client
	left atomic.Int64 // lines not yet sent
	done chan error
}

// feed begins to send lines, burst by burst.
func (d *deployment) feed(lines []string, burst int, every time.Duration) *feeder {
	f := &feeder{d: d, cl: d.client(), done: make(chan error, 1)}
	ctx := d.t.Context()
	f.left.Store(int64(len(lines)))
	go func() {
		for len(lines) > 0 {
			n := min(burst, len(lines))
			if err := d.send(ctx, f.cl, lines[:n]); err != nil {
				f.done <- err
				return
			}
			lines = lines[n:]
			f.left.Store(int64(len(lines)))
			time.Sleep(every)
		}
		f.done <- nil
	}()
	return f
}

// wait returns when all lines are with the brokers.
func (f *feeder) wait() {
	f.d.t.Helper()
	f.d.must(<-f.done)
}

// statesOf folds lines as one partition in one loop, and returns every
// participant's state as a reader sees it.
func (d *deployment) statesOf(lines []string) map[string]string {
	d.t.Helper()
	oracle := fold.NewOracle(fold.New(d.program, 1), 0)
	for i, line := range lines {
		_, err := oracle.Feed(&wire.Record{
			Offset: int64(i), Timestamp: time.Now().UnixMicro(), Key: []byte(keyOf(line)), Value: []byte(line),
			Headers: []wire.Header{{Key: "content-type", Value: []byte(structured)}},
		})
		d.must(err)
	}
	states := map[string]string{}
	for who, value := range oracle.States() {
		states[who] = d.readable(value)
	}
	return states
}

// statesInRedis returns the same of what Redis holds.
func (d *deployment) statesInRedis() map[string]string {
	d.t.Helper()
	states := map[string]string{}
	for p := range d.partitions {
		meta, err := d.state.Meta(d.t.Context(), p)
		d.must(err)
		if !meta.Exists {
			continue
		}
		d.must(d.state.All(d.t.Context(), p, meta.Generation, func(who string, value []byte) error {
			if before, twice := states[who]; twice && before != d.readable(value) {
				d.t.Errorf("%s has a state on two partitions", who)
			}
			states[who] = d.readable(value)
			return nil
		}))
	}
	return states
}

// sameStates holds Redis against the fold of the lines themselves, whatever
// became of them on their way.
func (d *deployment) sameStates(lines []string) {
	d.t.Helper()
	want, got := d.statesOf(lines), d.statesInRedis()
	if maps.Equal(want, got) {
		return
	}
	d.t.Errorf("Redis has %d participants, the events have %d", len(got), len(want))
	shown := 0
	for who := range want {
		if want[who] != got[who] && shown < 5 {
			shown++
			d.t.Errorf("%s: Redis has %s, its events make %s", who, got[who], want[who])
		}
	}
}
