package inboxapi

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// events is a stream of Server-Sent Events: every entry with its cursor as the
// ID, a resync event, and comments as heartbeats.
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// stream serves Server-Sent Events.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	f := a.subscribe(w, r)
	if f == nil {
		return
	}
	defer f.leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	s := &events{w: w, rc: http.NewResponseController(w)}
	if s.send("retry: 2000\n: connected\n\n") != nil {
		return
	}
	f.out = s
	f.run(r.Context())
}

func (s *events) entry(_ context.Context, cursor string, body []byte) error {
	return s.send(fmt.Sprintf("event: notification\nid: %s\ndata: %s\n\n", cursor, body))
}

func (s *events) resync(_ context.Context, cursor, epoch string) error {
	return s.send(fmt.Sprintf("event: resync\nid: %s\ndata: {\"epoch\":%q}\n\n", cursor, epoch))
}

func (s *events) beat(context.Context) error { return s.send(": still here\n\n") }

func (s *events) send(text string) error {
	// A recorder in a test has no deadline to set; a connection has.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
