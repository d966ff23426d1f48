package trail_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

const (
	partitions = 2
	second     = int64(1_000_000)
	noon       = 1_777_636_800 * second // 2026-05-01T12:00:00Z
)

// home is the partition of the players below.
var home = wire.PartitionFor([]byte("ada"), partitions)

// world is a log in memory with one partition that counts. A nil record is a
// place where nothing can be read: a marker, or what was aborted.
type world struct {
	topics    map[string][]*wire.Record
	start     int64 // of events
	committed int64 // -1: nobody knows
	undecided map[string]int64
	fold      *fold.Fold
	states    map[string]engine.State
}

func newWorld() *world {
	return &world{
		topics: map[string][]*wire.Record{}, undecided: map[string]int64{},
		fold: fold.New(hunt.New(hunt.DefaultOrder()), partitions), states: map[string]engine.State{},
	}
}

func (w *world) teller() *trail.Teller { return &trail.Teller{Log: w, Partitions: partitions} }

func (w *world) Bounds(_ context.Context, topic string, partition int32) (trail.Bounds, error) {
	if partition != home {
		return trail.Bounds{}, nil
	}
	b := trail.Bounds{Stable: int64(len(w.topics[topic])), End: int64(len(w.topics[topic]))}
	if topic == "events" {
		b.Start = w.start
	}
	b.Stable -= w.undecided[topic]
	return b, nil
}

