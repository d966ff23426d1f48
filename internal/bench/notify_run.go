package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// alone measures a notifier that serves nobody, and reads the inboxes itself in
// the end.
func (n *notify) alone(ctx context.Context, p *place) error {
	q, err := n.startServing(ctx, p, PartNotifier)
	if err != nil {
		return err
	}
	defer q.stop()
	r := &round{n: n, p: p, notifier: q, draw: newDraw(n.opts.Players), receipts: newReceipts(p)}
	d, err := r.rounds(ctx)
	if err != nil {
		return err
	}
	if err := r.receipts.check(ctx, &n.found, r.originals, r.copies); err != nil {
		return err
	}
	if err := n.inboxes(ctx, p, r.draw.counts); err != nil {
		return err
	}
	n.report.Alone = d
	n.report.Verified.add(r.originals, r.copies)
	return n.found.err()
}

// inboxes reads every inbox whole, as a client does, and checks it like a screen.
func (n *notify) inboxes(ctx context.Context, p *place, want []int64) error {
	where, err := p.rt.Redis()
	if err != nil {
		return err
	}
	client := redisstore.Open(where)
	defer func() { _ = client.Close() }()
	cfg := p.rt.Config.Notifier
	inbox := redisstore.NewInbox(client, p.kafka.Prefix, cfg.InboxMax, cfg.InboxRetention)
	for i, count := range want {
		s := newScreen(playerName(i))
		page, err := inbox.Page(ctx, s.player, delivery.Cursor{}, cfg.InboxMax)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			number, _, err := readNote(e.Title, e.Body)
			if err != nil {
				n.found.add(findForeign, 1, "%s: entry %d: %v", s.player, e.Offset, err)
			}
			s.see(&n.found, page.Epoch, e.Offset, e.Notification, number)
		}
		s.end(&n.found, count)
	}
	return nil
}

// round is what rounds on one place share.
type round struct {
	n        *notify
	p        *place
	notifier *part
	audience *audience // nil: nobody
	draw     *draw
	receipts *receipts

	originals, copies int64 // sent so far
}

// rounds drains a smaller backlog, which is not counted, and then as many as
// asked for.
func (r *round) rounds(ctx context.Context) (*Drained, error) {
	b, err := r.p.newBacklog()
	if err != nil {
		return nil, err
	}
	defer b.close()
	d := &Drained{}
	if r.audience != nil {
		d.Streams = r.n.opts.Players
	}
	if _, err := r.drain(ctx, b, max(r.n.opts.Records/warmUpShare, int(r.p.partitions))); err != nil {
		return nil, err
	}
	for i := range r.n.opts.Rounds {
		w, err := r.drain(ctx, b, r.n.opts.Records)
		if err != nil {
			return nil, err
		}
		r.n.say("  round %d of %d: %s notifications/s, %s/s with the copies, %.0f µs of the notifier each, other load %.0f %%",
			i+1, r.n.opts.Rounds, thousands(w.Rate()), thousands(w.RecordRate()), w.Micros(), max(w.Other, 0)*100)
		d.Rounds = append(d.Rounds, w)
	}
	return d, nil
}

// drain lets the notifier work off one backlog. The window begins when the
// backlog is let go, and ends with the last receipt, or when the last player was
// shown the last notification, whichever is later.
func (r *round) drain(ctx context.Context, b *backlog, records int) (DrainWindow, error) {
	plan, copies := r.draw.plan(records, r.n.opts.Duplicates)
	if err := b.fill(ctx, r.p, plan); err != nil {
		return DrainWindow{}, err
	}
	r.originals, r.copies = r.originals+int64(records-copies), r.copies+int64(copies)
	from, err := r.account()
	if err != nil {
		return DrainWindow{}, err
	}
	if err := b.open(ctx); err != nil {
		return DrainWindow{}, err
	}
	if r.audience != nil {
		if err := r.audience.shown(ctx, r.originals, r.draw.counts); err != nil {
			return DrainWindow{}, err
		}
	}
	if err := r.receipts.await(ctx, r.originals+r.copies); err != nil {
		return DrainWindow{}, err
	}
	to, err := r.account()
	if err != nil {
		return DrainWindow{}, err
	}
	if err := r.receipts.read(ctx); err != nil {
		return DrainWindow{}, err
	}
	ended := r.receipts.last
	if r.audience != nil && r.audience.last().After(ended) {
		ended = r.audience.last()
	}
	return DrainWindow{
		Notifications: int64(records - copies), Copies: int64(copies), Wall: ended.Sub(from.At),
		usage: r.n.between(from, to),
	}, nil
}

// account reads what everybody has used so far.
func (r *round) account() (account, error) {
	a := account{}
	var err error
	if a.Reading, err = r.n.meter.Read(); err != nil {
		return a, err
	}
	if a.notifier, err = r.n.meter.spent(Process{PIDs: []int{r.notifier.PID()}}); err != nil {
		return a, fmt.Errorf("read the notifier's CPU time: %w", err)
	}
	if r.audience == nil {
		return a, nil
	}
	if a.players, err = r.n.meter.spent(Process{PIDs: []int{r.audience.PID()}}); err != nil {
		return a, fmt.Errorf("read the players' CPU time: %w", err)
	}
	if r.audience.pipeline != nil {
		if a.pipeline, err = r.n.meter.spent(Process{PIDs: []int{r.audience.pipeline.PID()}}); err != nil {
			return a, fmt.Errorf("read the pipeline's CPU time: %w", err)
		}
	}
	return a, nil
}

