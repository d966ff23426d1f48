package inboxapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// writeTimeout closes a connection whose client does not read: it resumes later
// from its cursor, so nothing is buffered for it here.
const writeTimeout = 10 * time.Second

// missedPause is the pause before a store that could not be reached is asked again.
const missedPause = 2 * time.Second

// line is what a feed writes to: a stream of events or a WebSocket.
type line interface {
	// entry sends an entry with the cursor behind it.
	entry(ctx context.Context, cursor string, body []byte) error
	// resync says that the client's cursor is of no use any more.
	resync(ctx context.Context, cursor, epoch string) error
	// beat shows that the connection lives.
	beat(ctx context.Context) error
}

// feed sends one participant's entries over one connection.
type feed struct {
	a           *API
	out         line
	participant string
	until       time.Time // the token's end
	cursor      delivery.Cursor
	woken       <-chan struct{}
	leave       func()
}

// subscribe takes a place among the open feeds and wakes with the inbox. It
// begins behind Last-Event-ID, or behind ?after=, or at the oldest entry. It
// answers the request itself where it returns nil; otherwise the caller leaves.
func (a *API) subscribe(w http.ResponseWriter, r *http.Request) *feed {
	participant, until, ok := a.who(w, r, true)
	if !ok {
		return nil
	}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.URL.Query().Get("after")
	}
	cursor, err := parseCursor(from)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return nil
	}
	select {
	case a.streams <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many streams are open")
		return nil
	}
	a.opened(1)
	woken, stop := a.inbox.Wake(participant) // before the first read: no gap between the two
	return &feed{a: a, participant: participant, until: until, cursor: cursor, woken: woken, leave: func() {
		stop()
		a.opened(-1)
		<-a.streams
	}}
}

// run sends until the client goes, the token expires, or the server stops.
func (f *feed) run(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, f.until.Add(tokenLeeway))
	defer cancel()
	heartbeat := time.NewTicker(f.a.heartbeat)
	defer heartbeat.Stop()
	f.present(ctx)
	for {
		missed, err := f.catchUp(ctx)
		if err != nil {
			return
		}
		poll := f.a.poll
		if missed {
			poll = min(poll, missedPause)
		}
		look := time.NewTimer(poll) // of no use once it is left behind, and collected
		select {
		case <-ctx.Done():
			return
		case <-f.a.stop:
			return
		case <-f.woken:
		case <-look.C:
		case <-heartbeat.C:
			if f.out.beat(ctx) != nil {
				return
			}
			f.present(ctx)
		}
	}
}

// present notes that the participant looks, for a bit longer than two heartbeats:
// one that is late ends nothing. It is a hint for pushes, so where it cannot be
// noted the feed goes on.
func (f *feed) present(ctx context.Context) {
	if f.a.presence == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := f.a.presence.Present(ctx, f.participant, 2*f.a.heartbeat+f.a.heartbeat/2); err != nil {
		f.a.log.Debug("that a participant looks was not noted", "participant", f.participant, "error", err)
	}
}

// catchUp sends what lies behind the cursor. A store that cannot be reached is
// missed, and tried again soon; the client notices only a delay.
func (f *feed) catchUp(ctx context.Context) (missed bool, _ error) {
	for {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		p, err := f.a.inbox.Page(call, f.participant, f.cursor, pageDefault)
		cancel()
		if err != nil {
			return true, ctx.Err()
		}
		if p.Resync {
			f.a.resynced()
			f.cursor = delivery.Cursor{Epoch: p.Epoch}
			if err := f.out.resync(ctx, f.id(), p.Epoch); err != nil {
				return false, err
			}
		}
		for _, e := range p.Entries {
			body, err := json.Marshal(e)
			if err != nil {
				panic(err) // strings, numbers and times
			}
			f.cursor = delivery.Cursor{Epoch: p.Epoch, Offset: e.Offset}
			if err := f.out.entry(ctx, f.id(), body); err != nil {
				return false, err
			}
		}
		if len(p.Entries) < pageDefault {
			return false, nil
		}
	}
}

// id is the cursor as a text. Without an epoch there is nothing to resume from,
// and an empty one says so.
func (f *feed) id() string {
	if f.cursor.Epoch == "" {
		return ""
	}
	return cursorText(f.cursor)
}
