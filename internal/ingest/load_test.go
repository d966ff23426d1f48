package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

func file(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(event(fmt.Sprint(i), clue) + "\n")
	}
	return b.String()
}

func TestLoad(t *testing.T) {
	l := &log{}
	var bad []string
	text := strings.Replace(file(12_000), event("7", clue), event("7", `{"clue":1}`), 1) + "\n  \nno\n" + event("last", clue)
	result, err := ingest.Load(t.Context(), strings.NewReader(text), l, ingest.LoadOptions{
		Schema: harbour(), Bad: func(f ingest.Fault) { bad = append(bad, fmt.Sprintf("%d %s %s", f.Line, f.Field, f.Fate)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Lines != 12_002 || result.Loaded != 12_000 || result.Bad != 2 || len(l.records) != 12_000 || l.calls < 3 {
		t.Errorf("%+v, %d in the log by %d calls", result, len(l.records), l.calls)
	}
	if got := strings.Join(bad, ", "); got != "8 data.clue schema, 12003  malformed" {
		t.Errorf("bad lines: %s", got)
	}
	want := make([]string, 0, 12_000)
	for i := range 12_000 {
		if i != 7 {
			want = append(want, fmt.Sprint(i))
		}
	}
	if l.ids() != strings.Join(append(want, "last"), " ") {
		t.Error("the order of the file was not kept")
	}
}

func TestLoadStrictEndsAtTheFirstBadLine(t *testing.T) {
	l := &log{}
	_, err := ingest.Load(t.Context(), strings.NewReader(file(3)+"no\n"+file(1)), l, ingest.LoadOptions{Strict: true})
	if !errors.Is(err, ingest.ErrBadLine) || !strings.HasPrefix(err.Error(), "line 4: ") {
		t.Error(err)
	}
	_, err = ingest.Load(t.Context(), strings.NewReader(strings.Repeat("x", 9<<20)), l, ingest.LoadOptions{})
	if !errors.Is(err, ingest.ErrBadLine) {
		t.Error(err)
	}
}

// TestLoadOfAnotherFile: a file without one good line was not loaded. One
// without any line was: a night without events is none to wake somebody for.
func TestLoadOfAnotherFile(t *testing.T) {
	l := &log{}
	result, err := ingest.Load(t.Context(), strings.NewReader("\nid,clue\n7,anchor\n"), l, ingest.LoadOptions{})
	if !errors.Is(err, ingest.ErrNoEvents) || !strings.Contains(err.Error(), "all 2 are bad; line 2: ") || result.Bad != 2 || l.calls != 0 {
		t.Errorf("%+v %v", result, err)
	}
	if _, err := ingest.Load(t.Context(), strings.NewReader("id,clue\n"+file(1)), l, ingest.LoadOptions{}); err != nil || l.calls != 1 {
		t.Error(err)
	}
	for _, text := range []string{"", "\n \n"} {
		if _, err := ingest.Load(t.Context(), strings.NewReader(text), l, ingest.LoadOptions{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLoadOfACutFile: a packed file that was cut off is not loaded, although
// all that is there is good.
func TestLoadOfACutFile(t *testing.T) {
	for _, encoding := range []string{"gzip", "zstd"} {
		for _, cut := range [][]byte{flushed(t, encoding, file(3)), append(closed(t, encoding, file(2)), flushed(t, encoding, file(3))...)} {
			events, _, _, err := ingest.Open("-", bytes.NewReader(cut))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ingest.Load(t.Context(), events, &log{}, ingest.LoadOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %v", encoding, err)
			}
			_ = events.Close()
		}
	}
}

// TestInterruptible: a pipe that nothing comes from does not hold a load.
func TestInterruptible(t *testing.T) {
	silent, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := ingest.Load(ctx, ingest.Interruptible(ctx, silent), &log{}, ingest.LoadOptions{})
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the load still waits")
	}
	l := &log{}
	if _, err := ingest.Load(t.Context(), ingest.Interruptible(t.Context(), strings.NewReader(file(3))), l, ingest.LoadOptions{}); err != nil || l.ids() != "0 1 2" {
		t.Error(err, l.ids())
	}
}

// flaky fails some calls, having written what it says it did not.
type flaky struct {
	log
	n int
}

func (f *flaky) Append(ctx context.Context, records []wire.Record) ([]ingest.Position, error) {
	f.n++
	at, err := f.log.Append(ctx, records)
	if f.n%2 == 1 {
		return nil, errAway
	}
	return at, err
}

// TestLoadRepeats: a failed request comes again, and before what is behind it.
func TestLoadRepeats(t *testing.T) {
	f := &flaky{}
	waits := 0
	result, err := ingest.Load(t.Context(), strings.NewReader(file(7000)), f, ingest.LoadOptions{
		Wait: func(context.Context, int) error { waits++; return nil },
	})
	if err != nil || result.Loaded != 7000 || waits != 2 {
		t.Fatalf("%+v %v, waited %d times", result, err, waits)
	}
	last := -1
	seen := map[string]bool{}
	for i := range f.records {
		id := string(f.records[i].Header("ce_id"))
		if seen[id] {
			continue
		}
		seen[id] = true
		var n int
		_, _ = fmt.Sscan(id, &n)
		if n != last+1 {
			t.Fatalf("%d follows %d", n, last)
		}
		last = n
	}
	if last != 6999 {
		t.Errorf("the last is %d", last)
	}
	down := &log{fail: errAway}
	result, err = ingest.Load(t.Context(), strings.NewReader(file(10)), down, ingest.LoadOptions{Wait: func(context.Context, int) error { return nil }})
	if !errors.Is(err, errAway) || result.Loaded != 0 || down.calls < 2 {
		t.Errorf("%+v %v after %d calls", result, err, down.calls)
	}
}

// TestLoadDisorder: the same seed gives the same disorder, no event is lost,
// none is later than its window, and the duplicates are as many as asked for.
func TestLoadDisorder(t *testing.T) {
	const events, window = 5000, 40
	load := func(seed uint64) (*log, ingest.LoadResult) {
		l := &log{}
		result, err := ingest.Load(t.Context(), strings.NewReader(file(events)), l, ingest.LoadOptions{Seed: seed, Duplicates: 0.1, Shuffle: window})
		if err != nil {
			t.Fatal(err)
		}
		return l, result
	}
	a, result := load(1)
	b, _ := load(1)
	c, _ := load(2)
	if a.ids() != b.ids() || a.ids() == c.ids() {
		t.Error("the disorder does not follow from the seed")
	}
	if result.Duplicates < 400 || result.Duplicates > 600 || result.Loaded != events+result.Duplicates || int64(len(a.records)) != result.Loaded {
		t.Errorf("%+v, %d in the log", result, len(a.records))
	}
	count := map[string]int{}
	newest, moved := 0, 0
	for i := range a.records {
		id := string(a.records[i].Header("ce_id"))
		count[id]++
		var n int
		_, _ = fmt.Sscan(id, &n)
		if n < newest {
			moved++
		}
		if newest = max(newest, n); newest-n > window+1 {
			t.Fatalf("%d comes behind %d, more than %d places", n, newest, window+1)
		}
	}
	if len(count) != events || moved < events/2 {
		t.Errorf("%d events, %d of them out of order", len(count), moved)
	}
}

func TestLoadRate(t *testing.T) {
	start := time.Now()
	result, err := ingest.Load(t.Context(), strings.NewReader(file(100)), &log{}, ingest.LoadOptions{Rate: 400})
	if took := time.Since(start); err != nil || took < 240*time.Millisecond || result.Elapsed > took {
		t.Errorf("100 events at 400/s took %s: %v", took, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ingest.Load(ctx, strings.NewReader(file(1000)), &log{}, ingest.LoadOptions{Rate: 10}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	var zipped, zst bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(file(100)))
	_ = z.Close()
	e, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = e.Write([]byte(file(100)))
	_ = e.Close()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"plain": []byte(file(100)), "events.gz": zipped.Bytes(), "events.zst": zst.Bytes(), "empty": nil, "short": []byte("\n")} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{path, "-"} {
			events, read, size, err := ingest.Open(from, bytes.NewReader(content))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, err := io.ReadAll(events)
			if err != nil || (len(content) > 4 && string(text) != file(100)) {
				t.Errorf("%s: %v, %d bytes", name, err, len(text))
			}
			if read() != int64(len(content)) || (from != "-" && size != int64(len(content))) {
				t.Errorf("%s: read %d of %d", name, read(), size)
			}
			if err := events.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, _, _, err := ingest.Open(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("a file that is not there was opened")
	}
}

func TestProgressIsJSONLinesOffATerminal(t *testing.T) {
	var b bytes.Buffer
	p := ingest.NewProgress(&b, "events.ndjson", func() int64 { return 50 }, 200)
	p.Update(ingest.LoadResult{Lines: 10, Loaded: 10, Elapsed: time.Second})
	for range 30 {
		p.Bad(ingest.Fault{Line: 3, Reason: "no", Fate: "malformed"})
	}
	p.Done(ingest.LoadResult{Lines: 40, Loaded: 40, Elapsed: 2 * time.Second})
	text := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(text) != 22 || text[0] != `{"msg":"loading","file":"events.ndjson","lines":10,"loaded":10,"duplicates":0,"bad":0,"bytes":0,"events_per_second":10,"percent":25,"eta":"3s"}` ||
		text[1] != `{"msg":"bad line","file":"events.ndjson","bad_line":{"line":3,"reason":"no","fate":"malformed"}}` || !strings.Contains(text[21], `"loaded":40`) {
		t.Errorf("got %d lines:\n%s", len(text), b.String())
	}
}

// discard is a log that keeps nothing.
type discard struct{}

func (discard) Append(_ context.Context, records []wire.Record) ([]ingest.Position, error) {
	return make([]ingest.Position, len(records)), nil
}

// BenchmarkLoad is what an event costs the loader, without the log.
func BenchmarkLoad(b *testing.B) {
	text := file(10_000)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ingest.Load(b.Context(), strings.NewReader(text), discard{}, ingest.LoadOptions{Schema: harbour()}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/event")
}
