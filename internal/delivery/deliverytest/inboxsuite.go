package deliverytest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// InboxSuite checks an inbox. make returns an empty one with these bounds.
func InboxSuite(t *testing.T, make func(t *testing.T, entriesMax int, retention time.Duration) delivery.Inbox) {
	t.Helper()
	for name, test := range map[string]func(*inboxCase){
		"a notification is taken once":                       inboxOnce,
		"a revision replaces its entry at a new offset":      inboxRevision,
		"a retraction leaves a tombstone":                    inboxRetract,
		"a cursor that lost entries is told to start afresh": inboxExpiredCursor,
		"what was dropped for room does not come back":       inboxDropped,
		"what is older than the retention is not taken":      inboxTooOld,
		"pages follow each other without gap or repetition":  inboxPages,
		"an acknowledgement never goes back":                 inboxAck,
		"an append wakes whoever waits":                      inboxWake,
		"participants are told apart":                        inboxParticipants,
	} {
		t.Run(name, func(t *testing.T) { test(&inboxCase{t, make(t, 5, time.Hour)}) })
	}
}

type inboxCase struct {
	t *testing.T
	i delivery.Inbox
}

// Note returns a notification for tests: number i, revision 1, arrived now.
func Note(participant string, i int) *delivery.Notification {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return &delivery.Notification{
		ID: fmt.Sprintf("%032x", i), Revision: 1, Op: delivery.Send, Participant: participant, Class: "clue",
		Rule: "clue-found", Name: "next", Title: fmt.Sprint("Title ", i), Body: "a \"body\" with ünïcode",
		Channels: []string{delivery.InboxChannel}, OnUnknown: delivery.Resend,
		EventType: "clue.found", EventTime: now.Add(-time.Second), Arrival: now, Recorded: now,
	}
}

func (c *inboxCase) append(n *delivery.Notification, want delivery.AppendOutcome, offset int64) {
	c.t.Helper()
	got, at, err := c.i.Append(c.t.Context(), n)
	if err != nil {
		c.t.Fatal(err)
	}
	if got != want || at != offset {
		c.t.Fatalf("append of %s.%d gave %s at %d, want %s at %d", n.ID[28:], n.Revision, got, at, want, offset)
	}
}