// receipts counts what the notifier says that it did.
type receipts struct {
	p        *place
	next     []int64          // by partition: the first that was not read
	outcomes map[string]int64 // of those that were
	last     time.Time        // when the latest of them was written
}

func newReceipts(p *place) *receipts {
	return &receipts{p: p, next: make([]int64, p.partitions), outcomes: map[string]int64{}}
}

// await waits until there are so many.
func (r *receipts) await(ctx context.Context, want int64) error {
	reader, err := kafkalog.NewReader(r.p.kafka)
	if err != nil {
		return err
	}
	defer reader.Close()
	return moving(ctx, func() (int64, bool, error) {
		bounds, err := reader.Bounds(ctx, r.p.kafka.Topic("receipts"))
		total := int64(0)
		for _, b := range bounds {
			total += b.End
		}
		return total, total >= want, err
	})
}

// read reads those that are new.
func (r *receipts) read(ctx context.Context) error {
	topic := r.p.kafka.Topic("receipts")
	bounds, err := kafkalog.Bounds(ctx, r.p.kafka, topic)
	if err != nil {
		return err
	}
	for i, b := range bounds {
		if r.next[i] >= b.End {
			continue
		}
		err := kafkalog.ReadPartition(ctx, r.p.kafka, topic, b.Partition, r.next[i], b.End, false, func(records []wire.Record) error {
			for i := range records {
				x, err := wire.DecodeReceipt(&records[i])
				if err != nil {
					return err
				}
				r.outcomes[x.Outcome]++
				if x.At.After(r.last) {
					r.last = x.At
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.next[i] = b.End
	}
	return nil
}

// check compares them with what was sent: one sent for each notification, one
// deduped for each copy, and nothing else.
func (r *receipts) check(ctx context.Context, f *findings, originals, copies int64) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	r.compare(f, originals, copies)
	return nil
}

func (r *receipts) compare(f *findings, originals, copies int64) {
	want := map[string]int64{string(delivery.OutSent): originals, string(delivery.OutDeduped): copies}
	for outcome, n := range want {
		if got := r.outcomes[outcome]; got != n {
			f.add(findReceipts, max(got-n, n-got), "%d say %s, where %d were to", got, outcome, n)
		}
	}
	for outcome, n := range r.outcomes {
		if _, known := want[outcome]; !known {
			f.add(findReceipts, n, "%d say %s, where none was to", n, outcome)
		}
	}
}

// audience is the players' process, seen from here.
type audience struct {
	*part
	tell     *json.Encoder
	at       atomic.Pointer[seen]
	end      chan seen
	pipeline *part // nil: not started
}

// gather starts the players' process.
func (n *notify) gather(p *place) (*audience, error) {
	q, err := n.start(p, PartPlayers)
	if err != nil {
		return nil, err
	}
	a := &audience{part: q, tell: json.NewEncoder(q.in), end: make(chan seen, 1)}
	a.at.Store(&seen{})
	go func() {
		for told := json.NewDecoder(q.out); ; {
			var s seen
			if told.Decode(&s) != nil {
				return // it has ended, which the part's watch says
			}
			if s.Done {
				a.end <- s
				return
			}
			a.at.Store(&s)
		}
	}()
	return a, nil
}

// connect has every player connect, and waits until all are.
func (a *audience) connect(ctx context.Context, n *notify, address string) error {
	seats := make([]seat, n.opts.Players)
	for i := range seats {
		token, err := inboxapi.IssueToken([]byte(n.secret), playerName(i), 24*time.Hour)
		if err != nil {
			return err
		}
		seats[i] = seat{playerName(i), token}
	}
	if err := a.tell.Encode(instruction{Do: doConnect, Address: address, Seats: seats}); err != nil {
		return fmt.Errorf("tell the players where to connect: %w", err)
	}
	err := moving(ctx, func() (int64, bool, error) {
		s := a.at.Load()
		return s.Connected, s.Connected >= int64(n.opts.Players) || s.Broken, nil
	})
	if err != nil || a.at.Load().Broken {
		return a.explain(ctx, err, nil)
	}
	return nil
}

// shown waits until the players were shown so many in all; counts are each one's.
func (a *audience) shown(ctx context.Context, want int64, counts []int64) error {
	err := moving(ctx, func() (int64, bool, error) {
		s := a.at.Load()
		return s.Shown, s.Shown >= want || s.Broken, nil
	})
	if err != nil || a.at.Load().Broken {
		return a.explain(ctx, err, counts)
	}
	return nil
}

// explain says what the players saw where they do not get further.
func (a *audience) explain(ctx context.Context, why error, want []int64) error {
	if ctx.Err() != nil {
		return why
	}
	s, err := a.report(ctx, want)
	if err != nil {
		return errors.Join(why, err)
	}
	if err := s.Findings.err(); err != nil {
		return err
	}
	return why
}

func (a *audience) last() time.Time { return time.Unix(0, a.at.Load().Last) }

// report ends the streams and returns what the players saw.
func (a *audience) report(ctx context.Context, want []int64) (seen, error) {
	a.left() // it ends after it, which is no surprise
	if err := a.tell.Encode(instruction{Do: doReport, Want: want}); err != nil {
		return seen{}, fmt.Errorf("ask the players what they saw: %w", err)
	}
	select {
	case s := <-a.end:
		return s, nil
	case <-ctx.Done():
		return seen{}, context.Cause(ctx)
	}
}
