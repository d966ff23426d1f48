package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/redisstore"
)

// watched measures a notifier that every player is connected to: what a
// connection costs, how fast a backlog reaches the screens, and how long an event
// takes until it does.
func (n *notify) watched(ctx context.Context, p *place) error {
	q, err := n.startServing(ctx, p, PartNotifier)
	if err != nil {
		return err
	}
	defer q.stop()
	a, err := n.gather(p)
	if err != nil {
		return err
	}
	defer a.stop()
	r := &round{n: n, p: p, notifier: q, audience: a, draw: newDraw(n.opts.Players), receipts: newReceipts(p)}
	connections, err := n.connections(ctx, r)
	if err != nil {
		return err
	}
	before, err := redisMemory(ctx, p)
	if err != nil {
		return err
	}
	drained, err := r.rounds(ctx)
	if err != nil {
		return err
	}
	after, err := redisMemory(ctx, p)
	if err != nil {
		return err
	}
	if before > 0 && after > before {
		connections.Inbox = float64(after-before) / float64(n.opts.Players)
		connections.Entries = float64(r.originals) / float64(n.opts.Players)
	}
	screen, eventCopies, err := n.screen(ctx, r)
	if err != nil {
		return err
	}
	shown, err := a.report(ctx, r.draw.counts)
	if err != nil {
		return err
	}
	n.found.merge(shown.Findings)
	if err := r.receipts.await(ctx, r.originals+r.copies); err != nil {
		return err
	}
	if err := r.receipts.check(ctx, &n.found, r.originals, r.copies); err != nil {
		return err
	}
	if err := n.counted(ctx, p, r.originals, eventCopies); err != nil {
		return err
	}
	if err := n.found.err(); err != nil {
		return err
	}
	screen.take(shown.Times)
	n.report.Connections, n.report.Watched, n.report.Screen = connections, drained, screen
	n.report.Verified.add(r.originals, r.copies+eventCopies)
	return nil
}

// counted compares what stands in the log with what was sent, and with the
// inboxes.
func (n *notify) counted(ctx context.Context, p *place, originals, eventCopies int64) error {
	t, err := p.rt.Tally(ctx)
	if err != nil {
		return fmt.Errorf("count the inboxes: %w", err)
	}
	if t.Notified != originals || t.InInboxes != originals || t.Astray > 0 {
		n.found.add(findForeign, 1, "%d notifications stand and the inboxes hold %d, %d of them missing or wrong, where %d were caused", t.Notified, t.InInboxes, t.Astray, originals)
	}
	if t.Duplicates != eventCopies || t.Late > 0 || t.Rejected > 0 {
		n.found.add(findForeign, 1, "%d events were rejected as duplicates, %d as late and %d for other reasons, where %d were sent twice", t.Duplicates, t.Late, t.Rejected, eventCopies)
	}
	return nil
}

// connections has the players connect and leaves them alone for a while.
func (n *notify) connections(ctx context.Context, r *round) (*Connections, error) {
	idle := min(max(n.opts.For/2, idleLeast), idleMost)
	if err := rest(ctx, idleLeast); err != nil {
		return nil, err
	}
	without, err := r.notifier.memory(ctx, n.meter.Proc)
	if err != nil {
		return nil, err
	}
	n.say("  connecting %s players", thousands(float64(n.opts.Players)))
	began := time.Now()
	if err := r.audience.connect(ctx, n, r.notifier.Serves); err != nil {
		return nil, err
	}
	c := &Connections{Players: n.opts.Players, Took: time.Since(began), Without: without}
	if err := rest(ctx, idleLeast); err != nil {
		return nil, err
	}
	from, err := r.account()
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, idle); err != nil {
		return nil, err
	}
	to, err := r.account()
	if err != nil {
		return nil, err
	}
	c.Idle, c.IdleFor = n.between(from, to), idle
	if c.With, err = r.notifier.memory(ctx, n.meter.Proc); err != nil {
		return nil, err
	}
	n.say("  %s each, %s idle: notifier %.1f %% of a processor, Redis %.1f %%", kib(c.PerConnection()), idle,
		c.Idle.Notifier.Seconds()/idle.Seconds()*100, c.Idle.Redis.Seconds()/idle.Seconds()*100)
	return c, nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// screen sends events at the rate, and waits until the players were shown what
// they cause.
func (n *notify) screen(ctx context.Context, r *round) (*Screen, int64, error) {
	q, err := n.startServing(ctx, r.p, PartPipeline)
	if err != nil {
		return nil, 0, err
	}
	r.audience.pipeline = q
	defer func() {
		r.audience.pipeline = nil
		q.stop()
	}()
	warm := n.opts.warmUp()
	records := int((warm + n.opts.For).Seconds() * float64(n.opts.Rate))
	plan, copies := r.draw.plan(records, n.opts.Duplicates)
	r.originals += int64(records - copies)
	events := newPlay(q.Serves, plan, n.opts.Rate)
	start := time.Now().Add(time.Second)
	measured := start.Add(warm)
	if err := r.audience.tell.Encode(instruction{Do: doMeasure, From: measured.UnixMicro()}); err != nil {
		return nil, 0, fmt.Errorf("tell the players to measure: %w", err)
	}
	n.say("  %s events/s for %s, after %s that are not measured", thousands(float64(n.opts.Rate)), n.opts.For, warm)
	playing, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- events.run(playing, start) }()
	s := &Screen{Rate: n.opts.Rate, For: n.opts.For}
	if s.usage, err = n.usageOf(ctx, r, measured, n.opts.For); err != nil {
		cancel()
		return nil, 0, errors.Join(err, <-sent)
	}
	if err := <-sent; err != nil {
		return nil, 0, err
	}
	if err := r.audience.shown(ctx, r.originals, r.draw.counts); err != nil {
		return nil, 0, err
	}
	s.Refused, s.Behind = events.refused.Load(), quantiles(events.behind)
	return s, int64(copies), nil
}

// usageOf returns what everybody used from a moment on, for so long.
func (n *notify) usageOf(ctx context.Context, r *round, from time.Time, d time.Duration) (usage, error) {
	if err := rest(ctx, time.Until(from)); err != nil {
		return usage{}, err
	}
	before, err := r.account()
	if err != nil {
		return usage{}, err
	}
	if err := rest(ctx, time.Until(from.Add(d))); err != nil {
		return usage{}, err
	}
	after, err := r.account()
	return n.between(before, after), err
}

// redisMemory returns what Redis holds, or 0 where it does not say.
func redisMemory(ctx context.Context, p *place) (int64, error) {
	where, err := p.rt.Redis()
	if err != nil {
		return 0, err
	}
	client := redisstore.Open(where)
	defer func() { _ = client.Close() }()
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, nil //nolint:nilerr // a server that does not say it is no fault
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, nil
}
