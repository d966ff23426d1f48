package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// lineBytesMax bounds one line of a file.
const lineBytesMax = 8 << 20

// How the loader asks the log: this many events at a time, and so often when
// the log does not take them.
const (
	loadBatch = 5000
	loadTries = 10
	// loadTick is how exactly events are sent at the pace of their own times.
	loadTick = 20 * time.Millisecond
)

// LoadOptions say how to load events. The zero value loads all of them, once
// and in order, as fast as the log takes them.
type LoadOptions struct {
	// Schema is the rules' contract; nil checks envelopes and JSON only.
	Schema *participant.Schema
	// Strict ends at the first bad line; otherwise bad lines are left out.
	Strict bool
	// Rate bounds events a second; 0 is unbounded.
	Rate float64
	// Speed sends events at the pace of their own times: 1 as they happened, 10
	// ten times as fast; 0 does not. Those without a time do not wait.
	Speed float64
	// Mapping reads CSV by it; nil reads NDJSON.
	Mapping *Mapping
	// Bad is told of each line left out; nil is silence.
	Bad func(Fault)
	// Progress is told about twice a second; nil is silence.
	Progress func(LoadResult)

	// Name, where not empty, makes the load one that can be continued: each
	// record carries Name/line in the header wire.HeaderLoaded.
	Name string
	// Done says that a line was loaded before and is left out; nil: none was. It
	// must be a prefix of the lines of each partition.
	Done func(key []byte, line int) bool

	// Disorder, for tests and demonstrations. The same Seed gives the same.
	Seed uint64
	// Duplicates is the share (of 1) of events sent twice, the second time up
	// to Shuffle+1 events later.
	Duplicates float64
	// Shuffle is how many places an event may be sent after its own.
	Shuffle int
	// Wait waits before an attempt is repeated; nil: half a second and more.
	Wait func(ctx context.Context, attempt int) error
}

// LoadResult counts what was loaded.
type LoadResult struct {
	Lines      int64         `json:"lines"` // that hold something
	Loaded     int64         `json:"loaded"`
	Duplicates int64         `json:"duplicates"`       // of those, sent a second time on purpose
	Before     int64         `json:"before,omitempty"` // left out, because they were loaded before
	Bad        int64         `json:"bad"`
	Bytes      int64         `json:"bytes"` // read from the file
	Elapsed    time.Duration `json:"-"`
}

// ErrBadLine ends a strict load.
var ErrBadLine = errors.New("a line is not an acceptable event")

// ErrNoEvents ends the load of a file that has lines, none of them good: it is
// most likely another file than was meant.
var ErrNoEvents = errors.New("no line is an acceptable event")

// Load appends the events of r, NDJSON of structured CloudEvents or CSV by a
// mapping, and returns when the log has acknowledged all of them. Loading the same again has no
// effect, because events count by their identity: after an error, load again
// from the beginning. Events without a time are an exception in the long run,
// see the package's text on stamps.
//
// One participant's events keep their order: a request that fails is repeated
// before anything behind it is sent.
func Load(ctx context.Context, r io.Reader, log Appender, o LoadOptions) (LoadResult, error) {
	l := &loader{o: o, log: log, start: time.Now(), random: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15))}
	l.prepare = preparer{schema: o.Schema, clock: &clock{now: time.Now}}
	if l.o.Wait == nil {
		l.o.Wait = backOff
	}
	err := l.read(ctx, r)
	if err == nil {
		err = l.flush(ctx)
	}
	if err == nil && l.result.Lines > 0 && l.result.Bad == l.result.Lines {
		err = fmt.Errorf("%w: all %d are bad; line %d: %s", ErrNoEvents, l.result.Lines, l.first.Line, l.first.Reason)
	}
	l.result.Elapsed = time.Since(l.start)
	return l.result, err
}

type loader struct {
	o       LoadOptions
	log     Appender
	prepare preparer
	random  *rand.Rand
	start   time.Time
	told    time.Time
	result  LoadResult
	first   Fault // of the lines left out
	held    window
	sent    int64     // events handed to the batch, for the rate
	origin  time.Time // of the first event that has one, for the speed
	batch   []wire.Record
}

