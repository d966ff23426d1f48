package deliverytest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// Gate is a delivery.Gate in memory, with the presence and the preferences that
// it looks at.
type Gate struct {
	inbox *Inbox

	mu      sync.Mutex
	prefs   map[string]delivery.Preferences
	present map[string]time.Time // until
	pushes  map[string]*pushes
}

// pushes are those of one participant.
type pushes struct {
	began, ends time.Time         // of the window
	admitted    map[string]bool   // revisions of notifications
	opened      map[string]string // target → the notification that opens its digest
	digests     map[string]int64  // notification → window
}

var (
	_ delivery.Gate            = (*Gate)(nil)
	_ delivery.Presence        = (*Gate)(nil)
	_ delivery.PreferenceStore = (*Gate)(nil)
)

// NewGate returns a gate in front of the inboxes' participants.
func NewGate(inbox *Inbox) *Gate {
	return &Gate{
		inbox: inbox, prefs: map[string]delivery.Preferences{}, present: map[string]time.Time{}, pushes: map[string]*pushes{},
	}
}

// Look implements delivery.Gate.
func (g *Gate) Look(_ context.Context, who, notification string) (delivery.Standing, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return delivery.Standing{
		Preferences: copied(g.prefs[who]), Seen: seen(g.inbox.find(who, notification)), Present: time.Now().Before(g.present[who]),
	}, nil
}

// copied returns preferences that share nothing with p.
func copied(p delivery.Preferences) delivery.Preferences {
	if p.QuietHours != nil {
		hours := *p.QuietHours
		p.QuietHours = &hours
	}
	classes := p.Classes
	p.Classes = nil
	for name, c := range classes {
		if p.Classes == nil {
			p.Classes = map[string]delivery.ClassPreference{}
		}
		p.Classes[name] = delivery.ClassPreference{Channels: append([]string{}, c.Channels...)}
	}
	return p
}

// find returns a notification's newest entry, if there is one, and how far the
// participant has acknowledged.
func (m *Inbox) find(who, notification string) (e *delivery.Entry, acked int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[who]
	if b == nil {
		return nil, 0
	}
	for _, e := range b.entries {
		if e.Notification == notification {
			return &e, b.acked
		}
	}
	return nil, b.acked
}

func seen(e *delivery.Entry, acked int64) bool { return e != nil && e.Offset <= acked }

// Admit implements delivery.Gate.
func (g *Gate) Admit(_ context.Context, who string, r delivery.AdmitRequest) (delivery.Admission, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.pushes[who]
	if p == nil {
		p = &pushes{digests: map[string]int64{}}
		g.pushes[who] = p
	}
	now := time.Now()
	if !now.Before(p.ends) {
		next := p.began.Add(time.Millisecond) // one that was closed may have begun just now
		p.began, p.ends = now, now.Add(r.Window)
		if p.began.Before(next) {
			p.began = next
		}
		p.admitted, p.opened = map[string]bool{}, map[string]string{}
	}
	revision := fmt.Sprint(r.Notification, ".", r.Revision)
	window := p.began.UnixMilli()
	if p.admitted[revision] {
		return delivery.Admission{Admitted: true}, nil
	}
	if p.digests[r.Notification] != window && len(p.admitted) < r.Max {
		p.admitted[revision] = true
		delete(p.digests, r.Notification) // of an earlier window: it is told by itself now
		return delivery.Admission{Admitted: true}, nil
	}
	p.digests[r.Notification] = window
	target := r.Channel + "\x00" + r.Target
	// Who was to open it may have been retracted before the digest was parked.
	if opener := p.opened[target]; opener == "" || p.digests[opener] != window {
		p.opened[target] = r.Notification
	}
	return delivery.Admission{Window: window, Left: p.ends.Sub(now), Opens: p.opened[target] == r.Notification}, nil
}

// Withdraw implements delivery.Gate.
func (g *Gate) Withdraw(_ context.Context, who, notification string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pushes[who]; p != nil {
		delete(p.digests, notification)
	}
	return nil
}

// Unseen implements delivery.Gate.
func (g *Gate) Unseen(_ context.Context, who string, window int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	if p := g.pushes[who]; p != nil {
		if p.began.UnixMilli() == window {
			p.ends = time.Time{}
		}
		for id, of := range p.digests {
			e, acked := g.inbox.find(who, id)
			if of == window && !seen(e, acked) && (e == nil || e.Op != delivery.Retract) {
				n++
			}
		}
	}
	return n, nil
}

// Present implements delivery.Presence.
func (g *Gate) Present(_ context.Context, who string, life time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.present[who] = time.Now().Add(life)
	return nil
}

// Preferences implements delivery.PreferenceStore.
func (g *Gate) Preferences(_ context.Context, who string) (delivery.Preferences, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return copied(g.prefs[who]), nil
}

// SetPreferences implements delivery.PreferenceStore.
func (g *Gate) SetPreferences(_ context.Context, who string, p delivery.Preferences) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.IsZero() {
		delete(g.prefs, who)
		return nil
	}
	g.prefs[who] = copied(p)
	return nil
}
