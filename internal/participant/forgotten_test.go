package participant_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

// TestRow39DuplicateAfterItsIdentityIsForgotten is row 39 of the failure matrix:
// whatever is remembered of identities, an event that comes again counts no
// second time, because it is no longer above the floor when it is forgotten.
func TestRow39DuplicateAfterItsIdentityIsForgotten(t *testing.T) {
	for ring := range 4 {
		for _, tail := range []int{1, 3, 256} {
			order := hunt.DefaultOrder()
			order.Ring, order.MaxTail = ring, tail
			p := newPlayer(t, order)
			const events = 60
			forgotten := 0
			for i := range events {
				p.apply(hunt.Event(fmt.Sprint(i), int64(i+1)*7*second, hunt.Tick), participant.Applied)
				for j := range i + 1 { // everything that ever was, again
					again := hunt.Event(fmt.Sprint(j), int64(j+1)*7*second, hunt.Tick)
					again.Arrival.Time = int64(i+1) * 7 * second
					var out participant.Outcome
					switch p.fold.Apply(p.h, again, &out); {
					case out.Fate == participant.Late:
						forgotten++
					case out.Fate != participant.Duplicate:
						t.Fatalf("ring %d, tail %d: after event %d, event %d comes again and is %s", ring, tail, i, j, out.Fate)
					}
				}
			}
			p.score(events)
			if forgotten == 0 {
				t.Errorf("ring %d, tail %d: no identity was ever forgotten", ring, tail)
			}
		}
	}
}
