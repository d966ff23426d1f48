package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
)

// away is a store that cannot read some partitions for a while.
type away struct {
	Store
	fails map[int32]int // so many times
	asked []string
}

func (a *away) EachMeta(_ context.Context, partitions []int32) []MetaResult {
	a.asked = append(a.asked, fmt.Sprint(partitions))
	out := make([]MetaResult, len(partitions))
	for i, p := range partitions {
		if out[i].Meta.Applied = int64(p); a.fails[p] > 0 {
			a.fails[p]--
			out[i].Err = errors.New("it is away")
		}
	}
	return out
}

// TestComparedTogetherAndEachForItself reads many positions of which some fail: what was
// read is answered at once, and what was not is asked for again, alone.
func TestComparedTogetherAndEachForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, inbox := &away{fails: map[int32]int{2: 1, 4: 2}}, NewInbox()
		l := NewLoop(LoopConfig{Log: slog.New(slog.DiscardHandler)}, nil, nil, Stores{Store: store}, inbox)
		var each []ReadMeta
		for p := range int32(6) {
			each = append(each, ReadMeta{p, uint64(10 + p)})
		}
		l.perform(t.Context(), ReadMetas{each})
		var got [][]int32 // together
		for left := len(each); left > 0; {
			<-inbox.signal
			var ids []int32
			for _, in := range inbox.take() {
				read := in.(MetaRead)
				if read.Meta.Applied != int64(read.Partition) || read.Epoch != uint64(10+read.Partition) {
					t.Errorf("partition %d has the answer %+v", read.Partition, read)
				}
				ids = append(ids, read.Partition)
			}
			got, left = append(got, ids), left-len(ids)
		}
		l.async.Wait()
		if want := "[[0 1 3 5] [2] [4]]"; fmt.Sprint(got) != want {
			t.Errorf("answered were %v, want %s", got, want)
		}
		if want := []string{"[0 1 2 3 4 5]", "[2 4]", "[4]"}; !slices.Equal(store.asked, want) {
			t.Errorf("asked for were %v, want %v", store.asked, want)
		}
	})
}
