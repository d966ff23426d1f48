package hand

import (
	"reflect"
	"testing"
	"time"
)

// TestUndoneBatchIsAsIfItHadNotBeen, also where it touched a state twice, and a set.
func TestUndoneBatchIsAsIfItHadNotBeen(t *testing.T) {
	store := NewStore(2)
	b := store.Batch(0)
	find := func(offset int64, who, clue string) {
		applyCore(b.State(1, offset, []byte(who)), &Event{Type: []byte("clue.found"), Clue: []byte(clue), Points: 5})
	}
	look := func(who string) State {
		defer b.Undo()
		return *b.State(1, 0, []byte(who))
	}
	find(0, "ann", "b")
	find(1, "bob", "c")
	if b.Next[1] != 2 {
		t.Errorf("the offsets are %v", b.Next)
	}
	b.Keep()
	find(2, "ann", "a")
	find(3, "ann", "c")
	find(4, "eve", "a")
	b.Undo()
	if len(b.Next) != 0 {
		t.Errorf("the offsets of an undone batch are %v", b.Next)
	}
	if s := look("ann"); s.Score != 5 || !reflect.DeepEqual(s.Found, []string{"b"}) {
		t.Errorf("ann is %+v", s)
	}
	if s := look("eve"); s.Score != 0 || len(s.Found) != 0 {
		t.Errorf("eve is %+v", s)
	}
	find(2, "ann", "a")
	b.Keep()
	if s := look("ann"); s.Score != 10 || !reflect.DeepEqual(s.Found, []string{"a", "b"}) {
		t.Errorf("ann is %+v", s)
	}
}

// TestPartitionHasOneBatch: who gets a partition waits for the end of who had it.
func TestPartitionHasOneBatch(t *testing.T) {
	store := NewStore(1)
	first, second := store.Batch(0), store.Batch(1)
	first.State(0, 0, []byte("ann")).Score = 7
	seen := make(chan int64)
	go func() {
		seen <- second.State(0, 0, []byte("ann")).Score
		second.Keep()
	}()
	select {
	case score := <-seen:
		t.Fatalf("the second batch saw %d while the first was open", score)
	case <-time.After(50 * time.Millisecond): // long enough for a second that does not wait
	}
	first.Undo()
	if score := <-seen; score != 0 {
		t.Errorf("the second batch saw %d, which was undone", score)
	}
}
