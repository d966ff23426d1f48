package trail

import (
	"context"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Log reads topics by their short names. It never waits for what is not there.
type Log interface {
	// Bounds returns the first offset, the one after the last decided record, and
	// the one after the last record.
	Bounds(ctx context.Context, topic string, partition int32) (Bounds, error)
	// Read calls fn with the committed records of [from, to), which are decided.
	Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error
	// Committed returns the processors' offset, 0 where there is none. It is an
	// error where that is not known now.
	Committed(ctx context.Context, partition int32) (int64, error)
	// After returns the offset of the first record that the partition took at or
	// after a moment; the end where there is none.
	After(ctx context.Context, topic string, partition int32, at time.Time) (int64, error)
}

// Teller tells from a log.
type Teller struct {
	Log        Log
	Partitions int32 // of the events topic
}

// Bounds are the offsets that a partition can be read between.
type Bounds struct{ Start, Stable, End int64 }

// Status is how far an event has come.
type Status string

// The ways of an event: accepted, then one of the others.
const (
	Accepted Status = "accepted" // in the log; no processor has decided it
	Applied  Status = "applied"
	Rejected Status = "rejected"
	Rerouted Status = "rerouted" // appended to the partition of its participant, where it has a fate of its own
)

// Entry is one record of the events topic, and what became of it.
type Entry struct {
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Arrived   time.Time `json:"arrived"`
	Event     Event     `json:"event"`
	Status    Status    `json:"status"`
	// Reason is a fate's name, and Sentence says it; of a rejected event.
	Reason   string `json:"reason,omitempty"`
	Sentence string `json:"sentence,omitempty"`
	// MovedFrom is the partition/offset that a record was rerouted from.
	MovedFrom string `json:"moved_from,omitempty"`
	// SequenceBreak is gap or inversion, where the source's count did not go on by
	// one from its last event in this trail.
	SequenceBreak string         `json:"sequence_break,omitempty"`
	Notifications []Notification `json:"notifications,omitempty"`
}

// Event is what a record says of itself. What cannot be read is empty.
type Event struct {
	Source      string    `json:"source"`
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Participant string    `json:"participant"`
	Time        time.Time `json:"time"`
	Sequence    string    `json:"sequence,omitempty"`
}

// Notification is what the arrival of an event has had told, changed or taken
// back. Where folding again changed what earlier events justify, it is theirs.
type Notification struct {
	ID       string `json:"notification"`
	Revision uint32 `json:"revision"`
	Op       string `json:"op"` // send, update or retract
	Class    string `json:"class"`
	Rule     string `json:"rule"`
	Name     string `json:"name"`
	Title    string `json:"title,omitempty"`
	// Channels has the class's channels in order, and one more entry for each
	// further target.
	Channels []Delivery `json:"channels"`
}

// Delivery is what became of a notification at a target of a channel.
type Delivery struct {
	Channel string `json:"channel"`
	Target  string `json:"target,omitempty"`
	// Outcome is pending, or that of the last receipt: accepted, sent, deduped,
	// ambiguous, retried, expired, retracted, pruned, dead, seen, muted, deferred or
	// digested.
	Outcome  string     `json:"outcome"`
	Attempts int        `json:"attempts,omitempty"`
	At       *time.Time `json:"at,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

// Pending is the outcome at a channel that no notifier has reported on.
const Pending = "pending"

// EntryOf reads what a record says of itself; it is accepted.
func EntryOf(r *wire.Record) Entry {
	var e participant.Event
	_ = wire.DecodeEvent(r, nil, &e) // what could be read of it is in e
	return Entry{
		Partition: r.Partition, Offset: r.Offset, Arrived: moment(r.Timestamp), Status: Accepted,
		Event: Event{
			Source: e.Source, ID: e.ID, Type: e.Type, Participant: e.Participant, Time: moment(e.Time), Sequence: e.Sequence,
		},
		MovedFrom: string(r.Header(wire.HeaderReroutedFrom)),
	}
}

func moment(us int64) time.Time { return time.UnixMicro(us).UTC() }

// reject notes a rejection.
func (e *Entry) reject(x *wire.RejectedRecord) {
	e.Status, e.Reason, e.Sentence = Rejected, x.Reason, x.Sentence
}

// Told notes a notification that the entry's arrival has caused.
func (e *Entry) Told(n *wire.NotificationRecord) {
	out := Notification{
		ID: n.ID, Revision: n.Revision, Op: n.Op, Class: n.Class, Rule: n.Rule, Name: n.Name, Title: n.Title,
	}
	for _, channel := range n.Channels {
		out.Channels = append(out.Channels, Delivery{Channel: channel, Outcome: Pending})
	}
	e.Notifications = append(e.Notifications, out)
}

// received notes a receipt. Receipts come in the order of what happened, and may
// come twice.
func (n *Notification) received(x *wire.Receipt) {
	at := x.At
	said := Delivery{x.Channel, x.Target, x.Outcome, x.Attempt, &at, x.Reason}
	for i := range n.Channels {
		d := &n.Channels[i]
		if d.Channel == x.Channel && (d.Target == x.Target || d.Outcome == Pending) {
			if x.Attempt < d.Attempts {
				said.Attempts = d.Attempts
			}
			*d = said
			return
		}
	}
	n.Channels = append(n.Channels, said)
}