func (l *loader) read(ctx context.Context, r io.Reader) error {
	var from lines = newJSONLines(r)
	if l.o.Mapping != nil {
		from = newCSVLines(r, l.o.Mapping, l.o.Schema)
	}
	for {
		var ce wire.CloudEvent
		number, bad, err := from.next(&ce)
		l.result.Bytes = from.bytes()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		l.result.Lines++
		if err := l.line(ctx, number, &ce, bad); err != nil {
			return err
		}
	}
	for {
		record, ok := l.held.next(-1)
		if !ok {
			return nil
		}
		if err := l.send(ctx, record); err != nil {
			return err
		}
	}
}

// line reads one event, and sends it at its place in the disorder asked for.
func (l *loader) line(ctx context.Context, number int, ce *wire.CloudEvent, bad *wire.Problem) error {
	happened := ce.Time // before one without is stamped
	var record wire.Record
	if bad == nil {
		record, bad = l.prepare.record(ce)
	}
	if bad != nil {
		l.result.Bad++
		f := Fault{Line: number, Field: bad.Field, Reason: bad.Reason, Fate: bad.Fate.String()}
		if l.result.Bad == 1 {
			l.first = f
		}
		if l.o.Bad != nil {
			l.o.Bad(f)
		}
		if l.o.Strict {
			return fmt.Errorf("line %d: %s: %w", number, bad.Reason, ErrBadLine)
		}
		return nil
	}
	if l.o.Done != nil && l.o.Done(record.Key, number) {
		l.result.Before++
		return nil
	}
	if l.o.Name != "" {
		at := append(append([]byte(l.o.Name), '/'), strconv.Itoa(number)...)
		record.Headers = append(slices.Clip(record.Headers), wire.Header{Key: wire.HeaderLoaded, Value: at})
	}
	if err := l.happen(ctx, happened); err != nil {
		return err
	}
	if l.o.Shuffle == 0 && l.o.Duplicates == 0 {
		return l.send(ctx, record)
	}
	l.held.add(record, l.late())
	if l.random.Float64() < l.o.Duplicates {
		l.result.Duplicates++
		l.held.add(record, l.late()+1)
	}
	l.held.step()
	for {
		record, ok := l.held.next(0)
		if !ok {
			return nil
		}
		if err := l.send(ctx, record); err != nil {
			return err
		}
	}
}

func (l *loader) late() int { return l.random.IntN(l.o.Shuffle + 1) }

// send adds a record to the batch.
func (l *loader) send(ctx context.Context, r wire.Record) error {
	l.batch = append(l.batch, r)
	l.sent++
	if len(l.batch) >= l.batchMax() {
		return l.flush(ctx)
	}
	return nil
}

// happen waits until an event of that time is due. What was read before it is
// sent meanwhile.
func (l *loader) happen(ctx context.Context, at time.Time) error {
	if l.o.Speed <= 0 || at.IsZero() {
		return nil
	}
	if l.origin.IsZero() {
		l.origin = at
	}
	due := l.start.Add(time.Duration(float64(at.Sub(l.origin)) / l.o.Speed))
	if time.Until(due) < loadTick {
		return nil
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	return sleep(ctx, time.Until(due))
}

// batchMax keeps batches short where a rate is asked for, so that it is even.
func (l *loader) batchMax() int {
	if l.o.Rate <= 0 {
		return loadBatch
	}
	return min(max(int(l.o.Rate/20), 1), loadBatch)
}

// flush appends the batch, until the log has it.
func (l *loader) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	if err := l.pace(ctx); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		_, err := l.log.Append(ctx, l.batch)
		if err == nil {
			break
		}
		if attempt == loadTries || ctx.Err() != nil || errors.Is(err, ErrTooLarge) {
			return fmt.Errorf("after %d events: %w", l.result.Loaded, err)
		}
		if err := l.o.Wait(ctx, attempt); err != nil {
			return err
		}
	}
	l.result.Loaded += int64(len(l.batch))
	clear(l.batch)
	l.batch = l.batch[:0]
	if l.o.Progress != nil && time.Since(l.told) > 500*time.Millisecond {
		l.told = time.Now()
		l.result.Elapsed = time.Since(l.start)
		l.o.Progress(l.result)
	}
	return nil
}

// pace waits until the rate allows what has been read.
func (l *loader) pace(ctx context.Context) error {
	if l.o.Rate <= 0 {
		return ctx.Err()
	}
	due := l.start.Add(time.Duration(float64(l.sent) / l.o.Rate * float64(time.Second)))
	return sleep(ctx, time.Until(due))
}

func backOff(ctx context.Context, attempt int) error {
	return sleep(ctx, min(time.Duration(attempt)*500*time.Millisecond, 5*time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
