package inboxapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// socketReadMax bounds what a client may send, in bytes: an acknowledgement.
const socketReadMax = 1 << 10

// frame is what goes over a WebSocket, as JSON: from the server an entry or a
// resync with the cursor behind it, and acknowledged or refused; from the client
// an ack.
type frame struct {
	Type   string          `json:"type"` // notification, resync, acked or error; from the client ack
	Cursor string          `json:"cursor,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Offset *int64          `json:"offset,omitempty"` // of ack and acked
	Detail string          `json:"detail,omitempty"` // of error
}

// socket is a WebSocket.
type socket struct{ conn *websocket.Conn }

// socket serves a WebSocket: what the stream sends, and acknowledgements back.
// A page of another origin is refused by default, as browsers expect it.
func (a *API) socket(w http.ResponseWriter, r *http.Request) {
	f := a.subscribe(w, r)
	if f == nil {
		return
	}
	defer f.leave()
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		problem(w, http.StatusUpgradeRequired, "ask for a WebSocket here; /v1/inbox/stream is the same as server-sent events")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	conn.SetReadLimit(socketReadMax)
	s := &socket{conn}
	f.out = s
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		defer cancel() // the client has gone, or does not keep to the protocol
		s.listen(ctx, f)
	}()
	f.run(ctx)
	_ = conn.Close(websocket.StatusGoingAway, "come back with your cursor")
}

// listen takes acknowledgements until the connection ends.
func (s *socket) listen(ctx context.Context, f *feed) {
	for {
		_, text, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		var in frame
		if err := json.Unmarshal(text, &in); err != nil || in.Type != "ack" || in.Offset == nil || *in.Offset < 0 {
			if s.send(ctx, frame{Type: "error", Detail: `a client sends {"type": "ack", "offset": n} with n from 0`}) != nil {
				return
			}
			continue
		}
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		acked, err := f.a.inbox.Ack(call, f.participant, *in.Offset)
		cancel()
		out := frame{Type: "acked", Offset: &acked}
		if err != nil {
			f.a.log.Warn("an inbox cannot be reached", "error", err)
			out = frame{Type: "error", Detail: "the inbox cannot be reached now; try again in a moment"}
		}
		if s.send(ctx, out) != nil {
			return
		}
	}
}

func (s *socket) entry(ctx context.Context, cursor string, body []byte) error {
	return s.send(ctx, frame{Type: "notification", Cursor: cursor, Data: body})
}

func (s *socket) resync(ctx context.Context, cursor, epoch string) error {
	body, err := json.Marshal(map[string]string{"epoch": epoch})
	if err != nil {
		panic(err) // a string
	}
	return s.send(ctx, frame{Type: "resync", Cursor: cursor, Data: body})
}

// beat asks the client for a sign of life, which its library gives.
func (s *socket) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Ping(ctx)
}

func (s *socket) send(ctx context.Context, f frame) error {
	text, err := json.Marshal(&f)
	if err != nil {
		panic(err) // it was JSON before
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, text)
}
