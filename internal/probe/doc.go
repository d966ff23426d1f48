// Package probe tries a deployment through its public URLs, as senders and players
// do, and says what a proxy or a load balancer in front of it breaks.
//
// Invariants:
//
//	A1 what is sent is of one reserved participant, of a type that no rule has, and bounded: EventsMax
//	   events, within SendFor. It counts for nobody
//	A2 what is held against a deployment is what it promises (docs/ingest.md), and nothing else: what
//	   was not promised is told, and fails nothing
//	A3 what could not be tried is unknown, never pass: a refusal, an answer of something else, a log
//	   that cannot be read
//
// Nothing is kept: a probe that is cut off has sent fewer events.
package probe

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// What is reserved for probes. A hunt's rules have no rule for the type.
const (
	Participant = wire.ProbeParticipant
	EventType   = "veltrix.probe"
	Source      = "/veltrix/doctor"
)

// stranger is a participant whose devices and messages a probe must not see.
const stranger = "veltrix-probe-other"

// bodyMax bounds what is read of an answer.
const bodyMax = 1 << 20

// client speaks to a public URL as others do. It follows no redirect, which a
// sender's library may not repeat a POST for, and asks no proxy of this machine's.
func client(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// under is a path below a base URL, which may have a path of its own.
func under(base, path string) string { return strings.TrimSuffix(base, "/") + path }

// authorize shows a bearer, where there is one.
func authorize(h http.Header, bearer string) {
	if bearer != "" {
		h.Set("Authorization", "Bearer "+bearer)
	}
}

// allowed says how long a step may take, at most until the end of ctx.
func allowed(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, most)
}

// counted writes how often there was something, as "503 ×3".
func counted(what string, n int) string { return fmt.Sprintf("%s ×%d", what, n) }
