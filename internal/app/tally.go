package app

import (
	"context"
	"fmt"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// Tally is what a deployment holds, counted from its topics and inboxes and
// not from what a process remembers of itself.
type Tally struct {
	Loaded     int64 `json:"loaded"` // records of the events topic
	Applied    int64 `json:"applied"`
	Duplicates int64 `json:"duplicates"`
	Late       int64 `json:"late"`
	Rejected   int64 `json:"rejected"`   // for any other reason
	Notified   int64 `json:"notified"`   // notifications that stand: sent and not retracted
	InInboxes  int64 `json:"in_inboxes"` // entries in the inboxes of those notified
	Astray     int64 `json:"astray"`     // differences of the two, one by one
}

func (t Tally) String() string {
	s := fmt.Sprintf("loaded %d, applied %d, duplicates %d, late %d, notified %d, in inboxes %d",
		t.Loaded, t.Applied, t.Duplicates, t.Late, t.Notified, t.InInboxes)
	if t.Astray > 0 {
		s += fmt.Sprintf(", missing or wrong in inboxes %d", t.Astray)
	}
	if t.Rejected > 0 {
		s += fmt.Sprintf(", otherwise rejected %d", t.Rejected)
	}
	return s
}

// Tally counts a deployment at rest.
func (rt Runtime) Tally(ctx context.Context) (Tally, error) {
	var t Tally
	kafka, err := rt.Kafka("tally")
	if err != nil {
		return t, err
	}
	client, err := rt.awaitRedis(ctx)
	if err != nil {
		return t, err
	}
	defer func() { _ = client.Close() }()
	events, err := kafkalog.Bounds(ctx, kafka, kafka.Topic("events"))
	if err != nil {
		return t, err
	}
	for _, b := range events {
		t.Loaded += b.Stable - b.Start
	}
	rerouted, err := t.rejects(ctx, kafka)
	if err != nil {
		return t, err
	}
	t.Applied = t.Loaded - t.Duplicates - t.Late - t.Rejected - rerouted
	standing := map[string]map[string]bool{} // participant → notifications
	err = eachRecord(ctx, kafka, "notifications", func(r *wire.Record) error {
		n, err := wire.DecodeNotification(r)
		if err != nil {
			return err
		}
		if standing[n.Participant] == nil {
			standing[n.Participant] = map[string]bool{}
		}
		standing[n.Participant][n.ID] = n.Op != participant.Retract.String()
		return nil
	})
	if err != nil {
		return t, err
	}
	inbox := redisstore.NewInbox(client, rt.Config.Prefix, rt.Config.Notifier.InboxMax, rt.Config.Notifier.InboxRetention)
	for who, ids := range standing {
		for _, stands := range ids {
			if stands {
				t.Notified++
			}
		}
		page, err := inbox.Newest(ctx, who, 0, rt.Config.Notifier.InboxMax)
		if err != nil {
			return t, err
		}
		shown, wrong := compareInbox(ids, page.Entries)
		t.InInboxes += shown
		t.Astray += wrong
	}
	return t, nil
}

// compareInbox counts the entries that an inbox shows, and how many of them
// stand for nothing or twice, or are missing. Numbers that agree do not say so:
// one lost and one doubled make the same sum.
func compareInbox(standing map[string]bool, entries []delivery.Entry) (shown, wrong int64) {
	seen := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		if e.Op == delivery.Retract {
			continue
		}
		shown++
		if !standing[e.Notification] || seen[e.Notification] {
			wrong++
		}
		seen[e.Notification] = true
	}
	for id, stands := range standing {
		if stands && !seen[id] {
			wrong++
		}
	}
	return shown, wrong
}

func (t *Tally) rejects(ctx context.Context, kafka kafkalog.Config) (rerouted int64, err error) {
	err = eachRecord(ctx, kafka, "rejected", func(r *wire.Record) error {
		switch string(r.Header(wire.HeaderReason)) {
		case participant.Duplicate.String():
			t.Duplicates++
		case participant.Late.String():
			t.Late++
		default:
			t.Rejected++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = eachRecord(ctx, kafka, "events", func(r *wire.Record) error {
		if r.Header(wire.HeaderReroutedFrom) != nil {
			rerouted++ // it stands in the log twice, and counts where it was moved to
		}
		return nil
	})
	return rerouted, err
}

// eachRecord reads all committed records of a topic.
func eachRecord(ctx context.Context, kafka kafkalog.Config, topic string, fn func(*wire.Record) error) error {
	topic = kafka.Topic(topic)
	bounds, err := kafkalog.Bounds(ctx, kafka, topic)
	if err != nil {
		return err
	}
	for _, b := range bounds {
		if b.Start >= b.Stable {
			continue
		}
		err := kafkalog.ReadPartition(ctx, kafka, topic, b.Partition, b.Start, b.Stable, true, func(records []wire.Record) error {
			for i := range records {
				if err := fn(&records[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
