package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// TestSchedule: an event's time is its place at the rate, and nothing else.
func TestSchedule(t *testing.T) {
	t.Parallel()
	s := schedule{start: time.Unix(1000, 0), rate: 4}
	for i, want := range map[int64]time.Duration{0: 0, 1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 40: 10 * time.Second, 4_000_001: 1_000_000*time.Second + 250*time.Millisecond} {
		if got := s.due(i).Sub(s.start); got != want {
			t.Errorf("event %d is due after %s, want %s", i, got, want)
		}
	}
	if n := s.count(2500 * time.Millisecond); n != 10 {
		t.Errorf("%d events are due within 2.5 s at 4 a second", n)
	}
}

// TestQuantiles: in a thousand times, so many are below each one.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	var s samples
	for _, i := range rand.Perm(1000) {
		s.add(time.Duration(i) * time.Millisecond)
	}
	q, n := s.quantiles()
	if want := (Quantiles{P50: 500, P90: 900, P99: 990, P999: 999, Max: 999}); q != want || n != 1000 {
		t.Errorf("of 0 to 999 ms: %+v of %d, want %+v", q, n, want)
	}
	one := samples{micros: []int64{1500}}
	if q, n := one.quantiles(); q != (Quantiles{1.5, 1.5, 1.5, 1.5, 1.5}) || n != 1 {
		t.Errorf("of one time: %+v of %d", q, n)
	}
	var none samples
	if q, n := none.quantiles(); q != (Quantiles{}) || n != 0 {
		t.Errorf("of none: %+v of %d", q, n)
	}
}

// caused makes a notification of event number i.
func caused(i int64) *kgo.Record {
	return &kgo.Record{Partition: 1, Offset: 7, Headers: []kgo.RecordHeader{
		{Key: wire.HeaderOp, Value: []byte("send")}, {Key: wire.HeaderCauseID, Value: []byte(strconv.FormatInt(firstID+i, 10))},
	}}
}

