package examples

import (
	"bufio"
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Delays says how late the events of a sorted file are sent, and how many twice.
type Delays struct {
	// Steps are tried in order: with a step's share (of 1) the delay is drawn
	// evenly from zero to its maximum. The shares sum to at most 1; the rest is
	// sent at once.
	Steps []Delay
	// Repeats is the share (of 1) sent a second time, up to RepeatWithin after
	// the first.
	Repeats      float64
	RepeatWithin time.Duration
}

// Delay is one step of Delays.
type Delay struct {
	Share float64
	Max   time.Duration
}

// FlightReports is how airports report: most within minutes, some within the
// hour, one in twenty when the shift has ended; one in fifty twice.
var FlightReports = Delays{
	Steps: []Delay{
		{Share: 0.80, Max: 2 * time.Minute},
		{Share: 0.15, Max: time.Hour},
		{Share: 0.05, Max: 10 * time.Hour},
	},
	Repeats:      0.02,
	RepeatWithin: 90 * time.Minute,
}

// QuizAnswers is how phones in cellars answer: nearly all at once, some when the
// player comes up for air; one in twenty twice. The longest way is shorter than
// the grace of the quiz, two minutes.
var QuizAnswers = Delays{
	Steps: []Delay{
		{Share: 0.90, Max: 2 * time.Second},
		{Share: 0.08, Max: 30 * time.Second},
		{Share: 0.02, Max: 90 * time.Second},
	},
	Repeats:      0.05,
	RepeatWithin: 20 * time.Second,
}

// Disorder copies NDJSON events, sorted by their time, from r to w in the order
// in which they would be sent under d, and returns how many it sent twice. The
// same seed gives the same order. It holds as many lines as are delayed at a
// time.
func Disorder(w io.Writer, r io.Reader, seed uint64, d Delays) (repeats int, err error) {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	out := bufio.NewWriterSize(w, 1<<20)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 8<<20)
	var waiting queue
	var last time.Time
	for n := 0; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		at, err := eventTime(lines.Bytes())
		if err != nil {
			return repeats, fmt.Errorf("line %d: %w", n+1, err)
		}
		if at.Before(last) {
			return repeats, fmt.Errorf("line %d: the file is not sorted by time", n+1)
		}
		last = at
		// Nothing that follows can be sent before its own time.
		if err := waiting.release(out, at); err != nil {
			return repeats, err
		}
		line := bytes.Clone(lines.Bytes())
		first := at.Add(d.draw(random))
		heap.Push(&waiting, sending{first, n, line})
		if random.Float64() < d.Repeats {
			repeats++
			again := first.Add(time.Duration(random.Int64N(int64(d.RepeatWithin) + 1)))
			heap.Push(&waiting, sending{again, n, line})
		}
	}
	if err := lines.Err(); err != nil {
		return repeats, fmt.Errorf("read events: %w", err)
	}
	for waiting.Len() > 0 {
		if err := waiting.release(out, waiting[0].at.Add(1)); err != nil {
			return repeats, err
		}
	}
	return repeats, out.Flush()
}

func (d *Delays) draw(random *rand.Rand) time.Duration {
	share := random.Float64()
	for _, step := range d.Steps {
		if share < step.Share {
			return time.Duration(random.Int64N(int64(step.Max) + 1))
		}
		share -= step.Share
	}
	return 0
}

// eventTime finds a CloudEvent's time without decoding the rest. It expects the
// spelling of this package's own files: the attribute before the data, no white
// space around the colon.
func eventTime(line []byte) (time.Time, error) {
	const name = `"time":"`
	at := bytes.Index(line, []byte(name))
	if at < 0 {
		return time.Time{}, errors.New("the event has no time")
	}
	value := line[at+len(name):]
	end := bytes.IndexByte(value, '"')
	if end < 0 {
		return time.Time{}, errors.New("the event's time has no end")
	}
	return time.Parse(time.RFC3339Nano, string(value[:end]))
}

// sending is a line that waits for its moment; number breaks ties.
type sending struct {
	at     time.Time
	number int
	line   []byte
}

type queue []sending

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].number < q[j].number
}
func (q *queue) Push(x any) { *q = append(*q, x.(sending)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// release writes what was to be sent before now, in order.
func (q *queue) release(w *bufio.Writer, now time.Time) error {
	for q.Len() > 0 && (*q)[0].at.Before(now) {
		next := heap.Pop(q).(sending)
		if _, err := w.Write(next.line); err != nil {
			return err
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}
