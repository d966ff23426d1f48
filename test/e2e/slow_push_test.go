package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// slowness is how long a provider takes that is slow: all the time that an
// attempt has.
const slowness = 15 * time.Second

// crowd is a deployment with many players, each with a browser, who are told by
// webhook as well.
type crowd struct {
	*deployment
	p     *providers
	notes []*delivery.Notification // of those whose browsers are well
	stuck []*delivery.Notification // of some others
}

const stuckPlayers = 5

// newCrowd makes notifications for so many players, and in each of so many
// portions one more for each of the stuck ones.
func newCrowd(t *testing.T, name string, players, portions int) *crowd {
	t.Helper()
	at := real(t)
	at.suffix = name
	d, _ := flights(t, at, 2, 1)
	c := &crowd{deployment: d, p: d.providers(slowness)}
	note := func(who string, i int) *delivery.Notification {
		n := deliverytest.Note(who, i)
		n.Channels = []string{delivery.InboxChannel, "webhook", "webpush"}
		return n
	}
	for i := range players {
		c.notes = append(c.notes, note(fmt.Sprint("player ", i), i))
	}
	for i := range portions * stuckPlayers {
		c.stuck = append(c.stuck, note(fmt.Sprint("stuck ", i%stuckPlayers), players+i))
	}
	d.devices(c.p, append(c.stuck[:stuckPlayers:stuckPlayers], c.notes...))
	return c
}

// tell announces one of so many portions at once, and waits until every browser
// that is well has it.
func (c *crowd) tell(portion, portions int) {
	c.t.Helper()
	size := len(c.notes) / portions
	well := c.notes[portion*size : (portion+1)*size]
	all := slices.Concat(c.stuck[portion*stuckPlayers:(portion+1)*stuckPlayers], well)
	for _, n := range all {
		n.Arrival = time.Now()
	}
	c.announce(all, time.Now())
	c.until(func() (bool, string) {
		copies, _ := c.p.seen()
		came := 0
		for _, n := range well {
			came += min(copies[route{"webpush", n.ID}], 1)
		}
		return came == size, fmt.Sprintf("%d of %d browsers have it", came, size)
	})
}

// took returns a quantile of the time from a notification to its browser.
func (c *crowd) took(quantile float64) time.Duration {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	var all []time.Duration
	for _, n := range c.notes {
		all = append(all, c.p.first[route{"webpush", n.ID}].Sub(n.Arrival))
	}
	slices.Sort(all)
	return all[int(quantile*float64(len(all)-1))]
}

// TestSlowProvidersStallNobody has a webhook and a few browsers' endpoints hang
// beside a thousand browsers that are well, and compares how long those wait with
// another deployment where nothing hangs. Both are told in turn, so that the
// machine is as busy for one as for the other.
func TestSlowProvidersStallNobody(t *testing.T) {
	t.Parallel()
	const (
		players, portions = 1000, 10
		worse             = 4 // times; one wait for what hangs is more, also on a busy machine
	)
	calm, slow := newCrowd(t, "-calm", players, portions), newCrowd(t, "-slow", players, portions)
	hangs := map[string]bool{}
	for _, n := range slow.stuck {
		hangs[n.ID] = true
	}
	slow.p.answers(func(p channeltest.Push, _ int) http.HandlerFunc {
		if p.Channel == "webhook" || hangs[p.Notification] {
			return func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), slowness)
				defer cancel()
				slow.p.hold(w, r.WithContext(ctx))
			}
		}
		return nil
	})
	for _, c := range []*crowd{calm, slow} {
		notifier := c.start("notifier", "the notifier of"+strings.ReplaceAll(c.kafka.Prefix, "-", " "))
		notifier.becomes(http.StatusOK, "")
	}
	for portion := range portions {
		calm.tell(portion, portions)
		slow.tell(portion, portions)
		if _, held := slow.p.seen(); held == 0 {
			t.Error("nothing hangs: nothing is shown")
		}
	}
	for _, q := range []float64{0.5, 0.99} {
		t.Logf("%d browsers, quantile %v: %s where nothing hangs, %s beside %d browsers and a webhook that do",
			players, q, calm.took(q), slow.took(q), stuckPlayers)
	}
	if was, is := calm.took(0.99), slow.took(0.99); is > worse*was {
		t.Errorf("beside slow ones 99 in 100 wait %s, and %s without: more than %d times as long", is, was, worse)
	}
}