// TestTimesRunFromDue: a sender that was held up for an hour does not hide it, and a
// notification's time counts from its event's place in the schedule.
func TestTimesRunFromDue(t *testing.T) {
	t.Parallel()
	w, err := NewWorkload("core", 100, 10, Structured)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{schedule: schedule{start: time.Now().Add(-time.Hour), rate: 1000}, workload: w, from: 20}
	for ; s.sent < 40; s.sent++ {
		s.promise(s.due(s.sent), nil)(nil, nil)
	}
	least := (time.Hour - time.Second).Microseconds()
	for name, times := range map[string][]int64{"sent": s.late.micros, "acknowledged": s.logged.micros} {
		if len(times) != 2 { // events 29 and 39 cause one; 9 and 19 are not measured
			t.Errorf("%s: %d were measured, want 2", name, len(times))
		}
		if len(times) > 0 && slices.Min(times) < least {
			t.Errorf("%s: %v µs after they were due, which was an hour before", name, times)
		}
	}
	var told []notified
	c := &consumer{schedule: schedule{start: time.Unix(1000, 0), rate: 10}, from: 20, tell: func(n notified) { told = append(told, n) }}
	for _, i := range []int64{19, 29} {
		if err := c.take(caused(i), time.Unix(1005, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.times.micros) != 1 || c.times.micros[0] != 2_100_000 || c.seen.Load() != 2 || !c.newest().Equal(time.Unix(1005, 0)) {
		t.Errorf("measured %v of %d", c.times.micros, c.seen.Load())
	}
	if want := (notified{1, 7, 3100 * time.Millisecond, time.Unix(1005, 0)}); len(told) != 2 || told[0] != want {
		t.Errorf("told %+v, want %+v first", told, want)
	}
}

// TestKeptUp: what is left behind a level tells whether its times would grow.
func TestKeptUp(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]bool{0: true, time.Second: true, 3 * time.Second: true, 4 * time.Second: false} {
		if got := keptUp(left, time.Minute); got != want {
			t.Errorf("%s left behind a minute: kept up %t", left, got)
		}
	}
	if !keptUp(time.Second, 2*time.Second) || keptUp(2*time.Second, 2*time.Second) {
		t.Error("a short level is judged by less than a second, or by all of its time")
	}
}

// TestForeignNotifications: a time of what nobody sent would mean nothing.
func TestForeignNotifications(t *testing.T) {
	t.Parallel()
	c := &consumer{schedule: schedule{rate: 1}}
	for name, value := range map[string]string{"a name": "e-1", "too low": "7", "none": ""} {
		r := caused(0)
		r.Headers[1].Value = []byte(value)
		if err := c.take(r, time.Now()); err == nil || !strings.Contains(err.Error(), "nobody sent") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := caused(0)
	r.Headers = r.Headers[:1]
	if err := c.take(r, time.Now()); err == nil || !strings.Contains(err.Error(), wire.HeaderCauseID) {
		t.Errorf("no cause: %v", err)
	}
	if c.seen.Load() != 0 {
		t.Errorf("%d were counted", c.seen.Load())
	}
}

// TestSenderWaits: nothing is sent before it is due, and whoever waits is told to stop.
func TestSenderWaits(t *testing.T) {
	t.Parallel()
	s := &sender{stop: make(chan struct{})}
	due := time.Now().Add(20 * time.Millisecond)
	if err := s.wait(t.Context(), due); err != nil || time.Now().Before(due) {
		t.Errorf("%v, %s before it was due", err, time.Until(due))
	}
	ended, cancel := context.WithCancelCause(t.Context())
	why := errors.New("ended")
	cancel(why)
	if err := s.wait(ended, time.Now().Add(time.Hour)); !errors.Is(err, why) {
		t.Errorf("ended: %v", err)
	}
	close(s.stop)
	bounded, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	for name, due := range map[string]time.Time{"early": time.Now().Add(time.Hour), "late": time.Now().Add(-time.Hour)} {
		if err := s.wait(bounded, due); !errors.Is(err, errStopped) {
			t.Errorf("stopped, %s: %v", name, err)
		}
	}
}

// TestEachTenthNotifies: what the benches under a load wait for is what the fold
// makes of the workload; TestShapes counts the same over all.
func TestEachTenthNotifies(t *testing.T) {
	t.Parallel()
	w, err := NewWorkload("core", 95, 10, Structured)
	if err != nil {
		t.Fatal(err)
	}
	i, found := int64(0), int64(0)
	err = w.Each(1, func(r *kgo.Record) error {
		is := strings.Contains(string(r.Value), "clue.found")
		if is != w.notifies(i) {
			t.Errorf("event %d notifies: %t", i, is)
		}
		found += int64(count(is))
		if i++; w.caused(i) != found {
			t.Errorf("%d events cause %d notifications, not %d", i, found, w.caused(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProcessorsAreNoOtherLoad: they are a part of what is measured.
func TestProcessorsAreNoOtherLoad(t *testing.T) {
	t.Parallel()
	c := &crew{load: &loaded{meter: &Meter{}}}
	at := time.Now()
	from := crewReading{Reading: Reading{At: at}}
	to := crewReading{Reading: Reading{At: at.Add(time.Second), Busy: time.Second / 2, Own: time.Second / 10}, processors: time.Second * 4 / 10}
	if w := c.between(from, to, 10); w.Other > 1e-9 || w.Other < 0 || w.Noisy || w.Processors != time.Second*4/10 {
		t.Errorf("nobody else ran: other load %v, noisy %t", w.Other, w.Noisy)
	}
	to.Busy += 30 * time.Second // beyond a tenth of any machine that runs this
	if w := c.between(from, to, 10); !w.Noisy {
		t.Errorf("others ran: other load %v", w.Other)
	}
}

// TestPlacesInThePage: the reports have their places in the page that they are for.
func TestPlacesInThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(copied, page, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, report := range map[string]interface {
		WritePage(path, command string) error
	}{"latency": &LatencyReport{}, "recovery": kills()} {
		if err := report.WritePage(copied, "veltrix bench "+name+" in a test"); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"latency", "recovery"} {
		if want := "<!-- bench " + name + ": begin -->\n```\n$ veltrix bench " + name + " in a test\n"; !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestUnusableLoads(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*LatencyOptions){
		"partitions": func(o *LatencyOptions) { o.Partitions = 0 },
		"maximum":    func(o *LatencyOptions) { o.Maximum = -1 },
		"--maximum":  func(o *LatencyOptions) { o.Maximum, o.Events = 0, 0 },
		"levels":     func(o *LatencyOptions) { o.Levels = nil },
		"100 %":      func(o *LatencyOptions) { o.Levels = []int{10, 101} },
		"1s to":      func(o *LatencyOptions) { o.For = time.Millisecond },
	} {
		o := LatencyOptions{LoadOptions: LoadOptions{Partitions: 2, Maximum: 100, Events: 10}, Levels: []int{10}, For: time.Second}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for want, change := range map[string]func(*RecoveryOptions){
		"partitions": func(o *RecoveryOptions) { o.Partitions = 0 },
		"level":      func(o *RecoveryOptions) { o.Level = 0 },
		"slots":      func(o *RecoveryOptions) { o.Partitions = 3 },
		"times":      func(o *RecoveryOptions) { o.Rounds = 0 },
		"alone":      func(o *RecoveryOptions) { o.Calm = 0 },
	} {
		o := RecoveryOptions{LoadOptions: LoadOptions{Partitions: 4, Maximum: 100}, Level: 50, Rounds: 1, Calm: time.Second}
		if err := o.check(2); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if err := o.check(2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
