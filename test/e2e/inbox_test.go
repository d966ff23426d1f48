package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// readable is a stored state as the gateway shows it.
func (d *deployment) readable(value []byte) string {
	d.t.Helper()
	_, history, err := wire.DecodeStored(value, d.program.Schema())
	d.must(err)
	text, err := json.Marshal(wire.StateJSON(history.Head, d.program.Schema()))
	d.must(err)
	return string(text)
}

// standing returns the last committed revision of every notification, by
// participant and notification.
func (d *deployment) standing() map[string]map[string]*wire.NotificationRecord {
	d.t.Helper()
	last := map[string]map[string]*wire.NotificationRecord{}
	records := d.read("notifications")
	for i := range records {
		n, err := wire.DecodeNotification(&records[i])
		d.must(err)
		if last[n.Participant] == nil {
			last[n.Participant] = map[string]*wire.NotificationRecord{}
		}
		if before := last[n.Participant][n.ID]; before == nil || before.Revision < n.Revision {
			last[n.Participant][n.ID] = n
		}
	}
	return last
}

// inboxes compares every inbox with the notifications topic: each notification
// that stands is there once, as its latest revision says, and nothing else is.
func (d *deployment) inboxes() (standing int) {
	d.t.Helper()
	standing, problems := d.compareInboxes(d.t.Context())
	for _, p := range problems[:min(len(problems), 10)] {
		d.t.Error(p)
	}
	if len(problems) > 10 {
		d.t.Errorf("and %d more findings in the inboxes", len(problems)-10)
	}
	return standing
}

func (d *deployment) inbox() *redisstore.Inbox {
	cfg := d.rt.Config
	return redisstore.NewInbox(d.redis, cfg.Prefix, cfg.Notifier.InboxMax, cfg.Notifier.InboxRetention)
}

func (d *deployment) compareInboxes(ctx context.Context) (standing int, problems []string) {
	d.t.Helper()
	inbox := d.inbox()
	last := d.standing()
	for who, notifications := range last {
		entries, err := inboxOf(ctx, inbox, who)
		d.must(err)
		problems = append(problems, compareInbox(who, notifications, entries)...)
		for _, n := range notifications {
			if n.Op != string(delivery.Retract) {
				standing++
			}
		}
	}
	// Whoever has an inbox was notified of something.
	scan := d.redis.Scan(ctx, 0, "{"+d.kafka.Prefix+":inbox:*}:meta", 1000).Iterator()
	for scan.Next(ctx) {
		who := strings.TrimSuffix(strings.TrimPrefix(scan.Val(), "{"+d.kafka.Prefix+":inbox:"), "}:meta")
		if last[who] == nil {
			problems = append(problems, fmt.Sprintf("%s has an inbox and no notification", who))
		}
	}
	d.must(scan.Err())
	return standing, problems
}

// inboxOf reads a whole inbox as a client does, page by page.
func inboxOf(ctx context.Context, inbox *redisstore.Inbox, who string) ([]delivery.Entry, error) {
	const pageEntries = 200
	var all []delivery.Entry
	var at delivery.Cursor
	for {
		page, err := inbox.Page(ctx, who, at, pageEntries)
		if err != nil || page.Resync {
			return nil, fmt.Errorf("page %+v of %s's inbox (resync %t): %w", at, who, page.Resync, err)
		}
		all = append(all, page.Entries...)
		if len(page.Entries) < pageEntries {
			return all, nil
		}
		at = delivery.Cursor{Epoch: page.Epoch, Offset: page.Entries[len(page.Entries)-1].Offset}
	}
}

func compareInbox(who string, last map[string]*wire.NotificationRecord, entries []delivery.Entry) (problems []string) {
	find := func(format string, args ...any) {
		problems = append(problems, who+"'s inbox: "+fmt.Sprintf(format, args...))
	}
	seen := map[string]bool{}
	offset := int64(0)
	for i := range entries {
		e := &entries[i]
		if e.Offset <= offset {
			find("offset %d follows %d", e.Offset, offset)
		}
		offset = e.Offset
		n := last[e.Notification]
		switch {
		case n == nil:
			find("%s (%q) was never committed", e.Notification, e.Title)
		case seen[e.Notification]:
			find("%s (%q) is there twice", e.Notification, e.Title)
		case e.Revision != int(n.Revision) || string(e.Op) != n.Op:
			find("%s is revision %d (%s), the latest is %d (%s)", e.Notification, e.Revision, e.Op, n.Revision, n.Op)
		case e.Title != n.Title || e.Body != n.Body || e.Class != n.Class || e.EventType != n.EventType || !e.At.Equal(n.Time) || !e.EventTime.Equal(n.EventTime):
			find("%s says %+v, its latest revision %+v", e.Notification, e, n)
		}
		seen[e.Notification] = true
	}
	for id, n := range last {
		// A retraction leaves a mark only where there was something to retract.
		if !seen[id] && n.Op != string(delivery.Retract) {
			find("%s (%q) is missing", id, n.Title)
		}
	}
	return problems
}
