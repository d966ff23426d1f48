package app

import (
	"context"
	"errors"
	"time"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/wire"
)

// errEnough ends a read early.
var errEnough = errors.New("enough")

// scene is one look at the whole pipeline.
type scene struct {
	at        time.Time
	appended  int64
	processed int64 // records that Redis has, whatever became of them
	lag       int64 // records that it has not
	delivered int64 // deliveries to inboxes by this process: also of what is updated or retracted later
	waiting   int64 // notifications not yet committed by the notifier
	settled   bool  // everything appended is processed and delivered
}

// watch prints progress every second while something moves, and where to look
// once it has come to rest.
func (u *Up) watch(ctx context.Context, count int, done func()) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, calm := scene{at: time.Now()}, 0
	shown := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := u.look(ctx)
		if now.processed != last.processed || now.delivered != last.delivered {
			rate := float64(max(now.processed-last.processed, 0)) / now.at.Sub(last.at).Seconds()
			u.print("%6.1fs  loaded %d/%d  processed %d (%.0f/s)  delivered %d  lag %d",
				now.at.Sub(u.began).Seconds(), now.appended, count, now.processed, rate, now.delivered, now.lag+now.waiting)
		}
		last = now
		if !now.settled {
			calm = 0
			continue
		}
		// Twice in a row: a notification may be between the two services.
		if calm++; calm < 2 {
			continue
		}
		if u.ExitWhenDone {
			done()
			return nil
		}
		if !shown {
			shown = true
			u.guide(ctx)
		}
	}
}

func (u *Up) look(ctx context.Context) scene {
	s := scene{at: time.Now()}
	ends, err := u.rt.ends(ctx)
	if err != nil {
		return s
	}
	s.settled = u.allIn.Load()
	known := make(map[int32]bool)
	for _, v := range u.proc.Views() {
		if v == nil {
			continue
		}
		for _, st := range v.Status {
			known[st.Partition] = true
			s.processed += st.Applied
			s.lag += max(ends[st.Partition]-st.Applied, 0)
			s.settled = s.settled && st.Phase == "ready"
		}
	}
	for _, end := range ends {
		s.appended += end
	}
	status, ok := u.notifier.Status()
	s.waiting = status.Lag
	s.delivered = int64(telemetry.Value(u.rt.Metrics.Notifier.Delivered.WithLabelValues("inbox")))
	s.settled = s.settled && len(known) == len(ends) && s.lag == 0 && ok && status.CaughtUp()
	return s
}

// guide says what to look at and what to try.
func (u *Up) guide(ctx context.Context) {
	who := u.someone(ctx)
	gateway, inbox := url(u.gateway.Addr(), u.cfg.Producer.TLS), url(u.inbox.Addr(), u.cfg.Notifier.TLS)
	u.print("")
	if u.hunt.count > 0 {
		u.print("everything is applied and notified. Look at")
	} else {
		u.print("ready for events. Look at")
	}
	u.print("  a participant   %s/v1/participants/%s", gateway, who)
	u.print("  its events      %s/v1/participants/%s/events", gateway, who)
	for _, board := range u.program.Schema().LeaderboardNames() {
		u.print("  a leaderboard   %s/v1/leaderboards/%s", gateway, board)
	}
	if token, err := u.rt.Token(ctx, who, 24*time.Hour); err == nil {
		u.print("  its inbox       %s/inbox#token=%s", inbox, token)
	}
	u.print("send an event:")
	u.print("  curl -i %s/v1/events -H 'content-type: application/cloudevents+json' -d '%s'", gateway, u.hunt.try(who))
	if u.cluster == nil {
		u.print("and stop with Ctrl-C")
		return
	}
	u.print("and stop with Ctrl-C; what is here stays in %s", u.DataDir)
}

// someone is a participant who was notified of something.
func (u *Up) someone(ctx context.Context) string {
	kafka, err := u.rt.Kafka("guide")
	if err != nil {
		return "someone"
	}
	who := "someone"
	_ = eachRecord(ctx, kafka, "notifications", func(r *wire.Record) error {
		who = string(r.Key)
		return errEnough
	})
	return who
}

// ends returns the events topic's last stable offsets, by partition.
func (rt Runtime) ends(ctx context.Context) ([]int64, error) {
	kafka, err := rt.Kafka("watch")
	if err != nil {
		return nil, err
	}
	bounds, err := kafkalog.Bounds(ctx, kafka, kafka.Topic("events"))
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(bounds))
	for i, b := range bounds {
		ends[i] = b.Stable
	}
	return ends, nil
}
