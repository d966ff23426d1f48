package fold

import (
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Told is what the topics say of one record.
type Told struct {
	Fate          participant.Fate
	Sentence      string                     // why it was not applied; empty where it was
	Notifications []*wire.NotificationRecord // that its arrival produced, in order
}

// Tell is Feed for whoever wants to know what the record came to, as a reader of
// the topics would learn it.
func (o *Oracle) Tell(r *wire.Record) (Told, error) {
	outputs, err := o.Feed(r)
	if err != nil {
		return Told{}, err
	}
	told := Told{Fate: participant.Applied}
	for i := range outputs {
		out := &wire.Record{Key: outputs[i].Key, Value: outputs[i].Value, Headers: outputs[i].Headers}
		switch outputs[i].Topic {
		case engine.Events:
			told.Fate = participant.Rerouted
		case engine.Rejected:
			rejected, err := wire.DecodeRejected(out)
			if err != nil {
				return told, fmt.Errorf("fold partition %d: offset %d: %w", r.Partition, r.Offset, err)
			}
			told.Fate, _ = participant.FateByName(rejected.Reason)
			told.Sentence = rejected.Sentence
		case engine.Notifications:
			n, err := wire.DecodeNotification(out)
			if err != nil {
				return told, fmt.Errorf("fold partition %d: offset %d: %w", r.Partition, r.Offset, err)
			}
			told.Notifications = append(told.Notifications, n)
		}
	}
	return told, nil
}
