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
	poll := time.NewTicker(f.a.poll)
	defer poll.Stop()
	for {
		if err := f.catchUp(ctx); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-f.a.stop:
			return
		case <-f.woken:
		case <-poll.C:
		case <-heartbeat.C:
			if f.out.beat(ctx) != nil {
				return
			}
		}
	}
}

// catchUp sends what lies behind the cursor. A store that cannot be reached is
// tried again at the next poll; the client notices only a delay.
func (f *feed) catchUp(ctx context.Context) error {
	for {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		p, err := f.a.inbox.Page(call, f.participant, f.cursor, pageDefault)
		cancel()
		if err != nil {
			return ctx.Err()
		}
		if p.Resync {
			f.a.resynced()
			f.cursor = delivery.Cursor{Epoch: p.Epoch}
			if err := f.out.resync(ctx, f.id(), p.Epoch); err != nil {
				return err
			}
		}
		for _, e := range p.Entries {
			body, err := json.Marshal(e)
			if err != nil {
				panic(err) // strings, numbers and times
			}
			f.cursor = delivery.Cursor{Epoch: p.Epoch, Offset: e.Offset}
			if err := f.out.entry(ctx, f.id(), body); err != nil {
				return err
			}
		}
		if len(p.Entries) < pageDefault {
			return nil
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
