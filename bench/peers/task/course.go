package task

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Course is how far a process's clients are together.
type Course struct {
	out     io.Writer
	records int64

	mu        sync.Mutex
	owned     []int   // partitions of each client
	next      []int64 // by partition: the offset committed
	committed int64   // records of all partitions
	ready     chan struct{}
	done      chan struct{}
}

// NewCourse returns the course of a task from its start. What the runner has to know
// is written to out.
func NewCourse(t *Task, partitions int, out io.Writer) *Course {
	return &Course{
		out: out, records: t.Records, owned: make([]int, t.Clients), next: make([]int64, partitions),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// Owns adds to, or takes from, what a client owns. Once all partitions have an owner,
// and every client its share of them, the peer is ready.
func (c *Course) Owns(client, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owned[client] += change
	total := 0
	for _, n := range c.owned {
		if n < len(c.next)/len(c.owned) {
			return
		}
		total += n
	}
	if total == len(c.next) && !closed(c.ready) {
		c.say(message{Event: "ready"})
		close(c.ready)
	}
}

// Committed notes the offsets that a commit left behind, by partition: everything below
// them is written. What is read and committed again does not count again. Once all is
// committed the peer is done, before its clients leave the group, which takes a while.
func (c *Course) Committed(next map[int32]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for partition, offset := range next {
		if grown := offset - c.next[partition]; grown > 0 {
			c.next[partition] = offset
			c.committed += grown
		}
	}
	if c.committed >= c.records && !closed(c.done) {
		c.say(message{Event: "done", Records: c.committed})
		close(c.done)
	}
}

// Ready is closed once the clients may fetch.
func (c *Course) Ready() <-chan struct{} { return c.ready }

// Done is closed once all is committed.
func (c *Course) Done() <-chan struct{} { return c.done }

// Run runs the task's clients until all is committed.
func (c *Course) Run(ctx context.Context, client func(ctx, working context.Context, number int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx) // ends when all is committed too
	defer stop()
	go func() {
		select {
		case <-c.done:
			stop()
		case <-working.Done():
		}
	}()
	for i := range c.owned {
		g.Go(func() error { return client(ctx, working, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !closed(c.done) {
		return fmt.Errorf("the clients ended with %d of %d records committed", c.committed, c.records)
	}
	return nil
}

// message is a line for the runner.
type message struct {
	Event   string `json:"event"`
	Records int64  `json:"records,omitempty"`
}

func (c *Course) say(m message) {
	_ = json.NewEncoder(c.out).Encode(m) // a runner that does not read is gone, and ends us
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
