package redisstore

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
)

var (
	//go:embed inbox_append.lua
	inboxAppendSource string
	//go:embed inbox_page.lua
	inboxPageSource string
	//go:embed inbox_ack.lua
	inboxAckSource string

	inboxAppend = redis.NewScript(inboxAppendSource)
	inboxPage   = redis.NewScript(inboxPageSource)
	inboxAck    = redis.NewScript(inboxAckSource)
)

// Inbox keeps the participants' inboxes in Redis. Dedupe, append and bound are
// one script, and a participant's keys share a slot.
type Inbox struct {
	client    redis.UniversalClient
	prefix    string
	max       int
	retention time.Duration

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool
}

var _ delivery.Inbox = (*Inbox)(nil)

// NewInbox returns the inboxes under prefix, each bounded to entriesMax
// entries of at most retention.
func NewInbox(client redis.UniversalClient, prefix string, entriesMax int, retention time.Duration) *Inbox {
	return &Inbox{
		client: client, prefix: prefix, max: entriesMax, retention: retention,
		waiting: map[string]map[chan struct{}]bool{},
	}
}

// Append implements delivery.Inbox.
func (b *Inbox) Append(ctx context.Context, n *delivery.Notification) (delivery.AppendOutcome, int64, error) {
	e := delivery.Entry{
		Notification: n.ID, Revision: n.Revision, Op: n.Op, Class: n.Class, Title: n.Title, Body: n.Body,
		At: n.Arrival, Expires: n.Expires, EventType: n.EventType, EventTime: n.EventTime,
	}
	body, err := json.Marshal(&e)
	if err != nil {
		return "", 0, fmt.Errorf("encode an inbox entry: %w", err)
	}
	var epoch [8]byte
	rand.Read(epoch[:]) //nolint:errcheck // never fails
	reply, err := inboxAppend.Run(ctx, b.client, inboxKeys(b.prefix, n.Participant), n.ID, n.Revision,
		flag(n.Op == delivery.Retract), n.Arrival.UnixMilli(), body, b.max, b.retention.Milliseconds(),
		hex.EncodeToString(epoch[:]), wakeChannel(b.prefix), n.Participant).StringSlice()
	if err != nil {
		return "", 0, fmt.Errorf("append to an inbox: %w", err)
	}
	if len(reply) != 2 {
		return "", 0, fmt.Errorf("append to an inbox: %d fields in the answer, want 2", len(reply))
	}
	offset, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("append to an inbox: %w", err)
	}
	return delivery.AppendOutcome(reply[0]), offset, nil
}

// Page implements delivery.Inbox.
func (b *Inbox) Page(ctx context.Context, participant string, after delivery.Cursor, limit int) (delivery.Page, error) {
	return b.page(ctx, participant, "after", after.Epoch, after.Offset, limit)
}

// Newest implements delivery.Inbox.
func (b *Inbox) Newest(ctx context.Context, participant string, before int64, limit int) (delivery.Page, error) {
	return b.page(ctx, participant, "newest", "", before, limit)
}

func (b *Inbox) page(ctx context.Context, who, mode, epoch string, offset int64, limit int) (delivery.Page, error) {
	reply, err := inboxPage.Run(ctx, b.client, inboxKeys(b.prefix, who)[:3], mode, epoch, offset, limit).StringSlice()
	if err != nil {
		return delivery.Page{}, fmt.Errorf("read an inbox: %w", err)
	}
	if len(reply) < 4 {
		return delivery.Page{}, fmt.Errorf("read an inbox: %d fields in the answer, want 4 or more", len(reply))
	}
	p := delivery.Page{Epoch: reply[0], Resync: reply[3] == "1", Entries: make([]delivery.Entry, 0, len(reply)/2-2)}
	if p.Last, err = strconv.ParseInt(reply[1], 10, 64); err != nil {
		return p, fmt.Errorf("read an inbox: %w", err)
	}
	if p.Acked, err = strconv.ParseInt(reply[2], 10, 64); err != nil {
		return p, fmt.Errorf("read an inbox: %w", err)
	}
	for i := 4; i+1 < len(reply); i += 2 {
		var e delivery.Entry
		if err := json.Unmarshal([]byte(reply[i+1]), &e); err != nil {
			return p, fmt.Errorf("read the inbox entry at %s: %w", reply[i], err)
		}
		if e.Offset, err = strconv.ParseInt(reply[i], 10, 64); err != nil {
			return p, fmt.Errorf("read an inbox: %w", err)
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}

// Ack implements delivery.Inbox.
func (b *Inbox) Ack(ctx context.Context, participant string, offset int64) (int64, error) {
	acked, err := inboxAck.Run(ctx, b.client, inboxKeys(b.prefix, participant)[:1], offset).Int64()
	if err != nil {
		return 0, fmt.Errorf("acknowledge in an inbox: %w", err)
	}
	return acked, nil
}

// Wake implements delivery.Inbox; Listen must run for it to have any effect.
func (b *Inbox) Wake(participant string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting[participant] == nil {
		b.waiting[participant] = map[chan struct{}]bool{}
	}
	b.waiting[participant][ch] = true
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting[participant], ch)
		if len(b.waiting[participant]) == 0 {
			delete(b.waiting, participant)
		}
	}
}

// Listen passes on what all notifiers publish, until ctx ends. The client
// subscribes again by itself after an outage. What was published meanwhile is lost,
// so everybody is woken then; readers poll as well, for what is lost in silence.
func (b *Inbox) Listen(ctx context.Context) {
	sub := b.client.Subscribe(ctx, wakeChannel(b.prefix))
	defer sub.Close() //nolint:errcheck // nothing is left to be lost
	messages := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case msg, ok := <-messages:
			if !ok {
				return
			}
			switch msg := msg.(type) {
			case *redis.Message:
				b.wake(msg.Payload)
			case *redis.Subscription:
				b.wakeAll()
			}
		}
	}
}

func (b *Inbox) wake(participant string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	hint(b.waiting[participant])
}

func (b *Inbox) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, all := range b.waiting {
		hint(all)
	}
}

func hint(all map[chan struct{}]bool) {
	for ch := range all {
		select {
		case ch <- struct{}{}:
		default: // a hint waits there already
		}
	}
}
