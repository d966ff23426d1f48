package deliverytest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// Channel is an outside channel whose answers a test writes.
type Channel struct {
	ChannelName string
	TargetName  string
	TimeoutSet  time.Duration
	Pauses      []time.Duration // between attempts
	// Answer decides about the nth attempt at a notification, from 1; nil accepts.
	Answer func(ctx context.Context, n int, a delivery.Attempt) delivery.Result

	mu     sync.Mutex
	copies []Copy
	tries  map[string]int
}

// Copy is what a provider accepted, or may have.
type Copy struct {
	Participant, Notification string
	Revision, Number          int
	Op                        delivery.Op
	InboxOffset               int64
	At                        time.Time
}

// NewChannel returns a channel that accepts everything.
func NewChannel(name string) *Channel {
	return &Channel{
		ChannelName: name, TargetName: "target", TimeoutSet: 200 * time.Millisecond,
		Pauses: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond},
		tries:  map[string]int{},
	}
}

// Name implements delivery.Channel.
func (c *Channel) Name() string { return c.ChannelName }

// Targets implements delivery.Channel.
func (c *Channel) Targets(context.Context, string) ([]string, error) {
	return []string{c.TargetName}, nil
}

// Timeout implements delivery.Channel.
func (c *Channel) Timeout() time.Duration { return c.TimeoutSet }

// Retry implements delivery.Channel.
func (c *Channel) Retry(attempt int) (time.Duration, bool) {
	if attempt > len(c.Pauses) {
		return 0, false
	}
	return c.Pauses[attempt-1], true
}

// Deliver implements delivery.Channel. Every attempt whose verdict is not a
// definite failure counts as a copy that reached the person.
func (c *Channel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	key := fmt.Sprint(a.Notification.ID, a.Notification.Revision)
	c.mu.Lock()
	c.tries[key]++
	n := c.tries[key]
	c.mu.Unlock()
	res := delivery.Result{Verdict: delivery.Accepted, Provider: "p"}
	if c.Answer != nil {
		res = c.Answer(ctx, n, a)
	}
	if res.Verdict == delivery.Accepted || res.Verdict == delivery.Unknown {
		c.mu.Lock()
		c.copies = append(c.copies, Copy{
			a.Notification.Participant, a.Notification.ID, a.Notification.Revision, a.Number, a.Op, a.InboxOffset, time.Now(),
		})
		c.mu.Unlock()
	}
	return res
}

// Copies returns what reached people, in its order.
func (c *Channel) Copies() []Copy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Copy(nil), c.copies...)
}

// Tries counts the attempts at one revision.
func (c *Channel) Tries(id string, revision int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[fmt.Sprint(id, revision)]
}
