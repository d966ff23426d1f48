package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
)

// SnapshotSuite holds Snapshots to their contract. open returns some without a
// copy of partition 0 or 1; where it is called twice in a test, the second is
// another process that looks at the same copies.
func SnapshotSuite(t *testing.T, open func(t *testing.T) func() engine.Snapshots) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, process func() engine.Snapshots)
	}{
		{"comes back as it went", snapshotComesBack},
		{"of nobody", snapshotEmpty},
		{"of 100,000 participants", snapshotLarge},
		{"a state larger than a record", snapshotBigValue},
		{"the newest that fits", snapshotNewest},
		{"a writer that dies leaves the one before", snapshotUnfinished},
		{"two writers at once leave the one before", snapshotTwoWriters},
		{"smaller after bigger", snapshotSmaller},
		{"one that was replaced is not mistaken", snapshotReplaced},
		{"each partition its own", snapshotPartitions},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// snapshotOf makes a snapshot of values, as its writer does.
func snapshotOf(offset int64, values []engine.KeyValue) engine.Snapshot {
	s := engine.Snapshot{Token: suiteToken, Start: 3, Offset: offset, Chain: 1<<63 | uint64(offset), Participants: int64(len(values))}
	for _, v := range values {
		s.Digest += engine.ValueDigest(v.Key, v.Value)
	}
	return s
}

// valuesOf makes values whose bytes tell which copy they belong to.
func valuesOf(mark string, n, size int) []engine.KeyValue {
	values := make([]engine.KeyValue, n)
	for i := range values {
		state := []byte(fmt.Sprintf("%s/%d\x00\xff", mark, i))
		for len(state) < size { // bytes that do not compress to nothing
			state = append(state, byte(len(state)*len(state)>>3), byte(i), byte(len(state)>>8))
		}
		values[i] = engine.KeyValue{Key: fmt.Sprint("player-", i), Value: state}
	}
	return values
}

// saved writes a copy in pieces, finishes it and returns it.
func saved(t *testing.T, s engine.Snapshots, partition int32, offset int64, values []engine.KeyValue) engine.Snapshot {
	t.Helper()
	w, err := s.Write(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	return finished(t, w, offset, values)
}

func finished(t *testing.T, w engine.SnapshotWriter, offset int64, values []engine.KeyValue) engine.Snapshot {
	t.Helper()
	defer w.Abort()
	for rest := values; len(rest) > 0; {
		n := min(len(rest), 700)
		if err := w.Add(t.Context(), rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	want := snapshotOf(offset, values)
	got, err := w.Finish(t.Context(), want)
	if err != nil || got.ID == "" {
		t.Fatalf("finished as %+v, %v", got, err)
	}
	id := got.ID
	if got.ID = ""; got != want {
		t.Fatalf("finished as %+v, want %+v", got, want)
	}
	got.ID = id
	return got
}

// holds reads a copy and compares it.
func holds(t *testing.T, s engine.Snapshots, partition int32, snapshot engine.Snapshot, values []engine.KeyValue) {
	t.Helper()
	got, err := contentOf(t.Context(), s, partition, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string, len(values))
	for _, v := range values {
		want[v.Key] = string(v.Value)
	}
	if !maps.Equal(got, want) {
		t.Fatalf("the copy at %d holds %d participants, and not the %d that were written", snapshot.Offset, len(got), len(want))
	}
}

func contentOf(ctx context.Context, s engine.Snapshots, partition int32, snapshot engine.Snapshot) (map[string]string, error) {
	got := map[string]string{}
	err := s.Read(ctx, partition, snapshot, func(values []engine.KeyValue) error {
		for _, v := range values {
			if _, twice := got[v.Key]; twice {
				return fmt.Errorf("%s is there twice", v.Key)
			}
			got[v.Key] = string(bytes.Clone(v.Value))
		}
		return nil
	})
	return got, err
}

// finds returns the copy that Find offers, or fails.
func finds(t *testing.T, s engine.Snapshots, notAfter int64) engine.Snapshot {
	t.Helper()
	got, ok, err := s.Find(t.Context(), 0, suiteToken, notAfter)
	if err != nil || !ok {
		t.Fatalf("no snapshot up to %d: %v", notAfter, err)
	}
	return got
}

func findsNone(t *testing.T, s engine.Snapshots, token string, notAfter int64) {
	t.Helper()
	if got, ok, err := s.Find(t.Context(), 0, token, notAfter); err != nil || ok {
		t.Fatalf("found %+v of token %q up to %d, %v", got, token, notAfter, err)
	}
}

func snapshotComesBack(t *testing.T, process func() engine.Snapshots) {
	s := process()
	findsNone(t, s, suiteToken, 1<<40)
	values := valuesOf("one", 2000, 40)
	want := saved(t, s, 0, 50, values)
	for _, p := range []engine.Snapshots{s, process()} {
		if got := finds(t, p, 50); got != want {
			t.Fatalf("found %+v, want %+v", got, want)
		}
		holds(t, p, 0, want, values)
	}
	stop := errors.New("stop")
	if err := s.Read(t.Context(), 0, want, func([]engine.KeyValue) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a reader's error became %v", err)
	}
}

func snapshotEmpty(t *testing.T, process func() engine.Snapshots) {
	want := saved(t, process(), 0, 7, nil)
	if got := finds(t, process(), 7); got != want {
		t.Fatalf("found %+v, want %+v", got, want)
	}
	holds(t, process(), 0, want, nil)
}

func snapshotLarge(t *testing.T, process func() engine.Snapshots) {
	values := valuesOf("large", 100_000, 120)
	want := saved(t, process(), 0, 1_000_000, values)
	if got := finds(t, process(), 1_000_000); got != want {
		t.Fatalf("found %+v, want %+v", got, want)
	}
	holds(t, process(), 0, want, values)
}

func snapshotBigValue(t *testing.T, process func() engine.Snapshots) {
	values := valuesOf("big", 3, 3<<20)
	holds(t, process(), 0, saved(t, process(), 0, 9, values), values)
}

func snapshotNewest(t *testing.T, process func() engine.Snapshots) {
	s := process()
	first, second := valuesOf("first", 900, 40), valuesOf("second", 900, 40)
	older, newer := saved(t, s, 0, 100, first), saved(t, s, 0, 200, second)
	for notAfter, want := range map[int64]engine.Snapshot{100: older, 199: older, 200: newer, 1 << 40: newer} {
		if got := finds(t, process(), notAfter); got != want {
			t.Errorf("up to %d it found %+v, want %+v", notAfter, got, want)
		}
	}
	findsNone(t, s, suiteToken, 99)
	findsNone(t, s, "another token", 1<<40)
	holds(t, s, 0, older, first)
	holds(t, s, 0, newer, second)
	// Written last is newest, also at a lower offset: an operator has declared it.
	third := saved(t, s, 0, 150, first)
	if got := finds(t, process(), 1<<40); got != third {
		t.Errorf("found %+v, want the one written last, %+v", got, third)
	}
}

func snapshotUnfinished(t *testing.T, process func() engine.Snapshots) {
	values := valuesOf("whole", 1500, 700)
	want := saved(t, process(), 0, 100, values)
	for n := range 3 { // often enough to meet every place
		w, err := process().Write(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), valuesOf(fmt.Sprint("part", n), 1500, 700)); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			w.Abort()
			if _, err := w.Finish(t.Context(), snapshotOf(300, nil)); err == nil {
				t.Error("a copy was finished after it had been given up")
			}
		}
		if got := finds(t, process(), 1<<40); got != want {
			t.Fatalf("after %d unfinished writers it found %+v, want %+v", n+1, got, want)
		}
		holds(t, process(), 0, want, values)
	}
}

func snapshotTwoWriters(t *testing.T, process func() engine.Snapshots) {
	before := valuesOf("before", 1500, 700)
	whole := saved(t, process(), 0, 100, before)
	var content [2][]engine.KeyValue
	var writers [2]engine.SnapshotWriter
	for i := range writers {
		content[i] = valuesOf(fmt.Sprint("writer", i), 3000, 700)
		var err error
		if writers[i], err = process().Write(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < 2000; from += 1000 {
		for i, w := range writers {
			if err := w.Add(t.Context(), content[i][from:from+1000]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, w := range writers {
		if err := w.Add(t.Context(), content[i][2000:]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(t.Context(), snapshotOf(int64(200+100*i), content[i])); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, process(), 0, whole, before)
	// Whatever is offered is one of the three, whole, or said to be broken and
	// not offered again.
	s, offered := process(), map[int64][]engine.KeyValue{100: before, 200: content[0], 300: content[1]}
	for range 3 {
		got := finds(t, s, 1<<40)
		if _, err := contentOf(t.Context(), s, 0, got); errors.Is(err, engine.ErrSnapshotBroken) {
			continue
		}
		holds(t, s, 0, got, offered[got.Offset])
		return
	}
	t.Error("no whole copy was offered")
}

func snapshotSmaller(t *testing.T, process func() engine.Snapshots) {
	for n, size := range []int{4000, 3000, 10, 20, 0, 5} {
		values := valuesOf(fmt.Sprint("round", n), size, 700)
		want := saved(t, process(), 0, int64(100*n), values)
		if got := finds(t, process(), 1<<40); got != want {
			t.Fatalf("found %+v, want %+v", got, want)
		}
		holds(t, process(), 0, want, values)
	}
}

func snapshotReplaced(t *testing.T, process func() engine.Snapshots) {
	values := valuesOf("replaced", 2000, 700)
	s := process()
	old := saved(t, s, 0, 100, values)
	for n := range 3 {
		saved(t, process(), 0, int64(200+n), valuesOf(fmt.Sprint("later", n), 2000, 700))
	}
	got, err := contentOf(t.Context(), s, 0, old)
	switch {
	case errors.Is(err, engine.ErrSnapshotBroken):
	case err != nil:
		t.Error(err)
	default:
		for _, v := range values {
			if got[v.Key] != string(v.Value) {
				t.Fatalf("%s is another copy's", v.Key)
			}
		}
	}
	unknown := old
	unknown.ID = "unknown"
	if _, err := contentOf(t.Context(), s, 0, unknown); !errors.Is(err, engine.ErrSnapshotBroken) {
		t.Errorf("an unknown copy was read: %v", err)
	}
}

func snapshotPartitions(t *testing.T, process func() engine.Snapshots) {
	s := process()
	values := valuesOf("mine", 10, 40)
	mine := saved(t, s, 0, 5, values)
	saved(t, s, 1, 6, valuesOf("other", 12, 40))
	if got := finds(t, s, 1<<40); got != mine {
		t.Fatalf("found %+v, want %+v", got, mine)
	}
	holds(t, s, 0, mine, values)
}