func (c *inboxCase) page(after delivery.Cursor, limit int) delivery.Page {
	c.t.Helper()
	p, err := c.i.Page(c.t.Context(), "alice", after, limit)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func offsets(p delivery.Page) []int64 {
	out := []int64{}
	for _, e := range p.Entries {
		out = append(out, e.Offset)
	}
	return out
}

func (c *inboxCase) want(p delivery.Page, want ...int64) {
	c.t.Helper()
	if got := offsets(p); !reflect.DeepEqual(got, append([]int64{}, want...)) {
		c.t.Fatalf("the page holds offsets %v, want %v", got, want)
	}
}

func inboxOnce(c *inboxCase) {
	n := Note("alice", 1)
	n.Expires = n.Arrival.Add(time.Hour)
	c.append(n, delivery.Appended, 1)
	c.append(n, delivery.Deduped, 1)
	c.append(Note("alice", 2), delivery.Appended, 2)
	p := c.page(delivery.Cursor{}, 10)
	c.want(p, 1, 2)
	want := delivery.Entry{
		Offset: 1, Notification: n.ID, Revision: 1, Op: delivery.Send, Class: n.Class, Title: n.Title, Body: n.Body,
		At: n.Arrival, Expires: n.Expires, EventType: n.EventType, EventTime: n.EventTime,
	}
	if !reflect.DeepEqual(p.Entries[0], want) {
		c.t.Fatalf("the entry is %+v, want %+v", p.Entries[0], want)
	}
	if p.Last != 2 || p.Epoch == "" || p.Resync {
		c.t.Fatalf("page %+v", p)
	}
}

func inboxRevision(c *inboxCase) {
	c.append(Note("alice", 1), delivery.Appended, 1)
	c.append(Note("alice", 2), delivery.Appended, 2)
	before := c.page(delivery.Cursor{}, 10)
	n := Note("alice", 1)
	n.Revision, n.Op, n.Title = 3, delivery.Update, "better"
	c.append(n, delivery.Appended, 3)
	n.Revision, n.Title = 2, "stale"
	c.append(n, delivery.Deduped, 3)
	p := c.page(delivery.Cursor{}, 10)
	c.want(p, 2, 3)
	if p.Entries[1].Title != "better" || p.Entries[1].Revision != 3 {
		c.t.Fatalf("the entry is %+v", p.Entries[1])
	}
	p = c.page(delivery.Cursor{Epoch: before.Epoch, Offset: 2}, 10)
	c.want(p, 3)
	if p.Resync {
		c.t.Fatal("a replaced entry is not a lost one")
	}
}

func inboxRetract(c *inboxCase) {
	c.append(Note("alice", 1), delivery.Appended, 1)
	n := Note("alice", 1)
	n.Revision, n.Op, n.Title, n.Body = 2, delivery.Retract, "", ""
	c.append(n, delivery.Tombstone, 2)
	c.append(n, delivery.Deduped, 2)
	c.append(Note("alice", 1), delivery.Deduped, 2)
	p := c.page(delivery.Cursor{}, 10)
	c.want(p, 2)
	if p.Entries[0].Op != delivery.Retract {
		c.t.Fatalf("the entry is %+v", p.Entries[0])
	}
	never := Note("alice", 9)
	never.Revision, never.Op = 2, delivery.Retract
	c.append(never, delivery.NothingYet, 0)
	c.append(Note("alice", 9), delivery.Deduped, 0)
	c.want(c.page(delivery.Cursor{}, 10), 2)
}

func inboxExpiredCursor(c *inboxCase) {
	for i := 1; i <= 7; i++ {
		c.append(Note("alice", i), delivery.Appended, int64(i))
	}
	p := c.page(delivery.Cursor{}, 10)
	c.want(p, 3, 4, 5, 6, 7)
	for _, x := range []struct {
		cursor delivery.Cursor
		resync bool
		want   []int64
	}{
		{delivery.Cursor{Epoch: p.Epoch, Offset: 1}, true, []int64{3, 4, 5, 6, 7}}, // 2 is gone unseen
		{delivery.Cursor{Epoch: p.Epoch, Offset: 2}, false, []int64{3, 4, 5, 6, 7}},
		{delivery.Cursor{Epoch: p.Epoch, Offset: 7}, false, nil},
		{delivery.Cursor{Epoch: p.Epoch, Offset: 8}, true, []int64{3, 4, 5, 6, 7}}, // never given out
		{delivery.Cursor{Epoch: "another", Offset: 7}, true, []int64{3, 4, 5, 6, 7}},
	} {
		got := c.page(x.cursor, 10)
		c.want(got, x.want...)
		if got.Resync != x.resync {
			c.t.Fatalf("cursor %+v: resync %v, want %v", x.cursor, got.Resync, x.resync)
		}
	}
}

func inboxDropped(c *inboxCase) {
	start := time.Now().Add(-30 * time.Minute)
	for i := 1; i <= 30; i++ { // more than the 4×5 that are remembered
		n := Note("alice", i)
		n.Arrival = start.Add(time.Duration(i) * time.Second)
		c.append(n, delivery.Appended, int64(i))
	}
	for i := 1; i <= 30; i++ {
		n := Note("alice", i)
		n.Arrival = start.Add(time.Duration(i) * time.Second)
		got, _, err := c.i.Append(c.t.Context(), n)
		// The newest one forgotten shares its arrival with the floor.
		if err != nil || (got != delivery.Deduped && got != delivery.TooOld && i != 10) {
			c.t.Fatalf("notification %d came back: %s, %v", i, got, err)
		}
	}
}

func inboxTooOld(c *inboxCase) {
	n := Note("alice", 1)
	n.Arrival = time.Now().Add(-2 * time.Hour)
	c.append(n, delivery.TooOld, 0)
	c.append(Note("alice", 2), delivery.Appended, 1)
}

func inboxPages(c *inboxCase) {
	if p := c.page(delivery.Cursor{}, 10); p.Epoch != "" || p.Resync || len(p.Entries) != 0 {
		c.t.Fatalf("an empty inbox gives %+v", p)
	}
	if p := c.page(delivery.Cursor{Epoch: "old", Offset: 3}, 10); !p.Resync {
		c.t.Fatal("a cursor into an inbox that is gone needs a resync")
	}
	for i := 1; i <= 5; i++ {
		c.append(Note("alice", i), delivery.Appended, int64(i))
	}
	p := c.page(delivery.Cursor{}, 2)
	c.want(p, 1, 2)
	c.want(c.page(delivery.Cursor{Epoch: p.Epoch, Offset: 2}, 2), 3, 4)
	c.want(c.page(delivery.Cursor{Epoch: p.Epoch, Offset: 4}, 2), 5)
	for _, x := range []struct {
		before int64
		want   []int64
	}{{0, []int64{5, 4}}, {4, []int64{3, 2}}, {2, []int64{1}}, {1, nil}} {
		got, err := c.i.Newest(c.t.Context(), "alice", x.before, 2)
		if err != nil {
			c.t.Fatal(err)
		}
		c.want(got, x.want...)
	}
}

func inboxAck(c *inboxCase) {
	ack := func(offset, want int64) {
		c.t.Helper()
		got, err := c.i.Ack(c.t.Context(), "alice", offset)
		if err != nil || got != want {
			c.t.Fatalf("ack %d gave %d, %v; want %d", offset, got, err, want)
		}
	}
	ack(3, 0)
	for i := 1; i <= 3; i++ {
		c.append(Note("alice", i), delivery.Appended, int64(i))
	}
	ack(2, 2)
	ack(1, 2)
	ack(-4, 2)
	ack(99, 3)
	if p := c.page(delivery.Cursor{}, 10); p.Acked != 3 {
		c.t.Fatalf("acked %d, want 3", p.Acked)
	}
}

func inboxWake(c *inboxCase) {
	woken, stop := c.i.Wake("alice")
	defer stop()
	other, stopOther := c.i.Wake("bob")
	defer stopOther()
	for i := 1; ; i++ { // a listener may take a moment to be there
		if _, _, err := c.i.Append(c.t.Context(), Note("alice", i)); err != nil {
			c.t.Fatal(err)
		}
		select {
		case <-woken:
		case <-time.After(100 * time.Millisecond):
			if i < 50 {
				continue
			}
			c.t.Fatal("nobody was woken by 50 appends")
		}
		break
	}
	select {
	case <-other:
		c.t.Fatal("bob was woken by alice's notification")
	case <-time.After(20 * time.Millisecond):
	}
}

func inboxParticipants(c *inboxCase) {
	for _, who := range []string{"alice", "a{l}ice", "alice:meta", "al%7Bice", "al{ice"} {
		c.append(Note(who, 1), delivery.Appended, 1)
	}
	c.want(c.page(delivery.Cursor{}, 10), 1)
}
