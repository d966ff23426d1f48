package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/wire"
)

// Workload makes the same events each time it is asked.
type Workload struct {
	Name         string `json:"name"`
	Events       int64  `json:"events"` // records, copies included
	Participants int    `json:"participants"`
	Encoding     string `json:"encoding"` // structured or binary
	EventBytes   int    `json:"event_bytes"`
	Notify       int    `json:"notify_every"` // one notification in so many events
	Shape        string `json:"shape"`        // how it differs from core, in words; empty: in nothing else

	shape
}

// The encodings of an event: all of it as JSON, or its attributes as headers.
const (
	Structured = "structured"
	Binary     = "binary"
)

// NewWorkload returns one of Workloads by its name. Where participants are 0, it has
// its own number of them.
func NewWorkload(name string, events int64, participants int, encoding string) (*Workload, error) {
	is, ok := shapes[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no workload %q; there are %s", name, strings.Join(Workloads(), ", "))
	case events < 1:
		return nil, fmt.Errorf("a workload has 1 event or more, not %d", events)
	case participants < 0:
		return nil, fmt.Errorf("a workload has 1 participant or more, not %d", participants)
	case encoding != Structured && encoding != Binary:
		return nil, fmt.Errorf("an event is encoded as %s or %s, not %q", Structured, Binary, encoding)
	case participants == 0:
		participants = is.participants
	}
	w := &Workload{Name: name, Events: events, Participants: participants, Encoding: encoding, Notify: is.notify, Shape: is.words, shape: is}
	w.EventBytes = w.eventBytes()
	return w, nil
}

// InOrder says that each participant's events come in order, and once.
func (w *Workload) InOrder() bool { return w.shape.copies == 0 && w.shape.disorder == 0 }

// Program compiles the workload's rules.
func (w *Workload) Program() (participant.Program, error) {
	p, err := rules.Load("rules.yaml", w.rules)
	if err != nil {
		return nil, fmt.Errorf("compile the workload's rules: %w", err)
	}
	return p, nil
}

// began is the time of each participant's first event, and apart lies between
// two of its events: three of them are within the rules' grace.
var began = time.Date(2025, time.June, 1, 8, 0, 0, 0, time.UTC)

const apart = 10 * time.Second

// firstID is the identity of event number 0, and those of the others follow.
const firstID = int64(1e11)

// record makes event number i of all, number n of participant who.
func (w *Workload) record(i int64, who int, n int64, partitions int32) *kgo.Record {
	key := fmt.Appendf(nil, "player-%05d", who)
	at := began.Add(time.Duration(n)*apart + time.Duration(i%1000)*time.Millisecond)
	id, when := strconv.FormatInt(firstID+i, 10), at.Format("2006-01-02T15:04:05.000000Z")
	kind, data := "player.walked", w.walked(i)
	if i%int64(w.Notify) == int64(w.Notify)-1 {
		kind, data = "clue.found", w.found(i, n)
	}
	r := &kgo.Record{Key: key, Partition: wire.PartitionFor(key, partitions)}
	if w.Encoding == Binary {
		r.Value = data
		r.Headers = []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(id)},
			{Key: "ce_source", Value: []byte("/bench/game")},
			{Key: "ce_type", Value: []byte(kind)},
			{Key: "ce_time", Value: []byte(when)},
			{Key: "ce_partitionkey", Value: key},
			{Key: "content-type", Value: []byte("application/json")},
		}
		return r
	}
	b := make([]byte, 0, 320)
	b = append(b, `{"specversion":"1.0","id":"`...)
	b = append(b, id...)
	b = append(b, `","source":"/bench/game","type":"`...)
	b = append(b, kind...)
	b = append(b, `","time":"`...)
	b = append(b, when...)
	b = append(b, `","partitionkey":"`...)
	b = append(b, key...)
	b = append(b, `","data":`...)
	b = append(b, data...)
	r.Value = append(b, '}')
	r.Headers = structuredHeaders
	return r
}

var structuredHeaders = []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}

func (w *Workload) walked(i int64) []byte {
	b := append(make([]byte, 0, 96), `{"metres":`...)
	b = strconv.AppendInt(b, 1+i%97, 10)
	return where(b, i)
}

func (w *Workload) found(i, n int64) []byte {
	b := append(make([]byte, 0, 96), `{"clue":"c-`...)
	b = strconv.AppendInt(b, n%40, 10)
	b = append(b, `","points":`...)
	b = strconv.AppendInt(b, 10+i%90, 10)
	return where(b, i)
}

// where appends what both types have.
func where(b []byte, i int64) []byte {
	b = append(b, `,"zone":"harbour-`...)
	b = strconv.AppendInt(b, i%32, 10)
	b = append(b, `","device":"phone/17.4 app/2.9.`...)
	b = strconv.AppendInt(b, i%8, 10)
	return append(b, `"}`...)
}

// eventBytes is the median size of a key, value and headers.
func (w *Workload) eventBytes() int {
	var sizes []int
	for i := range int64(1000) {
		r := w.record(i, int(i)%w.Participants, i%100, 1)
		n := len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			n += len(h.Key) + len(h.Value)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2]
}
