package inboxapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// writeTimeout closes a stream whose client does not read: it resumes later
// from its cursor, so nothing is buffered for it here.
const writeTimeout = 10 * time.Second

// stream is one open connection.
type stream struct {
	a           *API
	w           http.ResponseWriter
	rc          *http.ResponseController
	participant string
	cursor      delivery.Cursor
}

// stream serves Server-Sent Events: every entry with its cursor as the ID, a
// resync event where the client's cursor is of no use any more, and comments as
// heartbeats. It begins behind Last-Event-ID, or behind ?after=, or at the
// oldest entry.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	participant, until, ok := a.who(w, r, true)
	if !ok {
		return
	}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.URL.Query().Get("after")
	}
	cursor, err := parseCursor(from)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many streams are open")
		return
	}
	a.opened(1)
	defer a.opened(-1)
	woken, stop := a.inbox.Wake(participant) // before the first read: no gap between the two
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	s := &stream{a: a, w: w, rc: http.NewResponseController(w), participant: participant, cursor: cursor}
	if s.send("retry: 2000\n: connected\n\n") != nil {
		return
	}
	ctx, cancel := context.WithDeadline(r.Context(), until.Add(tokenLeeway))
	defer cancel()
	s.run(ctx, woken)
}

// run sends until the client goes, the token expires, or the server stops.
func (s *stream) run(ctx context.Context, woken <-chan struct{}) {
	heartbeat := time.NewTicker(s.a.heartbeat)
	defer heartbeat.Stop()
	poll := time.NewTicker(s.a.poll)
	defer poll.Stop()
	for {
		if err := s.catchUp(ctx); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.a.stop:
			return
		case <-woken:
		case <-poll.C:
		case <-heartbeat.C:
			if s.send(": still here\n\n") != nil {
				return
			}
		}
	}
}

// catchUp sends what lies behind the cursor. A store that cannot be reached is
// tried again at the next poll; the client notices only a delay.
func (s *stream) catchUp(ctx context.Context) error {
	for {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		p, err := s.a.inbox.Page(call, s.participant, s.cursor, pageDefault)
		cancel()
		if err != nil {
			return ctx.Err()
		}
		if p.Resync {
			s.a.resynced()
			s.cursor = delivery.Cursor{Epoch: p.Epoch}
			if err := s.send(fmt.Sprintf("event: resync\nid: %s\ndata: {\"epoch\":%q}\n\n", s.id(), p.Epoch)); err != nil {
				return err
			}
		}
		for _, e := range p.Entries {
			body, err := json.Marshal(e)
			if err != nil {
				panic(err) // strings, numbers and times
			}
			s.cursor = delivery.Cursor{Epoch: p.Epoch, Offset: e.Offset}
			if err := s.send(fmt.Sprintf("event: notification\nid: %s\ndata: %s\n\n", s.id(), body)); err != nil {
				return err
			}
		}
		if len(p.Entries) < pageDefault {
			return nil
		}
	}
}

// id is the cursor as an event's ID. Without an epoch there is nothing to
// resume from, and an empty ID says so.
func (s *stream) id() string {
	if s.cursor.Epoch == "" {
		return ""
	}
	return cursorText(s.cursor)
}

func (s *stream) send(text string) error {
	// A recorder in a test has no deadline to set; a connection has.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