func (w *world) Read(_ context.Context, topic string, _ int32, from, to int64, fn func([]wire.Record) error) error {
	if b, _ := w.Bounds(context.Background(), topic, home); from < b.Start || from >= to || to > b.Stable {
		return fmt.Errorf("%s was read from %d to %d, which has %+v", topic, from, to, b)
	}
	for _, r := range w.topics[topic][from:to] {
		if r != nil {
			if err := fn([]wire.Record{*r}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) Committed(context.Context, int32) (int64, error) {
	if w.committed < 0 {
		return 0, errors.New("no coordinator answers")
	}
	return w.committed, nil
}

func (w *world) After(_ context.Context, topic string, _ int32, at time.Time) (int64, error) {
	for i, r := range w.topics[topic] {
		if r != nil && r.Timestamp >= at.UnixMicro() {
			return int64(i), nil
		}
	}
	return int64(len(w.topics[topic])), nil
}

func (w *world) append(topic string, r wire.Record) {
	r.Partition, r.Offset = home, int64(len(w.topics[topic]))
	w.topics[topic] = append(w.topics[topic], &r)
}

// event appends an event of the player with that time in seconds after noon,
// and what the fold makes of it.
func (w *world) event(who, id, kind, data string, at int64, headers ...string) {
	r := wire.Record{Key: []byte(who), Value: []byte(data), Timestamp: noon + 100*second + int64(len(w.topics["events"]))*second}
	headers = append([]string{
		"ce_specversion", "1.0", "ce_id", id, "ce_source", "/phone", "ce_type", kind, "ce_partitionkey", who,
		"ce_time", time.UnixMicro(noon + at*second).UTC().Format(time.RFC3339Nano), "content-type", "application/json",
	}, headers...)
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, wire.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	w.append("events", r)
	source := w.topics["events"][len(w.topics["events"])-1]
	key := string(w.fold.Key(source))
	if key != "" && w.states[key] == nil {
		w.states[key] = w.fold.New()
	}
	var out engine.Outputs
	w.fold.Apply(w.states[key], source, &out)
	for _, o := range out.List {
		topic := map[engine.Topic]string{engine.Rejected: "rejected", engine.Notifications: "notifications"}[o.Topic]
		if topic != "" {
			w.append(topic, wire.Record{Key: o.Key, Value: o.Value, Headers: o.Headers, Timestamp: r.Timestamp})
		}
	}
	w.committed = int64(len(w.topics["events"]))
}

func (w *world) find(who, id, clue string, at int64, headers ...string) {
	w.event(who, id, "find", fmt.Sprintf(`{"clue":%q,"points":5}`, clue), at, headers...)
}

func (w *world) receipt(x wire.Receipt) {
	x.Participant, x.At = "ada", time.UnixMicro(noon+200*second+int64(len(w.topics["receipts"]))*second).UTC()
	key, value, headers := x.Encode("test-hunt")
	w.append("receipts", wire.Record{Key: key, Value: value, Headers: headers, Timestamp: x.At.UnixMicro()})
}

// shown writes an entry in a line, with its notifications behind it.
func shown(e *trail.Entry) string {
	s := fmt.Sprintf("%d %s %s", e.Offset, e.Event.ID, e.Status)
	for _, more := range []string{e.Reason, e.SequenceBreak, e.MovedFrom} {
		if more != "" {
			s += " " + more
		}
	}
	for _, n := range e.Notifications {
		s += fmt.Sprintf(" | %s %d %s:", n.Op, n.Revision, n.Name)
		for _, d := range n.Channels {
			s += " " + strings.TrimSuffix(d.Channel+"@"+d.Target, "@") + "=" + d.Outcome
			if d.Attempts > 1 {
				s += fmt.Sprint("(", d.Attempts, ")")
			}
		}
	}
	return s
}

func shownAll(entries []trail.Entry) (all []string) {
	for i := range entries {
		all = append(all, shown(&entries[i]))
	}
	return all
}

func TestTrail(t *testing.T) {
	w := newWorld()
	stranger := "bob"
	for i := 0; wire.PartitionFor([]byte(stranger), partitions) != home; i++ {
		stranger = fmt.Sprint("bob", i)
	}
	w.find("ada", "a", "oak", 0, "ce_sequence", "1")
	w.find(stranger, "x", "oak", 0, "ce_sequence", "7")
	w.find("ada", "c", "elm", 60, "ce_sequence", "3", wire.HeaderReroutedFrom, "1/9")
	w.topics["rejected"] = append(w.topics["rejected"], nil, nil)
	w.find("ada", "b", "ash", 50, "ce_sequence", "2") // in between: c is told anew where its text changes
	w.find("ada", "b", "ash", 50, "ce_sequence", "2")
	w.find("ada", "late", "yew", -99)
	w.event("ada", "bad", "find", `{"clue":`, 61)
	w.event("ada", "d", "spend", `{"points":14}`, 62, "ce_sequence", "4")

	var first wire.NotificationRecord
	for _, r := range w.topics["notifications"] {
		n, err := wire.DecodeNotification(r)
		if err != nil {
			t.Fatal(err)
		}
		if first.ID == "" && n.Participant == "ada" {
			first = *n
		}
	}
	receipt := func(channel, target, outcome string, attempt int) {
		w.receipt(wire.Receipt{Notification: first.ID, Revision: first.Revision, Channel: channel, Target: target, Outcome: outcome, Attempt: attempt})
	}
	receipt("inbox", "", "accepted", 1)
	receipt("webhook", "https://a", "retried", 1)
	receipt("webhook", "https://b", "dead", 1)
	receipt("webhook", "https://a", "sent", 2)
	w.committed-- // d is not decided

	got, err := w.teller().Trail(t.Context(), "ada", trail.Window{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(shownAll(got.Entries), "\n")
	for _, want := range []string{
		"0 a applied | send 1 ", "2 c applied gap 1/9 | send 1", "3 b applied inversion | send 1", "4 b rejected duplicate\n", "5 late rejected late\n",
		"6 bad rejected malformed\n", "7 d accepted\n",
	} {
		if !strings.Contains("\n"+text+"\n", "\n"+want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	if !strings.Contains(text, "inbox=accepted") || !strings.Contains(text, "webhook@https://a=sent(2) webhook@https://b=dead") {
		t.Errorf("receipts are missing in\n%s", text)
	}
	if len(got.Entries) != 7 || got.Committed != 7 || got.From != 0 || got.Before != 8 {
		t.Errorf("%+v", got)
	}
	windows(t, w)
	if b, err := json.Marshal(got); err != nil || !strings.Contains(string(b), `"sentence":"this event was already accepted"`) {
		t.Errorf("%v: %s", err, b)
	}
}

// windows holds parts of the trail against the whole.
func windows(t *testing.T, w *world) {
	t.Helper()
	arrived := func(offset int64) time.Time { return time.UnixMicro(w.topics["events"][offset].Timestamp) }
	for _, c := range []struct {
		window trail.Window
		from   int64
		want   []int64
	}{
		{trail.Window{}, 0, []int64{5, 0, 3, 4, 2, 6, 7}},
		{trail.Window{Before: 6, Records: 3}, 3, []int64{5, 3, 4}},
		{trail.Window{Since: arrived(4)}, 4, []int64{5, 4, 6, 7}},
		{trail.Window{Since: arrived(7).Add(time.Hour)}, 8, nil},
	} {
		got, err := w.teller().Trail(t.Context(), "ada", c.window, nil)
		if err != nil || got.From != c.from || !slices.Equal(offsets(got.Entries), c.want) {
			t.Errorf("%+v: %v, from %d: %v", c.window, err, got.From, offsets(got.Entries))
		}
	}
}

func offsets(entries []trail.Entry) (all []int64) {
	for i := range entries {
		all = append(all, entries[i].Offset)
	}
	return all
}

func TestFind(t *testing.T) {
	w := newWorld()
	w.find("ada", "a", "oak", 0)
	w.topics["events"] = append(w.topics["events"], nil) // a marker
	w.find("ada", "a", "oak", 0)
	elsewhere := "eve"
	for i := 0; wire.PartitionFor([]byte(elsewhere), partitions) == home; i++ {
		elsewhere = fmt.Sprint("eve", i)
	}
	w.find(elsewhere, "e", "oak", 0)
	w.find("ada", "b", "elm", 1)
	w.start, w.committed = 0, 4
	for _, c := range []struct {
		offset int64
		want   string
		err    error
	}{
		{0, "0 a applied", nil},
		{1, "", trail.ErrUnknown},
		{2, "2 a rejected duplicate", nil},
		{3, "3 e rerouted", nil},
		{4, "4 b accepted", nil},
		{5, "", trail.ErrUnknown},
		{-1, "", trail.ErrUnknown},
		{9, "", trail.ErrUnknown},
	} {
		e, committed, err := w.teller().Find(t.Context(), home, c.offset)
		if !errors.Is(err, c.err) || err == nil && (!strings.HasPrefix(shown(e), c.want) || committed != 4) {
			t.Errorf("at %d: %+v, %d, %v; want %s", c.offset, e, committed, err, c.want)
		}
	}
	w.start = 2
	if _, _, err := w.teller().Find(t.Context(), home, 1); !errors.Is(err, trail.ErrGone) {
		t.Errorf("before the log: %v", err)
	}
	if _, _, err := w.teller().Find(t.Context(), partitions, 0); !errors.Is(err, trail.ErrUnknown) {
		t.Errorf("of a partition that is none: %v", err)
	}
}

// While it is not known what the processors have committed, or what they have
// committed cannot be read, nothing is called applied.
func TestNothingIsAppliedThatIsNotKnown(t *testing.T) {
	w := newWorld()
	w.find("ada", "a", "oak", 0)
	w.find("ada", "a", "oak", 0)
	w.committed = -1
	if e, _, err := w.teller().Find(t.Context(), home, 1); err == nil || e == nil || e.Status != trail.Accepted {
		t.Errorf("without a committed offset: %+v, %v", e, err)
	}
	w.committed, w.undecided["rejected"] = 2, 1
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if _, _, err := w.teller().Find(ctx, home, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "held back") {
		t.Errorf("with an open transaction: %v", err)
	}
	w.undecided["rejected"] = 0
	if e, _, err := w.teller().Find(t.Context(), home, 1); err != nil || e.Status != trail.Rejected {
		t.Errorf("once it is decided: %+v, %v", e, err)
	}
}

// Each event's outputs are found, wherever there is nothing to read.
func TestOutputsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		events := rapid.IntRange(1, 120).Draw(t, "events")
		rejected := map[int64]bool{}
		for i := range events {
			if rapid.IntRange(0, 3).Draw(t, "bad") == 0 {
				rejected[int64(i)] = true
				w.event("ada", fmt.Sprint(i), "find", `{`, int64(i))
			} else {
				w.find("ada", fmt.Sprint(i), fmt.Sprint("c", i), int64(i))
			}
			if n := rapid.IntRange(0, 4).Draw(t, "hole"); n == 0 {
				for range rapid.IntRange(1, 80).Draw(t, "holes") {
					w.topics["rejected"] = append(w.topics["rejected"], nil)
					w.topics["notifications"] = append(w.topics["notifications"], nil)
				}
			}
		}
		at := rapid.Int64Range(0, int64(events)-1).Draw(t, "at")
		e, _, err := w.teller().Find(context.Background(), home, at)
		if err != nil || (e.Status == trail.Rejected) != rejected[at] || rejected[at] == (len(e.Notifications) > 0) {
			t.Fatalf("%v: %s", err, shown(e))
		}
	})
}
