package engine

import (
	"testing"
	"time"
)

// Where more scans are due than can be begun, every partition has its turn.
func TestChoresAreFair(t *testing.T) {
	const partitions, ticks = 7, 700
	status := make([]Status, partitions)
	for i := range status {
		status[i] = Status{Partition: int32(i), Phase: ready.String(), Saved: -1}
	}
	now := time.Unix(0, 0)
	c := chores{}
	scans, saves := map[int32]int{}, map[int32]int{}
	for range ticks {
		now = now.Add(time.Second)
		next := c.next(now, status, time.Second, 3*time.Second)
		if next == nil {
			continue
		}
		scans[next.Partition]++
		if next.Save {
			saves[next.Partition]++
		}
	}
	for i := range int32(partitions) {
		if scans[i] < ticks/partitions-2 || saves[i] < ticks/partitions-2 {
			t.Errorf("in %d turns, partition %d of %d was scanned %d times, and saved %d times", ticks, i, partitions, scans[i], saves[i])
		}
	}
}

func TestChoresOfWhatNeedsNone(t *testing.T) {
	now := time.Unix(0, 0)
	saved := []Status{{Partition: 1, Phase: ready.String(), Saved: 9, Position: 9}}
	c := chores{}
	for range 100 {
		now = now.Add(time.Hour)
		if next := c.next(now, saved, 0, time.Minute); next != nil {
			t.Fatalf("of what is saved already: %+v", next)
		}
		if next := c.next(now, []Status{{Partition: 2, Phase: replaying.String()}}, time.Minute, time.Minute); next != nil {
			t.Fatalf("of what is not ready: %+v", next)
		}
	}
	if len(c) != 1 {
		t.Errorf("partitions that are gone are remembered: %v", c)
	}
}
