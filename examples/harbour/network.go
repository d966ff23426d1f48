package harbour

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of what is held back on request: the participant's next event must be
// far enough away to close the history, and near enough to come at all.
const (
	gapMin = time.Minute
	gapMax = 10 * time.Minute
)

// holdBack chooses count happenings and holds each back until well after its
// participant's next event, so that it is sent behind the grace.
func holdBack(random *rand.Rand, played []happening, count int) error {
	if count == 0 {
		return nil
	}
	next := make([]int, len(played)) // the participant's next happening, or -1
	previous := make([]int, len(played))
	last := map[string]int{}
	for i := range played {
		next[i], previous[i] = -1, -1
		if before, ok := last[played[i].participant]; ok {
			next[before], previous[i] = i, before
		}
		last[played[i].participant] = i
	}
	chosen := 0
	for _, i := range random.Perm(len(played)) {
		if chosen == count {
			return nil
		}
		n, p := next[i], previous[i]
		if n < 0 || played[n].heldBack > 0 || p >= 0 && played[p].heldBack > 0 {
			continue
		}
		gap := played[n].at.Sub(played[i].at)
		if gap < gapMin || gap > gapMax {
			continue
		}
		played[i].heldBack = gap + between(random, time.Minute, 3*time.Minute)
		chosen++
	}
	if chosen < count {
		return fmt.Errorf("late is %d: this hunt has room for %d", count, chosen)
	}
	return nil
}

// appendSendings appends one happening as the gateway sends it: once the phone
// has a network, and again for every answer that is lost.
func appendSendings(random *rand.Rand, records []Record, h *happening) ([]Record, error) {
	line, err := h.line()
	if err != nil {
		return nil, err
	}
	sent := h.phone.connected(h.at).Add(between(random, latencyMin, latencyMax)).Add(h.heldBack)
	r := Record{Sent: sent, Time: h.seen(), Participant: h.participant, Line: line, Late: h.heldBack > 0}
	records = append(records, r)
	wait := retryAfter
	for range retriesMax {
		if r.Late || random.Float64() >= retryShare {
			break
		}
		r.Sent, r.Repeat = r.Sent.Add(wait), true
		records = append(records, r)
		wait *= 2
	}
	return records, nil
}

// connected returns the first moment, from at on, at which the phone has a
// network. What it buffered in a hole leaves in one burst.
func (p *phone) connected(at time.Time) time.Time {
	for _, w := range p.offline {
		if !at.Before(w.from) && at.Before(w.to) {
			return w.to
		}
	}
	return at
}
